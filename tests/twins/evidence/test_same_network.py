"""One line about the fairness gate: what passed, and what did not."""

from msgspec import structs

from twins.evidence import same_network
from twins.records.record_types import Gate


def gate(*failed: str, twin: str = "bert") -> Gate:
    names = ("names", "gradients", "moved, MLX eager", "losses, MLX eager", "losses, PyTorch compiled")
    names += ("float64 gradients", "float64 losses")
    checks = [{"name": name, "passed": name not in failed} for name in names]
    return Gate(twin, {}, not failed, checks, {"MLX eager": [1.0] * 20})


def test_every_kind_of_check_is_named_once():
    assert same_network.line(gate()) == (
        "✓ 7 of 7 checks passed: names, every gradient, what training changes, the losses of the first 20 "
        "steps, gradients, losses again in float64."
    )


def test_several_networks_are_counted_apart():
    both = gate(twin="resnet"), structs.replace(gate(twin="vit"), checks=gate().checks[:3])
    assert same_network.line(*both).startswith("✓ ResNet 7 of 7 and ViT 3 of 3 checks passed: names, ")


def test_what_failed_is_named():
    assert same_network.line(gate("names", "float64 losses")) == (
        "✗ 5 of 7 checks passed. **Failed**: names (BERT), float64 losses (BERT); such a pair is not timed."
    )
    assert same_network.line() == "Nothing was checked."
