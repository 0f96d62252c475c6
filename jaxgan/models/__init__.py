"""Networks: Flax modules named `Generator` and `Critic` in each module."""
