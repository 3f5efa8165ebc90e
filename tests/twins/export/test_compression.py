"""Smaller packages are what they should be, ranges count every sample, and the frontier's arithmetic."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from coreml_runtime import load
from twins.evidence.answers import frontier
from twins.export import compression, compressors, shipping, trained_models
from twins.figures import compression_figures
from twins.records.export_types import Compressed


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compression")
    given = trained_models.load("transformer_lm", "tiny")
    return compressors.Bench(replace(given, held_out=given.held_out[:2]), folder)


@pytest.fixture(scope="module")
def measured(bench):
    made = compression.points(bench, ["linear"], [32])
    return [record for point in made for record in compression.measured(bench, point)]


def test_every_point_is_verified_and_smaller(measured):
    base, half, *small = measured
    assert [r.family for r in small] == ["linear", "linear", "MLX quantize", "MLX quantize"]
    assert all("passes" in r.line and "tolerance" in r.line for r in measured)
    assert half.weights < 0.6 * base.weights
    assert all(r.weights < 0.7 * half.weights for r in small)
    assert base.error < 1e-6 < half.error < 1e-3
    assert all(np.isfinite(r.value) and r.value < 2 * base.value for r in measured)


def test_the_loss_says_on_which_side_of_the_tolerance_it_is():
    assert "within" in compression.lossy(0.05)
    assert "beyond" in compression.lossy(0.5)


def test_an_unknown_family_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'zip' is not known; known are linear"):
        next(compression.frontier([], tmp_path, ["zip"]))


def test_a_group_wider_than_every_layer_gives_no_module(bench):
    assert compressors.quantized_module(bench.model.mlx, 4, 1024) is None


def test_ranges_are_those_of_all_samples(bench):
    from coremltools.optimize.coreml.experimental import _post_training_quantization as calibration

    samples = [{"ids": np.full((1, 16), token, np.int32)} for token in (250, 3)]
    model = load(bench.plain.package_path)
    with compressors.calibrated(model):
        ranges = calibration._get_activation_calibration_stats(bench.plain, samples)
    assert (ranges["ids"]["rmin"], ranges["ids"]["rmax"]) == (3, 250)
    name = next(n for n, r in ranges.items() if n != "ids" and abs(float(r["rmax"])) > 0.1)
    seen = [model.predict(each, intermediates=True)[name] for each in samples]
    assert ranges[name]["rmin"] == min(x.min() for x in seen)
    assert ranges[name]["rmax"] == max(x.max() for x in seen)


def record(size, value, metric="accuracy", family="linear", setting="x") -> Compressed:
    return Compressed("bert", family, setting, size, size, metric, value, 100, 0.0, "passes")


def test_the_frontier_is_what_nothing_beats_in_both():
    a, b, c, d = record(10, 0.5), record(20, 0.8), record(30, 0.7), record(40, 0.9)
    assert frontier.pareto([d, c, b, a]) == [a, b, d]
    p, q, r = (record(s, v, "perplexity") for s, v in ((10, 9.0), (20, 12.0), (30, 7.0)))
    assert frontier.pareto([p, q, r]) == [p, r]


def test_the_figure_and_its_words_name_the_smallest_close_package():
    base = record(100, 0.80, family="uncompressed", setting="float32")
    near, far = record(25, 0.79), record(10, 0.40, family="MLX quantize")
    assert frontier.close([base, near, far]) == near
    figure = compression_figures.frontier([base, near, far])
    assert "BERT at 25 %" in figure.alt
    assert list(shipping.points([base, near, far])["frontier"]) == ["yes", "yes", "yes"]
    kept = shipping.best([base, near, far])
    assert kept["size"].tolist() == ["100%", "25%", "10%"] and "frontier" not in kept


def test_tensors_that_fp16_cannot_count_are_pruned_as_well(tmp_path):
    import mlx.nn as nn

    from twins.frameworks import mx

    mx.random.seed(0)
    module, example = nn.Linear(256, 300), (np.ones((1, 256), np.float32),)
    wide = SimpleNamespace(mlx=module, example=example)
    bench = compressors.Bench(wide, tmp_path)
    path = bench.saved(compressors.pruned(0.5)(bench), "pruned")
    whole = 2 * 256 * 300
    assert 0.5 * whole < sum(f.stat().st_size for f in path.rglob("weight.bin")) < 0.6 * whole
