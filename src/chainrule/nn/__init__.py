"""Layers that torch lacks, and the preparations that live inside a saved model."""
