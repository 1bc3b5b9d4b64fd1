"""Classical learning with a teacher, as estimators: scikit-learn's contract outside, torch inside, on any device."""
