"""Every figure's title and alt text are true of its records, whoever is faster; SVG keeps to the palette."""

import re

import pytest
import records
from msgspec.structs import replace
from records import product, step, timed

from twins.figures import training_figures
from twins.figures.style import Figure, blank
from twins.records.record_types import Memory, Work
from twins.series import show
from twins.timing import comparison, statistics
from twins.timing.ceilings import ceilings
from twins.timing.statistics import duration

PALETTE = {"#1b1f24", "#5f6b7a", "#d5dae1", "#ffffff", "#0072b2", "#c24e00"}
FASTER = {"MLX": (1.0, 2.0), "PyTorch": (2.0, 1.0), None: (1.0, 1.0)}  # seconds of (MLX, PyTorch)
BATCHES = (1, 4, 16)


def words(figure: Figure) -> list[str]:
    """The texts of a figure's SVG."""
    return re.findall(r"<text[^>]*>([^<]*)</text>", figure.svg)


def steps(winner: str | None, **more) -> list:
    return [step(batch, *(s * batch for s in FASTER[winner]), **more) for batch in BATCHES]


def parts(mlx: str, torch: str) -> list:
    """Parts whose longest is the named one."""
    names = ("data", "forward", "backward", "optimizer")

    def seconds(longest):
        data, forward, backward, optimizer = (5.0 if name == longest else 1.0 for name in names)
        return data, forward, forward + backward, optimizer

    return [records.parts(seconds(mlx), seconds(torch))]


def products(mlx: float, torch: float) -> list:
    """Products at rates in GFLOP/s, float16 ten times as slow."""
    return [
        product(n, dtype, *(2e-9 * n**3 / rate * slow for rate in (mlx, torch)))
        for n in (256, 1024)
        for dtype, slow in (("float32", 1), ("float16", 10))
    ]


def shares(winner: str | None) -> Figure:
    return training_figures.shares(ceilings.utilisation(steps(winner), works(), {"float32": 4e9}))


def works() -> list[Work]:
    return [Work("transformer_lm", {"batch": batch}, batch * 10**9) for batch in BATCHES]


TIES = [comparison.Comparison(f"batch {batch}", records.over(1.0, 1.03), 1.05) for batch in BATCHES]
# name -> (figure, what its title must say)
FIGURES = {
    "ratios, MLX": (
        lambda: training_figures.ratios(comparison.steps(steps("MLX")), "Step"),
        "Step: MLX 2.00× as fast in all 3 cases",
    ),
    "ratios, PyTorch": (
        lambda: training_figures.ratios(comparison.steps(steps("PyTorch")), "Step"),
        "Step: PyTorch 2.00× as fast in all 3 cases",
    ),
    "ratios, ties": (
        lambda: training_figures.ratios(TIES, "Step"),
        "Step: a tie in all 3 cases",
    ),
    "ratios, each": (
        lambda: training_figures.ratios(comparison.steps([*steps("MLX")[:2], steps("PyTorch")[2]]), "Step"),
        "Step: MLX 2.00× as fast in 2 of 3 cases; PyTorch 2.00× as fast in 1 of 3 cases",
    ),
    "scaling, MLX": (
        lambda: training_figures.scaling(steps("MLX"), "sequence"),
        "MLX 2.00× as fast in all 3 batch sizes",
    ),
    "scaling, PyTorch": (
        lambda: training_figures.scaling(steps("PyTorch", modes=("eager", "compiled")), "sequence"),
        "PyTorch 2.00× as fast in all 3 batch sizes",
    ),
    "scaling, ties": (
        lambda: training_figures.scaling(steps(None), "sequence"),
        "undecided in all 3 batch sizes",
    ),
    "scaling, each": (
        lambda: training_figures.scaling([*steps("MLX")[:2], steps("PyTorch")[2]], "sequence"),
        "MLX 2.00× as fast in 2 of 3 batch sizes; PyTorch 2.00× as fast in 1 of 3 batch sizes",
    ),
    "losses, apart": (
        lambda: training_figures.losses(records.fit(entropy=0.9, apart=0.02)),
        "The losses are equal within 0.01 nats for 2 steps; "
        "they end near 1.02 nats in MLX and 1.00 in PyTorch",
    ),
    "losses, equal": (
        lambda: training_figures.losses(records.fit()),
        "The losses are the same; both end near 1.00 nats",
    ),
    "parts, one": (
        lambda: training_figures.parts(parts("data", "backward")),
        "Data takes longest in MLX, backward in PyTorch",
    ),
    "parts, both": (
        lambda: training_figures.parts(parts("optimizer", "optimizer")),
        "Optimizer takes longest in both",
    ),
    "shares, MLX": (lambda: shares("MLX"), "MLX eager reaches 25 % of what this machine can do"),
    "shares, PyTorch": (lambda: shares("PyTorch"), "PyTorch eager reaches 25 % of what this machine can do"),
    "memory, MLX": (
        lambda: training_figures.memory(records.memory(MLX_eager=100, PyTorch_eager=200)),
        "MLX eager needs the least memory, PyTorch eager the most",
    ),
    "memory, PyTorch": (
        lambda: training_figures.memory(
            records.memory(MLX_eager=200, PyTorch_eager=100, PyTorch_compiled=150)
        ),
        "PyTorch eager needs the least memory, MLX eager the most",
    ),
    "memory, tie": (
        lambda: training_figures.memory(records.memory(MLX_eager=100, PyTorch_eager=104)),
        "A tie: all need the same memory within 5 % or their range",
    ),
    "products, MLX": (
        lambda: training_figures.products(products(200, 100)),
        "The best product here runs at 200 GFLOP/s (MLX, float32)",
    ),
    "products, PyTorch": (
        lambda: training_figures.products(products(100, 150)),
        "The best product here runs at 150 GFLOP/s (PyTorch, float32)",
    ),
    "nothing": (lambda: training_figures.nothing("the gate failed"), "Nothing to draw: the gate failed"),
}


