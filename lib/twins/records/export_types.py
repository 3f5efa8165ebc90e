"""Kinds of records about models taken to Core ML and Core AI, and the names that routes are stored by."""

from twins.records.bounds import Body, Count, Label, Prose

COMPUTES = {"fp32": "float32", "fp16": "float16"}  # a package's precision, as a conversion's case has it
DIRECT = "MLX direct"  # a route's stored name, and what it is
CHECKED = f"{DIRECT}, checked"  # as the converter's call is by default
OURS = "MLX with this project's converter"
DEEP = "depths of one network"  # a group of conversions, by which time is seen to grow
LIMITS = {"float32": 1e-5, "float16": 5e-3}  # rms-relative, as coreml_runtime's TOLERANCE
FROM_MLX, FROM_TORCH = TO_CORE_AI = ("MLX, Core AI", "PyTorch, coreai-torch")  # routes to an asset
BESIDE = "Core AI beside Core ML"  # a group of conversions: the same models in both formats


class Conversion(Body, frozen=True):
    """One model taken to Core ML by one route: seconds of every step taken, and what came of it.

    `case` holds precision, target and sizes. `size` is the package in bytes, `operations` how many it
    holds; `error` is the worst output's rms-relative error against the source, `line` the verification in
    words. What was not reached is None; `failed` names the step that failed and `message` is its error
    message, both empty otherwise. `right` is judged by the limit of the package's own precision, and is None
    where nothing was checked; `within_asked` is judged by the limit of the precision asked for.
    """

    model: Label
    route: Label
    case: dict
    steps: dict[Label, float]
    size: Count | None
    operations: Count | None
    error: float | None
    right: bool | None
    line: Prose
    failed: Label
    message: Prose
    warnings: list[Prose]
    within_asked: bool | None = None

    @property
    def as_asked(self) -> bool | None:
        """Whether the package is right by the limit of the precision asked for; None where that is not known.

        Older records do not hold it, so it follows from their error. A failed conversion is not right.
        """
        if self.within_asked is not None or self.failed:
            return self.within_asked or False
        asked, kept = self.case.get("precision"), COMPUTES.get(self.case.get("computes", ""))
        if not self.right and kept in (None, asked):
            return self.right
        if kept == asked:
            return True
        return None if self.error is None or asked not in LIMITS else self.error <= LIMITS[asked]

    @property
    def cause(self) -> str:
        """Why it is not right as asked, in words; empty when it is."""
        if self.as_asked:
            return ""
        asked, kept = self.case.get("precision"), COMPUTES.get(self.case.get("computes", ""))
        other = f"asked {asked}, package is {kept}" if self.right and kept not in (None, asked) else ""
        return other or self.message or self.line

    @property
    def absent(self) -> bool:
        """Whether the route does not exist on this system or in this environment; it did not fail."""
        return bool(self.failed) and any(
            words in self.message for words in ("is not installed here", "needs macOS")
        )


class Coverage(Body, frozen=True):
    """How many cases of a group one route converts: `outcomes` counts them (right, refused, wrong, crash,
    timeout), `reasons` counts why the others are not right."""

    route: Label
    group: Label
    case: dict
    outcomes: dict[Label, Count]
    reasons: dict[Prose, Count]


class Compressed(Body, frozen=True):
    """A compressed model: bytes of its package and of its weights, and its quality after compression.

    `family` is the method ("palettization"), `setting` its strength ("4 bit, group 32"). `value` is the
    metric ("perplexity", "accuracy") over `total` held-out targets; `error` the output's rms-relative error
    against the uncompressed float32 source; `line` the verification in words.
    """

    model: Label
    family: Label
    setting: Label
    size: Count
    weights: Count
    metric: Label
    value: float
    total: Count
    error: float
    line: Prose


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
