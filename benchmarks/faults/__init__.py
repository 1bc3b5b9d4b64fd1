"""The bench of faults: programs with one planted fault each, healthy programs, and how often the doctor is right."""
