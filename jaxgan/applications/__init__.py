"""Uses of trained runs: to draw, to translate, to compare and to show."""
