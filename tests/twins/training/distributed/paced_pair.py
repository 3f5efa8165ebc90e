"""The smallest language model as a reader's own file, with batches that wait or differ as a test asks.

PACE: seconds that a batch takes. DIFFERENT: set, so that every rank has data of its own.
"""

import os
import time

from twins.models import transformer_lm as lm

CONFIG = lm.tiny()
mlx_loss, torch_loss = lm.mlx_loss, lm.torch_loss


def mlx_model():
    return lm.MlxTransformerLM(CONFIG)


def torch_model():
    return lm.TorchTransformerLM(CONFIG)


def batch(rng, size):
    time.sleep(float(os.environ.get("PACE", "0")))
    ids, targets = lm.example(CONFIG, rng, size)
    if os.environ.get("DIFFERENT"):
        ids = ids + int(os.environ.get("RANK") or os.environ["MLX_RANK"])
    return ids, targets
