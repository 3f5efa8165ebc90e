"""Data that needs no download by default: this machine's own text, synthetic sources, checked downloads."""
