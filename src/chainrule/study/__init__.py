"""Studies: several runs on the same data, judged together."""
