"""A reader's own file: it is a twin like any other, and what is wrong with it is one sentence."""

import os
import re
import textwrap
from pathlib import Path

import pytest

from twins.parity import fairness_gate
from twins.records import store
from twins.records.record_types import Gate
from twins.series import notebook_files, runner
from twins.timing import flops, statistics, study
from twins.timing.harness import Plan
from twins.timing.study import Study
from twins.training import train

SHIPPED = store.ROOT / "notebooks" / "your_model.py"
SMALL = """
import mlx.nn as mnn
import torch
from torch import nn as tnn
from torch.nn import functional as F

class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.body = mnn.Linear(4, 8)
        self.head = mnn.Linear(8, 3)
    def __call__(self, x):
        return self.head(mnn.gelu(self.body(x)))

class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.body = tnn.Linear(4, 8)
        self.head = tnn.Linear(8, 3)
    def forward(self, x):
        return self.head(F.gelu(self.body(x)))

def mlx_model():
    return Mlx()

def torch_model():
    return Torch()

def batch(rng, size):
    return rng.standard_normal((size, 4)).astype("float32"), rng.integers(0, 3, size, dtype="int32")

def mlx_loss(model, x, y):
    return mnn.losses.cross_entropy(model(x), y, reduction="mean")

def torch_loss(model, x, y):
    return F.cross_entropy(model(x), y)
"""


@pytest.fixture
def written(tmp_path):
    """A function that writes a file with some text replaced and gives its path."""

    def write(*changes: tuple[str, str], more: str = "", name: str = "mine.py") -> str:
        text = SMALL
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / name).write_text(text + more)
        return str(tmp_path / name)

    return write


def judged(file: str) -> tuple[Gate, str]:
    """The gate's verdict on a file, and what it is explained by."""
    own = Study(file, {})
    batches = own.examples(8, 20)
    verdict = study.gate(own, batches, torch_compiled=False)
    return verdict, study.explained(own, verdict, batches)


# --- a twin like any other -------------------------------------------------------------------------


def test_a_file_of_ones_own_passes_the_gate(written):
    verdict, explained = judged(written())
    assert verdict.passed
    assert explained == ""
    assert (verdict.twin, verdict.case) == ("mine", {})


@pytest.mark.parametrize("seed", range(5))
def test_the_file_that_ships_passes(seed):
    own = Study(str(SHIPPED), {}, seed=seed)
    verdict = fairness_gate.gate(own.name, own.halves, own.examples(4, 20))
    assert verdict.failures() == []


def test_the_file_that_ships_is_measured_like_any_other(monkeypatch):
    monkeypatch.chdir(SHIPPED.parent)
    own = Study(SHIPPED.name, {})
    passed = Gate(own.name, {}, True, [], {})
    (record,) = study.steps(own, passed, [2], ["eager"], Plan(1, 1, 2, 0))  # in a fresh process, by its path
    assert record.case == {"twin": "your_model", "batch": 2}
    assert statistics.variant_names([statistics.run_from(run) for run in record.runs])[:2] == [
        "MLX eager",
        "PyTorch eager",
    ]
    one, two = study.works(own, passed, [1, 2])
    assert two.flops == 2 * one.flops > 0
    assert study.room(own, 64) > study.room(own, 1) > 16 * 200_000


def test_a_count_that_differs_is_told(written, monkeypatch):
    monkeypatch.setattr(flops, "count_mlx", lambda *arguments: 1)
    own = Study(written(), {})
    works, why = study.countable(own, Gate("mine", {}, True, [], {}), [2])
    assert works == []
    assert re.fullmatch(r"The share of the ceiling is not known: a step is 1 operations in .*\.", why)


def test_a_changed_file_is_read_again(written):
    file = written()
    before = train.named(file)
    assert train.named(file) is before
    written(("Linear(8, 3)", "Linear(8, 5)"))
    os.utime(file, ns=(1, 1))
    after = train.named(file)
    assert after is not before
    assert after.HALVES[0](after.Config()).head.weight.shape == (5, 8)


def test_a_file_may_bring_its_optimizers(written):
    file = written(
        more="""
import mlx.optimizers

def mlx_optimizer(recipe):
    return mlx.optimizers.SGD(learning_rate=recipe.learning_rate, momentum=0.9)

def torch_optimizer(recipe, model):
    return torch.optim.SGD(model.parameters(), lr=recipe.learning_rate, momentum=0.9)
"""
    )
    ours, theirs = Study(file, {}).halves()
    assert (type(ours.optimizer).__name__, type(theirs.optimizer).__name__) == ("SGD", "SGD")
    assert judged(file)[0].passed


