"""A network in both frameworks for the tests of routes, and one that no route can take."""

import os
import signal

import mlx.core as mx
import mlx.nn as mnn
import torch


class Fails(torch.nn.Module):
    """Its branch depends on the numbers."""

    def forward(self, x):
        return x if x.sum() > 0 else -x


def small(framework: str, width: int = 8):
    """Two linear layers with a ReLU, and an example."""
    if framework == "MLX":
        return mnn.Sequential(mnn.Linear(4, width), mnn.ReLU(), mnn.Linear(width, 2)), (mx.ones((1, 4)),)
    torch.manual_seed(0)  # a package is judged again by another precision's limit: the same weights
    layers = torch.nn.Linear(4, width), torch.nn.ReLU(), torch.nn.Linear(width, 2)
    return torch.nn.Sequential(*layers), (torch.ones(1, 4),)


def branching(framework: str):
    """A module whose graph torch.export cannot capture."""
    return Fails(), (torch.ones(1, 4),)


def dying(framework: str):
    """No network: the process that asks for it is gone."""
    os._exit(3)


def killed(framework: str):
    """No network: the system kills the process that asks for it."""
    os.kill(os.getpid(), signal.SIGKILL)
