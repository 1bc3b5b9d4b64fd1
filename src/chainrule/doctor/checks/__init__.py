"""The checks, one file for each part of a program or a run that they look at: functions of a probe or of events."""
