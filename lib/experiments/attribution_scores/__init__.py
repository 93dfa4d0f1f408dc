"""The experiments of notebook 02: attribution scores of learned representations."""
