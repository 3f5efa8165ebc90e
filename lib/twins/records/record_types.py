"""What is recorded: one frozen msgspec structure per kind of record; store.py writes and reads them."""

from msgspec import field

from twins.records.bounds import Body, Count, Label, Name, Prose
from twins.records.export_types import Compressed, Conversion, Coverage, ThreeRuntimes  # noqa: F401 - of KINDS


class Machine(Body, frozen=True):
    """The machine and its software, as machine.fingerprint gives them."""

    id: Name
    chip: Label
    gpu: Label
    cores: Count
    memory_gb: Count
    system: Label
    python: Label
    versions: dict[Label, Label]
    device: Label
    blas: Label
    threads: Count
    compiler: Label
    power: Label
    gpu_cores: Count | None = None  # of Apple silicon; None where there are none or they are not readable
    mlx_wheel: Label = ""  # the tag of the wheel with MLX's back end, such as py3-none-macosx_26_0_arm64
    boot: Label = ""  # when the system started, in UTC and down to the minute: 2026-01-31T12:00Z
    host: Label = ""  # a random tag of six hexadecimal digits that tells machines of one model apart

    def __str__(self) -> str:
        gpu = f" with {self.gpu}" if self.gpu else ""
        gpu += f" with {self.gpu_cores} GPU cores" if self.gpu_cores else ""
        return f"{self.chip}{gpu}, {self.cores} cores, {self.memory_gb} GB, {self.system}"


class Timing(Body, frozen=True):
    """Raw samples of one interleaved measurement: one Run in plain form per process.

    `subject` says what was timed ("matmul", "training step"), `case` its sizes.
    """

    subject: Label
    case: dict
    runs: list[dict]


class Gate(Body, frozen=True):
    """A fairness gate's verdict: every check, and the first losses of every run.

    `limits` says where its limits come from; empty in records made before a device had limits of its own.
    `notes` say what was not checked, one sentence each.
    """

    twin: Label
    case: dict
    passed: bool
    checks: list[dict]
    losses: dict[Label, list[float | None]]
    limits: Label = ""
    notes: list[Prose] = field(default_factory=list)


class Fit(Body, frozen=True):
    """Losses of training on a data set, one per step and run; `held_out` after training; in nats."""

    twin: Label
    case: dict
    dataset: Label
    digest: Label
    entropy: float | None
    losses: dict[Label, list[float]]
    held_out: dict[Label, float]


class Accuracy(Body, frozen=True):
    """How many of `total` held-out examples each trained half classifies rightly.
    `majority` is how many naming the most frequent class every time gets right.
    """

    twin: Label
    case: dict
    dataset: Label
    digest: Label
    right: dict[Label, Count]
    majority: Count
    total: Count


class Work(Body, frozen=True):
    """Floating-point operations of one training step, agreed on by both counts."""

    twin: Label
    case: dict
    flops: Count


class Memory(Body, frozen=True):
    """Bytes that training adds in a process of its own; allocator is None where the framework counts none.
    `resident` is the process's own memory and `process` says how it was read: the resident set, or on macOS
    the physical footprint; the median of `readings`, which old records lack. `source`: the allocator's count.
    """

    twin: Label
    case: dict
    arm: Label
    resident: Count
    allocator: Count | None
    source: Label
    process: Label = "resident set"
    readings: list[Count] = field(default_factory=list)


class Footprint(Body, frozen=True):
    """Bytes at the peak of a training step, calculated, and `measured` by `source`; None where it was not."""

    shape: Label
    case: dict
    framework: Label
    calculated: Count
    measured: Count | None
    source: Prose


class Sharing(Body, frozen=True):
    """Whether a hand-over of `size` bytes shared memory: what showed it, and the bytes it added.

    `written`: a write through the receiver was read at the source; `address`: both lie at one address, None
    where the CPU cannot tell.
    """

    route: Label
    size: Count
    written: bool
    address: bool | None
    added: Count


class Energy(Body, frozen=True):
    """Joules of one call of a variant, averaged over seconds of calls; `source` says what was read."""

    subject: Label
    case: dict
    arm: Label
    joules: float
    source: Label


class Breadth(Body, frozen=True):
    """What one framework offers of a list of things made from the other or from a shared set.

    `group` says of what (layers, losses, operations, architectures); `total` is the list's length, `lacking`
    names what the framework does not have.
    """

    framework: Label
    group: Label
    total: Count
    lacking: list[Label]


class Finding(Body, frozen=True):
    """A defect found in a published comparison, or a statement, tried live with a small model of our own.

    `effect` is what `measure` reads with the defect, or of what the statement says; `control` what it reads
    without. `told` says what was tried and what came of it.
    """

    name: Label
    measure: Label
    effect: float
    control: float
    reproduced: bool
    told: Prose = ""


class Traffic(Body, frozen=True):
    """Bytes of one training step: the fewest that must cross memory, and all when nothing is fused."""

    twin: Label
    case: dict
    compulsory: Count
    unfused: Count


AS_SHIPPED, EQUAL = "as shipped", "as this report sets it"  # how float32 is computed


class Precision(Body, frozen=True):
    """Relative L2 errors of float32 against float64: of a product of `size`, and of a step's gradients.

    `setting` says whether the framework was left as it is shipped or set as this report sets it.
    """

    framework: Label
    setting: Label
    size: Count
    product: float
    gradients: float


class Exchange(Body, frozen=True):
    """Seconds in which processes exchange `size` bytes: a sum over all, and a copy from one to another.

    `gradients`: the size is that of the gradients of the step that was timed. `copied` is empty where the
    back end has no messages between two processes, and `refused` says why.
    """

    framework: Label
    backend: Label
    processes: Count
    size: Count
    gradients: bool
    reduced: list[float]
    copied: list[float]
    refused: Prose = ""


_BY_NAME = sorted(Body.__subclasses__(), key=lambda kind: kind.__name__)
KINDS = {kind.__name__.lower(): kind for kind in _BY_NAME}
