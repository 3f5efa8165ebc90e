"""Many machines in one figure: every one is drawn, none pooled, with few operations."""

import msgspec
import pytest
import records
from matplotlib.collections import LineCollection
from msgspec.structs import replace

from twins.evidence import summary
from twins.figures import machine_figures, training_figures
from twins.figures.style import Figure
from twins.records import store
from twins.timing.comparison import Comparison

RUN = "2026-05-01T12:00:00.000001Z"


def write(folder, count):
    """Synthetic records of many machines: of the i-th, PyTorch takes 1 + i / count times MLX's time."""
    for i in range(count):
        here = replace(records.MACHINE, id=f"synthetic-{i}")
        bodies = [here, records.step(4, 0.01, 0.01 * (1 + i / count))]
        store.append(
            folder / here.id / "02_transformer_lm.jsonl",
            [
                store.Record(
                    1,
                    type(b).__name__.lower(),
                    here.id,
                    "CPU",
                    here.versions,
                    "02_transformer_lm",
                    "quick",
                    RUN,
                    b,
                )
                for b in bodies
            ],
        )


def test_many_files_are_read_by_readers_that_are_made_once(tmp_path, monkeypatch):
    write(tmp_path, 60)
    monkeypatch.setattr(msgspec.json, "Decoder", None)
    monkeypatch.setattr(msgspec.json, "decode", None)
    found = store.read(tmp_path)
    assert len(found.records) == 120 and found.problems == []


def test_machines_are_compared_each_for_itself(tmp_path):
    write(tmp_path, 4)
    found = store.read(tmp_path)
    values = [summary.headline(summary.evidence(found, f"synthetic-{i}"))[0].ratio.value for i in range(4)]
    assert [round(value, 6) for value in values] == [1, 1.25, 1.5, 1.75]


@pytest.fixture
def drawn(monkeypatch):
    """The axes and words of a figure for so many machines, every second one faster with MLX."""

    def draw(count):
        values = [(2.0 if i % 2 else 0.5) * (1 + i / 10_000) for i in range(count)]
        rows = [Comparison(f"machine {i}", records.over(v, 1.1), 1.05) for i, v in enumerate(values)]
        axes = []
        for module in (training_figures, machine_figures):
            monkeypatch.setattr(
                module, "Figure", lambda canvas, alt: axes.append(canvas.axes[0]) or Figure(canvas, alt)
            )
        words = machine_figures.machines(rows, "Training step").alt
        return axes[0], words

    return draw


def test_a_thousand_machines_are_one_collection(drawn):
    axes, words = drawn(1000)
    (lines,) = [each for each in axes.collections if isinstance(each, LineCollection)]
    assert len(lines.get_segments()) == 1000 and len(axes.texts) < 10
    assert "as fast in 500 of 1000 machines; PyTorch " in words
    heights = [segment[:, 1].mean() for segment in lines.get_segments()]
    assert heights == sorted(heights)


def test_few_machines_keep_their_names(drawn):
    axes, _ = drawn(3)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["machine 0", "machine 2", "machine 1"]