@pytest.fixture(scope="module")
def drawn() -> dict[str, Figure]:
    return {name: draw() for name, (draw, _) in FIGURES.items()}


@pytest.mark.parametrize("name", FIGURES)
def test_the_title_is_the_finding_and_the_alt_text_states_it(drawn, name):
    _, title = FIGURES[name]
    assert title in " ".join(words(drawn[name]))
    assert drawn[name].alt.startswith(title)


@pytest.mark.parametrize("name", FIGURES)
def test_only_the_palette_is_used(drawn, name):
    svg = drawn[name].svg
    used = {colour.strip() for colour in re.findall(r"(?:fill|stroke): ?([^;\"]+)", svg)}
    assert {colour for colour in used if not colour.startswith(("url(", "none"))} <= PALETTE
    assert set(re.findall(r"#[0-9a-fA-F]{6}\b", svg)) <= PALETTE
    # SVG paints black what has no colour, and matplotlib writes none where it means black
    assert [t for t in re.findall(r"<(?:text|tspan) [^>]*>", svg) if "fill:" not in t] == []
    shapes = re.sub(r"<(defs|clipPath).*?</\1>", "", svg, flags=re.S)
    assert [s for s in re.findall(r"<(?:path|use|rect)[^>]*>", shapes) if "fill:" not in s] == []


@pytest.mark.parametrize("name", FIGURES)
def test_drawn_twice_it_is_the_same_bytes(drawn, name):
    again = FIGURES[name][0]()
    assert again.svg == drawn[name].svg
    assert again.png == drawn[name].png
    assert again.alt == drawn[name].alt


def test_a_figure_shows_itself_with_its_alt_text(drawn):
    figure = drawn["ratios, MLX"]
    data, about = figure._repr_mimebundle_()
    assert data == {
        "image/svg+xml": figure.svg,
        "image/png": figure.png,
        "text/plain": figure.alt,
        show.NARROW: figure.narrow,
    }
    assert figure.narrow.startswith("<svg") and figure.narrow != figure.svg
    assert {kind: facts["alt"] for kind, facts in about.items()} == {
        "image/svg+xml": figure.alt,
        "image/png": figure.alt,
    }
    assert figure.svg.startswith("<svg")
    assert figure.png.startswith(b"\x89PNG")


