"""The tests of chainrule; see CONTRIBUTING.md for what each folder holds."""
