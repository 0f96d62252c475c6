"""Networks and runs of weights that others have published."""
