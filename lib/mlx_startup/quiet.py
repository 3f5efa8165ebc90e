"""torchao warns of kernels for other devices, where coremltools or transformers imports it."""

import logging

WARNERS = ("torchao", "torch.utils._pytree")  # the second, of what torchao calls


def hush() -> None:
    """From now on their loggers tell errors alone."""
    for name in WARNERS:
        logging.getLogger(name).setLevel(logging.ERROR)
