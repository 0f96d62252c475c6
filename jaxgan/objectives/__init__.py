"""Losses, penalties and optimizers: what players minimise, and how."""