@pytest.mark.parametrize("alt", ["", "  \n"])
def test_a_figure_without_alt_text_is_refused(alt):
    with pytest.raises(ValueError, match="a figure needs alt text that states its finding"):
        Figure(blank(1.0)[0], alt)


@pytest.mark.parametrize(
    ("draw", "why"),
    [
        (lambda: training_figures.ratios([], "Step"), "no timing was recorded"),
        (lambda: training_figures.scaling([], "sequence"), "no timing was recorded"),
        (lambda: training_figures.parts([]), "no timing was recorded"),
        (
            lambda: training_figures.shares(ceilings.utilisation([], [], {"float32": 1e9})),
            "no timing, or no probed ceiling that is high enough, was recorded",
        ),
        (
            lambda: training_figures.shares(ceilings.utilisation(steps("MLX"), works(), {})),
            "no timing, or",
        ),
        (
            lambda: training_figures.shares(ceilings.utilisation(steps("MLX"), works(), {"float32": 1e7})),
            "no timing, or no probed ceiling that is high enough",
        ),
        (lambda: training_figures.memory([]), "no memory was recorded"),
        (lambda: training_figures.products([]), "no product was timed"),
        (lambda: training_figures.products([timed("addition", {}, {"MLX": 1.0})]), "no product was timed"),
    ],
)
def test_nothing_is_drawn_of_nothing(draw, why):
    assert draw().alt.startswith(f"Nothing to draw: {why}")


# --- what is in the figures ------------------------------------------------------------------------


def test_ratios_are_in_words(drawn):
    both = words(drawn["ratios, each"])
    assert both.count("2.00×") == 3
    assert {"←  PyTorch ahead", "MLX ahead  →", "same"} <= set(both)
    assert "tie" not in both
    assert words(drawn["ratios, ties"]).count("tie") == 3
    assert drawn["ratios, PyTorch"].alt.count("PyTorch 2.00× as fast [1.25–3.20]") == 3
    assert drawn["ratios, ties"].alt.count(": tie") == 3
    undecided = training_figures.ratios(comparison.steps(steps(None)), "Step")
    assert words(undecided).count("undecided") == 3


def test_many_rows_stand_closer():
    rows = comparison.steps([step(batch, 1.0, 2.0) for batch in range(1, 41)])
    heights = [
        float(re.search(r'height="([\d.]+)pt"', training_figures.ratios(r, "Step").svg)[1])
        for r in (rows[:20], rows)
    ]
    assert heights[0] < heights[1] < 1.8 * heights[0]
    assert "MLX 2.00× as fast in all 40 cases" in training_figures.ratios(rows, "Step").alt


def test_the_ratio_axis_is_symmetric(drawn):
    """The same records with the frameworks' times exchanged give the same ticks."""
    for name in ("ratios, MLX", "ratios, PyTorch"):
        ticks = [w for w in words(drawn[name]) if re.fullmatch(r"[\d.]+×|same", w) and w != "2.00×"]
        assert ticks == ["1.5×", "2×", "3×", "5×", "same", "1.5×", "2×", "3×", "5×"]


def test_scaling_says_every_batch_size(drawn):
    assert drawn["scaling, each"].alt.startswith(
        "MLX 2.00× as fast in 2 of 3 batch sizes; PyTorch 2.00× as fast in 1 of 3 batch sizes. "
        "batch 1, eager: MLX 2.00× as fast [1.25–3.20]; "
        "batch 4, eager: MLX 2.00× as fast [1.25–3.20]; "
        "batch 16, eager: PyTorch 2.00× as fast [1.25–3.20]. One session so far: "
    )
    found = words(drawn["scaling, PyTorch"])
    variants = {
        f"{framework} {mode}" for framework in comparison.FRAMEWORKS for mode in ("eager", "compiled")
    }
    assert variants | {"1", "4", "16", "batch size", "time per sequence"} <= set(found)


