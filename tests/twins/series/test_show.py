"""What notebooks show: the source that ran, accessible tables, computed sentences."""

import math
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from twins.series.show import PAIR, Pair, fitting, note, table, written


def forms(shown) -> dict:
    return shown._repr_mimebundle_()


class Left:
    def double(self, x):
        """`x` twice, in a fence: ```."""
        return 2 * x


def right(x):
    return x + x


def test_pair_shows_the_real_source():
    made = forms(Pair(MLX=Left.double, PyTorch=right))
    assert made[PAIR]["PyTorch"] == "def right(x):\n    return x + x"
    assert made[PAIR]["MLX"].startswith("def double(self, x):\n    ")
    assert made["text/markdown"].endswith("**PyTorch**\n\n```python\ndef right(x):\n    return x + x\n```")
    assert "**MLX**\n\n````python\ndef double" in made["text/markdown"]
    assert "```" not in made["text/plain"].replace("fence: ```", "")


def test_pair_names_what_has_no_source():
    with pytest.raises(ValueError, match="written in Python, not <built-in function len>"):
        Pair(MLX=len)


def test_note_is_markdown():
    assert forms(note("**2** of 3")) == {"text/markdown": "**2** of 3", "text/plain": "**2** of 3"}


def test_table_aligns_and_heads():
    frame = pd.DataFrame({"task": ["a & b", None], "ms": [1.23456, np.nan], "runs": [20, 3]})
    html = forms(table(frame, "Median <time>"))["text/html"]
    left, right = ' style="text-align: left"', ' style="text-align: right"'
    assert html.startswith('<table class="dataframe">\n<caption>Median &lt;time&gt;</caption>')
    assert f'<th scope="col"{left}>task</th><th scope="col"{right}>ms</th>' in html
    task, ms, runs = (f' data-label="{name}"' for name in ("task", "ms", "runs"))
    assert (
        f'<tr><th scope="row"{left}{task}>a &amp; b</th><td{right} data-value="1.23456"{ms}>1.235</td>'
        in html
    )
    assert f'<tr><th scope="row"{left}{task}>–</th><td{right}{ms}>–</td><td{right}{runs}>3</td></tr>' in html
    assert html == forms(table(frame, "Median <time>"))["text/html"]


def test_a_column_of_sentences_may_wrap():
    frame = pd.DataFrame({"claim": ["x" * 33, "y"], "verdict": ["z" * 32, "y"]})
    html = forms(table(frame))["text/html"]
    assert re.findall(r'class="long"[^>]*>(\w)', html) == ["c", "x", "y"]


@pytest.mark.parametrize(
    ("columns", "look"),
    [
        ([["case", "a b"], ["ms", "1.5"]], ""),
        ([["word " * 40]] * 8, ""),
        ([["w" * 12]] * 7, "dense"),
        ([["w" * 12]] * 12, "stacked"),
    ],
)
def test_a_table_says_how_it_fits_the_column(columns, look):
    assert fitting(columns) == look
    frame = pd.DataFrame({f"{texts[0]}{i}": texts[1:] or ["-"] for i, texts in enumerate(columns)})
    assert (f'class="dataframe {look}"' if look else 'class="dataframe"') in forms(table(frame))["text/html"]


def test_table_keeps_a_named_index_and_drops_a_numbered_one():
    frame = pd.DataFrame({"task": ["x", "y"], "size": [1, 2]})
    for shown in (frame, frame.iloc[::-1].iloc[::-1], frame.set_index("task")):
        assert forms(table(shown))["text/plain"].split() == ["task", "size", "x", "1", "y", "2"]
    wide = pd.DataFrame({"n": [1, 1], "side": ["l", "r"], "v": [3, 4]}).pivot(
        index="n", columns="side", values="v"
    )
    assert forms(table(wide))["text/plain"].split() == ["n", "l", "r", "1", "3", "4"]


def test_a_table_without_rows_says_so():
    nothing = pd.DataFrame([], columns=["route", "error message"])
    assert forms(table(nothing, "What failed"))["text/markdown"] == "What failed: none."
    assert forms(table(nothing))["text/markdown"] == "None."


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"": [1]}),
        pd.DataFrame({("a", "b"): [1]}),
        pd.DataFrame({"a": [1]}, index=["unnamed"]),
    ],
)
def test_table_refuses_an_empty_heading(frame):
    with pytest.raises(ValueError, match="each have one name, not"):
        table(frame)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5, "0.5"),
        (0.0001234567, "0.0001235"),
        (1e-7, "1e-07"),
        (1234.5678, "1235"),
        (9999.4, "9999"),
        (9999.6, "10,000"),
        (-1234567.8, "-1,234,568"),
        (math.inf, "inf"),
        (2026, "2026"),
        ("text", "text"),
    ],
)
def test_numbers_are_written_to_be_read(value, text):
    assert written(value) == text


def test_show_needs_no_framework():
    code = "import sys, twins.series.show; print({'mlx', 'torch', 'pandas'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"