SCHEDULED = """
import mlx.optimizers

ACCUMULATE = 2
CLIP = None

def mlx_optimizer(recipe):
    rate = mlx.optimizers.cosine_decay(recipe.learning_rate, 50)
    return mlx.optimizers.SGD(learning_rate=rate, momentum=0.9)

def torch_optimizer(recipe, model):
    return torch.optim.SGD(model.parameters(), lr=recipe.learning_rate, momentum=0.9)

def torch_schedule(recipe, optimizer):
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 50)
"""


def test_a_file_may_bring_schedules_parts_of_a_batch_and_what_it_clips_at(written):
    file = written(more=SCHEDULED)
    ours, theirs = Study(file, {}).halves()
    assert ours.schedule is None
    assert theirs.schedule.T_max == 50
    assert (ours.accumulate, theirs.accumulate, ours.clip, theirs.clip) == (2, 2, None, None)
    assert judged(file)[0].passed
    ours, theirs = Study(written(name="plain.py"), {}).halves()
    assert (theirs.schedule, ours.accumulate, ours.clip, theirs.clip) == (None, 1, 1.0, 1.0)


def test_a_schedule_of_one_half_is_refused(written):
    file = written(
        (
            "def mlx_model",
            SCHEDULED.replace("CosineAnnealingLR(optimizer, 50)", "StepLR(optimizer, 2)") + "def mlx_model",
        )
    )
    assert not judged(file)[0].passed


def test_a_file_may_import_what_lies_beside_it(written, tmp_path):
    (tmp_path / "beside_mine.py").write_text("WIDTH = 6\n")
    file = written(("4, 8", "4, WIDTH"), ("8, 3", "WIDTH, 3"), more="\nfrom beside_mine import WIDTH\n")
    assert Study(file, {}).halves()[0].model.body.weight.shape == (6, 4)


def test_the_report_runs_again_when_the_file_changed(tmp_path, monkeypatch):
    page = runner.SOURCES / "12_your_model.ipynb"
    before = runner.key(page, {}, tmp_path)
    assert runner.key(page, {}, tmp_path) == before
    read = Path.read_text
    monkeypatch.setattr(Path, "read_text", lambda path: read(path) + "#" * (path.name == SHIPPED.name))
    assert runner.key(page, {}, tmp_path) != before
    assert notebook_files.declared(page)["file"] == SHIPPED.name


# --- planted defects in the file that ships, as a reader would make them ---------------------------

UNCORRECTED = """
import mlx.optimizers

def mlx_optimizer(recipe):
    return mlx.optimizers.AdamW(learning_rate=recipe.learning_rate, weight_decay=recipe.weight_decay)
"""
FROZEN = """
def torch_model():
    model = TorchTextClassifier()
    model.gate.requires_grad_(False)
    return model
"""
DEFECTS = {
    "layouts swapped": (
        (
            "y = self.context(x.transpose(1, 2))  # torch's convolution takes (B, C, T)\n"
            "        x = x + F.gelu(y).transpose(1, 2)",
            "x = x + F.gelu(self.context(x))",
        ),
        "",
        "its 96 channels are on another axis: it takes channels-first and is given channels-last",
    ),
    "a missing bias": (
        (
            "self.value = mnn.Linear(WIDTH, 2 * WIDTH)",
            "self.value = mnn.Linear(WIDTH, 2 * WIDTH, bias=False)",
        ),
        "",
        "a bias is missing in MLX's half",
    ),
    "tanh for exact GELU": (
        ("mnn.gelu(", "mnn.gelu_approx("),
        "",
        "MLX computes the tanh approximation of GELU of the output of `context` plus the output of `tokens`, "
        "PyTorch exact GELU of the output of `context` plus the input of `context`",
    ),
    "bias correction off": (
        ("", ""),
        UNCORRECTED,
        "bias correction is off in MLX (its default) and on in PyTorch",
    ),
    "a frozen parameter": (("", ""), FROZEN, "`gate.bias` is frozen in PyTorch and trained in MLX"),
    "a sum for a mean": (
        (
            'mnn.losses.cross_entropy(model(ids), labels, reduction="mean")',
            'mnn.losses.cross_entropy(model(ids), labels, reduction="sum")',
        ),
        "",
        'the loss\'s `reduction` is "sum" in MLX and "mean" in PyTorch',
    ),
    "no map": (
        ('NAMES = {"head": "head.layers"}', ""),
        "",
        "they look like the same weights under two names: "
        'NAMES = {"head.1.weight": "head.layers.1.weight", "head.1.bias": "head.layers.1.bias"}',
    ),
}


