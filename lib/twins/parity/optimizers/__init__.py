"""What the optimizers of two halves do to each parameter, and how that is checked."""
