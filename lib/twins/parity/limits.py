"""The limits of the fairness gate: one table for every twin, with the measurement behind each limit."""

from dataclasses import dataclass

from twins.frameworks import MLX


@dataclass(frozen=True)
class Threshold:
    """A limit, what correct twins were measured to reach, and the smallest planted defect above it."""

    limit: float
    matched: float
    defect: str
    unit: str
    gpu: float | None = None  # the limit on a GPU, where its kernels round more than a CPU's


# Largest values of correct twins and values of planted defects (tests/twins/parity), measured on Linux x86
# with transformer_lm, bert, resnet and vit: tiny with 20 seeds, and the quick profile's size; without a
# switched ReLU. In float64: tiny with 20 seeds, and the 110 correct pairs of tests/twins/parity/pair_corpus;
# the limits leave room for constants that a file computes in float32 when it is imported (2e-8).
# Limits on a GPU: Metal computes 3x3 convolutions of many channels by Winograd's method, which errs by 4.4e-6
# a convolution where the direct one errs by 2.5e-7; its arithmetic, computed here, moved the outputs of
# correct ResNets of the full profile's size (18 such convolutions, three seeds) by up to 1.1e-5, and those in
# evaluation mode by up to 9.6e-6, where direct convolutions reach 5.0e-6 and 3.6e-6.
WORST = "largest relative L2 over tensors"
MEDIAN = "median relative L2 over tensors"
APART = "largest difference in 20 steps, nats"
ROUNDINGS = "times what rounding to the type moves one half"
THRESHOLDS = {
    "weights": Threshold(0.0, 0.0, "a LayerNorm scale zeroed: 1", WORST),
    "outputs": Threshold(1e-5, 1.4e-6, "LayerNorm epsilon 1e-6 for 1e-5: 4.8e-3", "relative L2", 5e-5),
    "statistics": Threshold(1e-5, 1.9e-6, "running variance biased: 1.7e-3", WORST),
    "evaluation": Threshold(1e-5, 1.4e-6, "running variance biased: 7e-4", "relative L2", 5e-5),
    "gradients": Threshold(1e-5, 5.3e-6, "tanh for exact GELU: 2.2e-5", WORST),
    "update": Threshold(1e-4, 1.5e-5, "weight decay 0.01 for 0.1: 1.8e-3", MEDIAN),
    "clipping": Threshold(1e-3, 2.5e-5, "clipping on one side: 0.5", MEDIAN),
    "losses": Threshold(1e-4, 5.3e-5, "LayerNorm epsilon 1e-6 for 1e-5: 1.4e-4", APART),
    "trained": Threshold(0.0, 0.0, "a layer frozen in one half: its tensors", "tensors that one half trains"),
    "state": Threshold(1e-3, 1.2e-5, "first beta 0.89 for 0.9: 0.054", MEDIAN),
    "settings": Threshold(0.0, 0.0, "AMSGrad in one half: 1", "settings that differ"),
    "moved": Threshold(0.0, 0.0, "optimizer.step() removed: every tensor", "tensors that did not move"),
    "float64 gradients": Threshold(5e-7, 9.3e-14, "tanh for exact GELU: 6.1e-6", WORST),
    "float64 losses": Threshold(1e-6, 3.0e-12, "AMSGrad in one half: 1.5e-6", APART),
    "float64 statistics": Threshold(1e-6, 5.9e-11, "running variance biased: 6.6e-3", WORST),
    "float64 evaluation": Threshold(1e-5, 2.2e-11, "running variance biased: 3.4e-3", "relative L2"),
    "half type outputs": Threshold(2.0, 1.1, "a LayerNorm scale 2 % off: 3.6", ROUNDINGS),
    "half type gradients": Threshold(2.0, 1.2, "a LayerNorm scale 2 % off: 3.0", ROUNDINGS),
    "half type losses": Threshold(4.0, 1.7, "a learning rate 10 % off: 10", ROUNDINGS),
}


def limit(name: str) -> float:
    """The limit of a check on the device that is in use."""
    found = THRESHOLDS[name]
    return found.gpu if found.gpu and MLX.device != "cpu" else found.limit


def measured() -> str:
    """Where the limits on the device in use come from, in words."""
    if MLX.device == "cpu":
        return "measured on x86 CPUs"
    return "measured on x86 CPUs, wider where Metal's convolutions round more (computed, not measured)"
