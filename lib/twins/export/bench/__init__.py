"""Whole networks with random weights, converted from torch: accuracy and speed of the runtime."""