def test_the_order_of_records_changes_nothing():
    made = [training_figures.scaling(found, "sequence").svg for found in (steps("MLX"), steps("MLX")[::-1])]
    assert made[0] == made[1]


def test_losses_show_entropy_and_floor(drawn):
    assert "entropy of the source" in words(drawn["losses, apart"])
    assert "entropy of the source" not in words(drawn["losses, equal"])
    assert "PyTorch with permuted rows differs from itself by 0.001" in drawn["losses, apart"].alt
    assert {"MLX", "PyTorch", "training step"} <= set(words(drawn["losses, apart"]))


def test_parts_are_labelled_with_their_time(drawn):
    found = words(drawn["parts, one"])
    assert {"MLX 5 s", "PyTorch 5 s", "data", "forward", "backward", "optimizer"} <= set(found)
    assert found.count("MLX 1 s") == found.count("PyTorch 1 s") == 3


def test_a_backward_lost_in_noise_is_drawn_as_nothing():
    figure = training_figures.parts([records.parts((1.0, 3.0, 2.5, 1.0), (1.0, 3.0, 2.5, 1.0))])
    assert {"MLX 0 ns", "PyTorch 0 ns"} <= set(words(figure))


def test_shares_say_where_and_of_what(drawn):
    assert drawn["shares, MLX"].alt.endswith("at batch 1; the ceiling is 4 GFLOP/s in float32.")


def test_memory_is_sorted_and_labelled(drawn):
    told = "MLX eager 200 MB, PyTorch compiled 150 MB, PyTorch eager 100 MB."
    assert drawn["memory, PyTorch"].alt.endswith(told)
    assert {"200 MB", "150 MB", "100 MB"} <= set(words(drawn["memory, PyTorch"]))


def test_memory_whose_readings_overlap_is_a_tie():
    found = [
        replace(each, readings=[n * 2**20 for n in readings])
        for each, readings in zip(
            records.memory(MLX_eager=100, PyTorch_eager=66), [(80, 100, 104), (61, 66, 79)], strict=True
        )
    ]
    figure = training_figures.memory(found)
    assert figure.alt.startswith("A tie: all need the same memory within 5 % or their range")
    assert {"100 (80 to 104) MB", "66 (61 to 79) MB"} <= set(words(figure))
    found[1] = replace(found[1], readings=[n * 2**20 for n in (61, 66, 70)])
    assert training_figures.memory(found).alt.startswith("PyTorch eager needs the least memory")


def test_memory_is_the_frameworks_own_count_where_both_keep_one():
    found = [
        Memory("lm", {}, variant, 9 * 2**30, size * 2**20, "its allocator")
        for variant, size in (("MLX eager", 100), ("PyTorch eager", 300))
    ]
    assert training_figures.memory(found).alt.endswith("the most: PyTorch eager 300 MB, MLX eager 100 MB.")
    found[0] = replace(found[0], allocator=None)
    assert training_figures.memory(found).alt.endswith("PyTorch eager 9216 MB.")


def test_products_say_the_best_of_each(drawn):
    assert drawn["products, MLX"].alt.endswith(
        "Best of each in GFLOP/s: MLX float32 200; PyTorch float32 100; MLX float16 20; PyTorch float16 10."
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(2.0, "2 s"), (1.5e-3, "1.5 ms"), (1e-5, "10 µs"), (2.5e-8, "25 ns"), (0.25, "250 ms"), (0.0, "0 ns")],
)
def test_times_are_in_the_unit_a_person_would_choose(seconds, text):
    assert duration(seconds) == text


def test_samples_are_all_drawn_and_drawn_alike():
    record = steps("MLX")[0]
    drawn = [training_figures.samples(record) for _ in range(2)]
    assert drawn[0].svg == drawn[1].svg
    found = comparison.runs(record)
    count = sum(
        len(x) for variant in statistics.variant_names(found) for x in statistics.values(found, variant)
    )
    assert f"batch {record.case['batch']}, {count} samples of {len(found)} processes" in drawn[0].alt
    assert training_figures.samples(None).alt == "Nothing to draw: no timing was recorded"
