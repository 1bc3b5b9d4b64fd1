"""Measurements of a live program, one file for each part that they look at; a check reads them and judges."""