@pytest.mark.parametrize(("change", "more", "cause"), DEFECTS.values(), ids=DEFECTS)
def test_a_planted_defect_is_named(tmp_path, change, more, cause):
    text = SHIPPED.read_text()
    assert change[0] in text
    (tmp_path / "mine.py").write_text((text.replace(*change) if change[0] else text) + more)
    verdict, explained = judged(str(tmp_path / "mine.py"))
    assert not verdict.passed
    assert study.refusal(verdict).startswith("**mine is not timed**")
    assert explained.endswith(f"Likely cause: {cause}.")


# --- bad input -------------------------------------------------------------------------------------


def test_compiled_steps_alone_that_part_are_told(written):
    failed = [{"name": "names", "passed": True}, {"name": "losses, MLX compiled", "passed": False}]
    own = Study(written(), {})
    told = study.explained(own, Gate("mine", {}, False, failed, {}), own.examples(4, 1))
    assert told.startswith("Eager steps agree and compiled ones do not")
    failed.append({"name": "losses, MLX eager", "passed": False})
    told = study.explained(own, Gate("mine", {}, False, failed, {}), own.examples(4, 1))
    assert told == "In a single step no departure is found; the halves part in the steps that follow."


@pytest.mark.parametrize(
    ("changes", "more", "sentence"),
    [
        (
            [],
            "import nowhere\n",
            "mine.py cannot be imported: ModuleNotFoundError: No module named 'nowhere'",
        ),
        ([], "def (:\n", "mine.py cannot be imported: SyntaxError: invalid syntax"),
        (
            [("def batch", "def batches")],
            "",
            "mine.py defines no function batch; a model file defines mlx_model,",
        ),
        (
            [("return Mlx()", "return Torch()")],
            "",
            "mine.py: mlx_model() gives own_mine's Torch; it must give an mlx",
        ),
        (
            [("return Torch()", "return Mlx()")],
            "",
            "mine.py: torch_model() gives own_mine's Mlx; it must give a tor",
        ),
        (
            [],
            "NAMES = {'bodi': 'body'}\n",
            "the name map has 'bodi', which is no weight and no module of the PyTorch half; its weights ar",
        ),
        (
            [],
            "NAMES = {'body': 'trunk'}\n",
            "the name map has 'trunk', which is no weight and no module of the MLX half; its weights are b",
        ),
        ([], "ACCUMULATE = 0\n", "mine.py: ACCUMULATE is 0; it must be an integer of at least 1"),
        ([], "ACCUMULATE = 2.0\n", "mine.py: ACCUMULATE is 2.0; it must be an integer of at least 1"),
        (
            [],
            "ACCUMULATE = 3\n",
            "ACCUMULATE is 3, and a batch of 8 examples cannot be split into 3",
        ),
        ([], "CLIP = 0\n", "mine.py: CLIP is 0; it must be None or a number above 0"),
        ([], "CLIP = 'norm'\n", "mine.py: CLIP is 'norm'; it must be None or a number above 0"),
        (
            [],
            "def torch_schedule(recipe, optimizer):\n    return 0.1\n",
            "mine.py: torch_schedule() gives builtins's float; it must give a torch.optim.lr_scheduler.LRSch",
        ),
        (
            [],
            "def torch_schedule(recipe, optimizer):\n"
            "    return torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)\n",
            "mine.py: torch_schedule() gives a ReduceLROnPlateau, which follows a metric; it must give a sch",
        ),
        (
            [],
            "def torch_schedule(recipe, optimizer):\n"
            "    return torch.optim.lr_scheduler.StepLR(torch.optim.SGD([torch.zeros(1)]), 2)\n",
            "mine.py: torch_schedule() gives a schedule of another optimizer; it must give one of the optimi",
        ),
        (
            [],
            "import mlx.optimizers\n\n"
            "def mlx_optimizer(recipe):\n    return mlx.optimizers.SGD(lambda step: 0.1)\n",
            "mine.py: the learning-rate schedule of mlx_optimizer() gives a float; it must give an mx.array,",
        ),
        (
            [('return rng.standard_normal((size, 4)).astype("float32"), ', "return ")],
            "",
            "mine.py: batch() gives ndarray; it must give a tuple of NumPy arrays, the target last",
        ),
        (
            [('.astype("float32"),', ".tolist(),")],
            "",
            "mine.py: batch() gives ['list', 'ndarray']; it must give a tuple of NumPy arrays, the target",
        ),
    ],
)
def test_a_wrong_file_is_one_sentence(written, changes, more, sentence):
    with pytest.raises((ValueError, TypeError)) as raised:
        judged(written(*changes, more=more))
    assert str(raised.value).startswith(sentence)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there_is_one_sentence():
    with pytest.raises(
        ValueError, match=r"no model named 'nowhere\.py' .* or the path of a \.py file of your own"
    ):
        Study("nowhere.py", {})


