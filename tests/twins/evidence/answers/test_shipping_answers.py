"""The answers about Core ML: computed from records, in sentences whose lead follows from the counts."""

import pytest
from records import MACHINE, timed
from test_route_grid import DIRECT, EXPORT, ONNX, TRACE, failed, made

from twins.evidence.answers import pages, shipping
from twins.records import store
from twins.records.export_types import CHECKED, DEEP, Compressed, Coverage
from twins.timing.statistics import AGAIN

FROM_PYTORCH, FROM_MLX, SHIP = shipping.PAGES


def on(page, *bodies):
    versions, run = {"mlx": "1", "torch": "2"}, "2026-11-25T00:00:00.000000Z"
    kinds = [type(body).__name__.lower() for body in bodies]
    head = (1, MACHINE.id, "CPU", versions, page, "quick", run)
    return [store.Record(head[0], kind, *head[1:], body) for kind, body in zip(kinds, bodies, strict=True)]


def test_both_get_there_when_every_package_is_right_by_some_route():
    rows = [made(DIRECT, seconds=0.4), made(EXPORT), failed(EXPORT, "ValueError: no", model="vit")]
    rows += [made(TRACE, "vit", 2.0), made(DIRECT, "vit", 0.5)]
    told = pages.of(FROM_PYTORCH, on(FROM_PYTORCH, *rows))
    first = told.sentences[0]
    assert first.startswith("**Both get there.** MLX: 2 of 2 packages right in one call, median 0.45 s. ")
    assert "`torch.export` 1 of 2 right, median 1.00 s; `torch.jit.trace` 1 of 1 right" in first
    assert "MLX, one call: 2 of 2 right" in told.line
    assert "no package has been run by Core ML here" in told.not_covered


def test_the_lead_names_what_fails_and_from_which_side():
    right = [made(DIRECT, model, 0.4) for model in "abcdefghijk"]
    theirs = [made(TRACE, model) for model in "abcdefghij"] + [failed(TRACE, "ValueError: no", model="k")]
    first = pages.of(FROM_PYTORCH, on(FROM_PYTORCH, *right, *theirs)).sentences[0]
    assert first.startswith("**Both get there, but for 1 of 11 packages from PyTorch.**")
    few = pages.of(FROM_PYTORCH, on(FROM_PYTORCH, *right, *theirs[:1], theirs[-1])).sentences[0]
    assert first != few and few.startswith("**MLX gets 11 of 11 packages right; PyTorch gets 1 of 2 packages")


def test_onnx_is_needed_only_for_what_no_other_route_converts():
    both = on(FROM_PYTORCH, made(TRACE), made(ONNX), failed(TRACE, "ValueError: no"))
    assert "**ONNX is not needed:**" in pages.of(FROM_PYTORCH, both).sentences[1]
    only = on(FROM_PYTORCH, failed(TRACE, "ValueError: no", model="vit"), made(ONNX, "vit"))
    assert "**ONNX is needed** for ViT." in pages.of(FROM_PYTORCH, only).sentences


def test_traps_are_counted_and_lead_to_their_cures():
    outcomes = {"wrong": 3, "crash": 2, "right": 0}
    trap = Coverage("PyTorch", shipping.TRAPS, {"cured": 5, "of": 5}, outcomes, {})
    told = pages.of(FROM_PYTORCH, on(FROM_PYTORCH, made(TRACE), trap)).sentences[-1]
    assert told.startswith("**3 traps give a wrong package without an error**, 2 more stop you")
    assert "(#traps-and-their-cures)" in told


def test_a_check_by_core_ml_itself_is_said():
    row = made(TRACE, case={"runtimes": ["reference strict", "Core ML CPU"]})
    assert "no package" not in pages.of(FROM_PYTORCH, on(FROM_PYTORCH, row)).not_covered


def test_a_series_of_models_is_in_no_count_of_packages():
    rows = [made(DIRECT), made(DIRECT, "llama", case={"group": "architectures"})]
    assert "1 of 1" in pages.of(FROM_PYTORCH, on(FROM_PYTORCH, *rows)).sentences[0]


def conversions_timed(mlx, torch):
    variants = {CHECKED: mlx, DIRECT: mlx, DIRECT + AGAIN: mlx, TRACE: torch}
    return timed("conversion", {"model": "bert", "precision": "float16"}, variants)


@pytest.mark.parametrize(("torch", "told"), [(2.0, "MLX 4.00× as fast"), (0.25, "PyTorch 2.00× as fast")])
def test_the_converter_is_compared_in_one_direction(torch, told):
    answer = pages.of(FROM_MLX, on(FROM_MLX, conversions_timed(0.5, torch)))
    assert answer.sentences[0].startswith(f"**{told} for BERT**: MLX with the check")
    assert answer.line.startswith(told)
    assert "Another session may differ for BERT" in answer.sentences[0]  # one session says little


def test_the_converters_answer_counts_what_is_right_and_how_time_grows():
    zoo = Coverage(DIRECT, shipping.ZOO, {}, {"right": 8, "refused": 1}, {"no": 1})
    whole = Coverage(DIRECT, shipping.PACKAGES, {"seconds": 0.42}, {"right": 11}, {})
    theirs = Coverage(TRACE, shipping.PACKAGES, {"seconds": 0.85}, {"right": 10, "wrong": 1}, {"x": 1})
    deep = [made(DIRECT, f"{n} blocks", n / 10, operations=20 * n, case={"group": DEEP}) for n in (8, 2)]
    told = pages.of(FROM_MLX, on(FROM_MLX, zoo, whole, theirs, *deep)).sentences
    assert told[0].startswith("**Packages:** MLX: 11 of 11 right, median 0.42 s in one call; ")
    assert told[0].endswith("`torch.jit.trace` from PyTorch: 10 of 11 right, median 0.85 s.")
    assert told[1] == "**Architectures of mlx-lm:** 8 of 9 right."
    assert told[2] == "**How it scales:** 0.20 s for 40 operations and 0.80 s for 160 operations."


def compressed(size, value, family="linear", setting="8 bit per channel", error=1e-3):
    line = "x.mlpackage passes: within"
    return Compressed("bert", family, setting, size, size, "accuracy", value, 100, error, line)


def test_the_answer_about_compression_names_size_setting_and_error():
    base = compressed(1000, 0.8, "uncompressed", "float32")
    told = pages.of(SHIP, on(SHIP, base, compressed(280, 0.8), compressed(100, 0.2, setting="4 bit")))
    assert told.line == told.finding == "Within 2% of float32: BERT at 28% of the size"
    assert "linear, 8 bit per channel, accuracy 0.8 against 0.8" in told.sentences[0]
    assert "8 bits: 28% of the size, output off by 0.1%; 4 bits: 10%" in told.sentences[1]
    assert "3 of 3 packages" in told.sentences[2]


def test_a_page_without_such_records_has_no_answer_and_another_page_is_refused():
    assert pages.of(SHIP, on(SHIP, made(TRACE))) is None
    with pytest.raises(ValueError, match="no answer about Core ML is for page 'x'"):
        shipping.answer(on("x", made(TRACE)))


def test_the_committed_records_have_answers():
    from twins.evidence import summary

    found = store.read(store.ROOT / "data" / "results")
    for records in summary.machines(found).values():
        for page in shipping.PAGES:
            if any(record.notebook == page for record in records):
                assert 1 <= len(pages.of(page, records).sentences) <= 4
