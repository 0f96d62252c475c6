"""Measures of samples against data, on the host in float64."""
