"""Algorithms: `create(config)` in each module returns an `Algorithm`."""
