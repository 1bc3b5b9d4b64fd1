"""Where data comes from: one file for each kind of source. They are imported when such a source is loaded."""
