"""Kinds of records about Core AI, and the names under which its routes are stored."""

from twins.records.bounds import Body, Label, Prose

FROM_MLX, FROM_TORCH = TO_CORE_AI = ("MLX, Core AI", "PyTorch, coreai-torch")  # routes to an asset
BESIDE = "Core AI beside Core ML"  # a group of conversions: the same models in both formats


class ThreeRuntimes(Body, frozen=True):
    """What MLX, Core ML's reference runtime and Core AI's interpreter make of one call.

    `case` holds the precision asked for and the group. `errors` is the rms-relative error of the worst output
    by pair of runtimes ("Core AI interpreter against MLX"), None where it is not finite; `limit` is what each
    pair must stay within. `cause` says why they do not, in words, and is empty where all agree.
    """

    model: Label
    case: dict
    errors: dict[Label, float | None]
    limit: float
    cause: Prose

    @property
    def agree(self) -> bool:
        """Whether all three agree."""
        return not self.cause
