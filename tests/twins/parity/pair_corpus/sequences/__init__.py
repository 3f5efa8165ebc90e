"""Pairs of networks over sequences: recurrent, attending and mixing ones, texts, losses, optimizers."""

from pair_corpus.sequences import (
    attention,
    encoders,
    language,
    mixers,
    objectives,
    optimizers,
    recurrent_cells,
    recurrent_layers,
)

FAMILIES = (
    recurrent_layers,
    recurrent_cells,
    attention,
    language,
    encoders,
    mixers,
    objectives,
    optimizers,
)
PAIRS = tuple(pair for family in FAMILIES for pair in family.PAIRS)
