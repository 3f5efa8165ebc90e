"""The base of a fine-tuning: a folder that Hugging Face or mlx-lm wrote, loaded by each framework's library.

Gradient checkpointing (Chen et al. 2016, https://arxiv.org/abs/1604.06174) computes blocks a second time
instead of keeping them, as mlx-lm's trainer and transformers do it.

https://huggingface.co/docs/transformers/main/en/main_classes/model and https://github.com/ml-explore/mlx-lm
"""

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
import transformers

from twins.frameworks import TORCH
from twins.inference import checkpoint_folder
from twins.training import train

import mlx.core as mx  # isort: skip  (after twins.frameworks: the BLAS)
import mlx.nn as mnn  # isort: skip
from mlx_lm.tuner.trainer import grad_checkpoint  # isort: skip
from mlx_lm.utils import load_model  # isort: skip

SAID = 300  # characters of a library's message that are kept


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Libraries tell of nothing that is no error: kernels for other devices, names of coming versions."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


class Logits(torch.nn.Module):
    """A model of transformers as a function of tokens alone, as mlx-lm's are: (B, T) -> logits (B, T, V)."""

    def __init__(self, model: torch.nn.Module):
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.model(input_ids=ids, use_cache=False).logits


def _refused(folder: Path, library: str, error: Exception) -> ValueError:
    return ValueError(f"checkpoint {folder.name}: {library} says {' '.join(str(error).split())[:SAID]}")


def _rotary(config: dict) -> dict:
    """The base of rotary angles where mlx-lm reads it.

    transformers writes it under `rope_parameters` since version 5; mlx-lm then takes a default of its own,
    which is another number for some architectures, and says nothing.
    """
    given = config.get("rope_parameters")
    theta = given.get("rope_theta") if isinstance(given, dict) else None
    return {"rope_theta": theta} if theta is not None and "rope_theta" not in config else {}


def load_mlx(folder: Path, dtype: str) -> mnn.Module:
    """mlx-lm's model of a folder, in training mode. Errors: ValueError, with what the library says."""
    try:
        model, _ = load_model(folder, model_config=_rotary(checkpoint_folder.config(folder)))
    except (ValueError, KeyError, TypeError) as error:  # an unknown architecture, weights that do not fit
        raise _refused(folder, "mlx-lm", error) from None
    train.set_dtype(model, dtype)
    mx.eval(model.parameters())
    model.train()
    return model


def load_torch(folder: Path, dtype: str, **options: object) -> torch.nn.Module:
    """transformers' model of a folder, in training mode. Errors: ValueError, with what the library says."""
    transformers.logging.disable_progress_bar()
    given = {"local_files_only": True, "use_safetensors": True, "attn_implementation": "sdpa"}
    given |= {"dtype": TORCH.dtype(dtype), "trust_remote_code": False, **options}
    try:
        with quiet():
            model = transformers.AutoModelForCausalLM.from_pretrained(folder, **given)
    except (ValueError, KeyError, RuntimeError, OSError) as error:
        raise _refused(folder, "transformers", error) from None
    return model.to(TORCH.device).train()


def checkpoint_mlx(model: mnn.Module) -> None:
    """Compute the model's blocks again in backward.

    mlx-lm changes the class of a block for every model of the process; here each model has a class of its
    own.
    """
    block = type(model.layers[0])
    own = type(block.__name__, (block,), {})
    for layer in model.layers:
        layer.__class__ = own
    grad_checkpoint(model.layers[0])


def checkpoint_torch(model: torch.nn.Module) -> None:
    """Compute the model's blocks again in backward; PyTorch advises against the reentrant form."""
    with quiet():
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
