"""The checks, one file for each part of a run that they look at; each is a pure function of the events."""
