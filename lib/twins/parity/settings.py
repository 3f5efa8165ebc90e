"""The check that what is set in two halves means the same, whether or not a number departs yet."""

from twins.parity.differences import Check
from twins.parity.layer_settings import layer_differences
from twins.parity.optimizer_settings import differences
from twins.training.train import Half


def sentences(mlx: Half, torch_half: Half) -> list[str]:
    """One sentence for every setting of optimizers, schedules and layers in which fresh halves differ."""
    told = [each.sentence for each in differences(mlx, torch_half)]
    return told + layer_differences(mlx, torch_half)


def check_settings(mlx: Half, torch_half: Half) -> Check:
    """The check of all settings of fresh halves; the value is how many differ."""
    told = sentences(mlx, torch_half)
    return Check("settings", float(len(told)), 0.0, "; ".join(told) or "no setting differs")