@pytest.mark.parametrize(
    ("changes", "place", "told"),
    [
        (
            [("standard_normal((size, 4))", "standard_normal((size, 5))")],
            "`body`",
            "`body` of MLX's half, given (8, 5), refuses the batch ([addmm] Last dimension of first input",
        ),
        (
            [("return self.head(F.gelu(self.body(x)))", "return self.head(F.gelu(self.body(x)))[:, :2]")],
            "the loss",
            "the output of the whole model departs in shape, (8, 3) in MLX and (8, 2) in PyTorch",
        ),
    ],
)
def test_a_batch_that_a_half_refuses_is_told(written, changes, place, told):
    verdict, explained = judged(written(*changes))
    assert not verdict.passed
    failed = [check for check in verdict.checks if not check["passed"]]
    assert [(check["name"], check["where"]) for check in failed] == [("batch", place)]
    assert explained.startswith(f"First departure: {told}")


def test_outputs_of_another_shape_are_told(written):
    verdict, explained = judged(
        written(
            ("return self.head(F.gelu(self.body(x)))", "return self.head(F.gelu(self.body(x)))[None]"),
            ("return F.cross_entropy(model(x), y)", "return F.cross_entropy(model(x)[0], y)"),
        )
    )
    assert not verdict.passed
    assert (
        "the output of the whole model departs in shape, (8, 3) in MLX and (1, 8, 3) in PyTorch" in explained
    )


# --- what a reader's file may not do -----------------------------------------------------------------

FORWARD = "return self.head(mnn.gelu(self.body(x)))"
FORWARD_TORCH = "return self.head(F.gelu(self.body(x)))"
THREAD = "import threading, time; threading.Thread(target=time.sleep, args=(3,), name='mine').start()"
LOOP = """
        while True:
            try:
                sum(range(9))
            except Exception:
                pass
"""
FORBIDDEN = {
    "an endless loop": (LOOP, "takes longer than 0.5 s; TWINS_READER_SECONDS=1 allows twice that"),
    "sys.exit": ("import sys; sys.exit('bye')", "ends the program (sys.exit with 'bye')"),
    "gigabytes of output": (
        "[print('x' * 1000) for _ in range(10**6)]",
        "prints more than 100000 characters",
    ),
    "another folder": ("import os; os.chdir('/')", "changes the working folder to /; give paths from "),
    "a thread": (THREAD, "leaves a thread running (mine), which would disturb what is timed"),
}


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setenv("TWINS_READER_SECONDS", "0.5")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("what", FORBIDDEN)
@pytest.mark.parametrize("line", [FORWARD, FORWARD_TORCH])
def test_a_step_that_no_page_can_run_is_one_sentence(written, what, line, capsys):
    code, sentence = FORBIDDEN[what]
    folder = Path.cwd()
    verdict, explained = judged(written((line, f"{code.strip()}\n        {line}")))
    told = f"mine.py: a first pass through both halves {sentence}"
    assert not verdict.passed and explained.startswith(told) and "\n" not in explained
    assert study.refusal(verdict) == "**mine is not timed.**"
    assert Path.cwd() == folder and len(capsys.readouterr().out) <= 10**5


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("what", FORBIDDEN)
@pytest.mark.parametrize("place", ["import", "mlx_model", "batch"])
def test_a_function_that_no_page_can_run_is_one_sentence(written, what, place):
    code, sentence = FORBIDDEN[what]
    lines = "\n".join(line[4:] if line.startswith(" ") else line for line in code.splitlines())
    where = {"import": "", "mlx_model": "def mlx_model():", "batch": "def batch(rng, size):"}[place]
    body = textwrap.dedent(lines) if place == "import" else textwrap.indent(textwrap.dedent(lines), "    ")
    changes = [] if place == "import" else [(where, f"{where}\n{body}")]
    told = "its import" if place == "import" else f"{place}()"
    with pytest.raises(ValueError, match=re.escape(f"mine.py: {told} {sentence}")):
        own = Study(written(*changes, more=body if place == "import" else ""), {})
        own.examples(2, 1)
        own.apart()


def test_a_limit_of_seconds_is_checked(written, monkeypatch):
    monkeypatch.setenv("TWINS_READER_SECONDS", "soon")
    with pytest.raises(ValueError, match=r"TWINS_READER_SECONDS is 'soon'; it must be a number of seconds"):
        Study(written(), {})


def test_a_file_beside_it_takes_no_librarys_name(written, tmp_path):
    (tmp_path / "random.py").write_text("raise ValueError('not the library')")
    (tmp_path / "colorsys.py").write_text("raise ValueError('not the library')")
    file = written(more="\nimport colorsys, random\nrandom.random()\n")
    assert Study(file, {}).name == "mine"
    with pytest.raises(ValueError, match=r"/colorsys\.py has the name of a module that pages import"):
        notebook_files.check_modules(tmp_path)
