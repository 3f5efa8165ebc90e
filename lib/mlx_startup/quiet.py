"""coremltools and transformers import torchao where it is installed, which warns of other devices' kernels."""

import logging

WARNERS = ("torchao", "torch.utils._pytree")  # the second, of what torchao calls


def hush() -> None:
    """From now on their loggers tell errors alone."""
    for name in WARNERS:
        logging.getLogger(name).setLevel(logging.ERROR)
