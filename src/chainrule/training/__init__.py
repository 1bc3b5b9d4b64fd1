"""Training: the loop, its events, the range test, the record on disk."""
