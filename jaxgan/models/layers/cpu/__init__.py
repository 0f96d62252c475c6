"""Forms of convolutions that XLA:CPU runs well."""
