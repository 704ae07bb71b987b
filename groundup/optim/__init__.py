"""From gradients to weights: one optimizer, one file."""
