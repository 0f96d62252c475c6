"""Layers that networks share: convolutions, norms, paddings."""
