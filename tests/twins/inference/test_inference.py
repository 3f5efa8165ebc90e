"""Generation in both libraries: the same tokens, nothing else in the timed spans, clear refusals."""

import json
import time
from dataclasses import replace

import numpy as np
import pytest
from records import timed

from twins.inference import checkpoint_folder, llama, measure, tables, whisper
from twins.records.record_types import Work
from twins.timing import harness
from twins.timing.ceilings import ceilings
from twins.timing.statistics import AGAIN

SHAPE = checkpoint_folder.llama(64, 2, 4, 2, 128, 32)
SPEECH = checkpoint_folder.whisper(64, 1, 2, 128, frames=40, context=16)
SESSIONS = [llama.MlxSession, llama.TorchSession]
PLAN = harness.Plan(processes=1, rounds=1, block=2, warmup=0)


@pytest.fixture(autouse=True)
def made_here(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint_folder, "MADE", tmp_path)


@pytest.mark.parametrize("seed", range(5))
def test_both_libraries_generate_the_same_tokens(seed):
    gate = measure.llama_gate(checkpoint_folder.made(SHAPE, seed), 2, 8, 6, seed)
    assert gate.passed, gate.checks


@pytest.mark.parametrize("seed", range(5))
def test_both_libraries_transcribe_to_the_same_tokens(seed):
    gate = measure.whisper_gate(checkpoint_folder.made(SPEECH, seed), 6, seed)
    assert gate.passed, gate.checks


def test_a_defect_on_one_side_fails_the_gate_and_names_the_place(monkeypatch):
    path, kind = checkpoint_folder.made(SHAPE), llama.MlxSession

    class Other(kind):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self.model.model.norm.weight = -self.model.model.norm.weight

    monkeypatch.setattr(llama, "MlxSession", Other)
    gate = measure.llama_gate(path, 1, 8, 4)
    assert not gate.passed
    assert [check["passed"] for check in gate.checks] == [False, False]
    assert gate.checks[1]["where"].startswith("row 0, token 0: MLX ")
    assert "is not timed" in tables.refusal(gate)
    assert list(measure.llama_timings(path, gate, measure.cases([8], [1], [], False), 4, PLAN)) == []


@pytest.mark.parametrize("kind", SESSIONS)
def test_rewinding_forgets_what_came_after_the_prefill(kind):
    session = kind(checkpoint_folder.made(SHAPE), "float32", 16)
    tokens = session.framework.array(llama.prompt(128, 2, 8))
    first = session.greedy(session.prefill(tokens))
    once = session.framework.numpy(session.step(first))
    session.run(first, 3)
    session.rewind()
    np.testing.assert_array_equal(session.framework.numpy(session.step(first)), once)


def test_a_fixed_cache_and_a_compiled_step_of_mlx_generate_what_the_growing_cache_does():
    path, tokens = checkpoint_folder.made(SHAPE), llama.prompt(128, 2, 8)
    growing, fixed = (llama.MlxSession(path, "float32", 16, static=still) for still in (False, True))
    wanted = llama.generate(growing, tokens, 6)[0]
    for _ in range(2):  # a second prefill empties the arrays that the compiled step holds
        np.testing.assert_array_equal(llama.generate(fixed, tokens, 6)[0], wanted)
    fixed.rewind()
    ran = fixed.run(fixed.framework.array(wanted[:, 0]), 5)
    np.testing.assert_array_equal(fixed.framework.numpy(ran), wanted[:, 1:])


def test_a_compiled_step_that_differs_fails_its_gate(monkeypatch):
    monkeypatch.setattr(llama.TORCH, "compile", lambda function: function)
    path = checkpoint_folder.made(SHAPE)
    gate, case = measure.llama_gate(path, 1, 8, 4), measure.cases([8], [1], [], True)[0]
    assert [each.passed for each in measure.compiled_gate(path, gate, case, 4)] == [True]
    assert list(measure.compiled_gate(path, gate, case | {"compiled": False}, 4)) == []
    monkeypatch.setattr(llama.FixedCache, "offset", property(lambda cache: llama.mx.array(0)))
    (verdict,) = measure.compiled_gate(path, gate, case, 4)
    assert not verdict.passed and "MLX compiled: " in tables.refusal(verdict)


def test_both_are_compiled_or_none_and_prefill_never(monkeypatch):
    monkeypatch.setattr(llama.TORCH, "compile", lambda function: function)
    path = str(checkpoint_folder.made(SHAPE))
    made = measure.llama_variants(path, "float32", 1, 8, 4, True)
    assert {name for name in made if "compiled" in name} == {
        f"{part}: {each} compiled" for part in ("token", "run") for each in ("MLX", "PyTorch")
    }
    assert len(measure._llama_sessions(checkpoint_folder.made(SHAPE), "float32", 8, True)) == 6
    assert {
        name for name in measure.llama_variants(path, "4-bit", 1, 8, 4, True) if "PyTorch" in name
    } == set()


def test_the_headline_is_eager_and_every_type_is_compared():
    case = {"batch": 1, "length": 8}
    seconds = {"MLX eager": 1.0, "PyTorch eager": 2.0, "MLX compiled": 1.0, "PyTorch compiled": 0.5}
    seconds |= {f"PyTorch eager{AGAIN}": 2.0}
    slow = {"MLX eager": 4.0, "PyTorch eager": 1.0, f"PyTorch eager{AGAIN}": 1.0}
    alone = {"MLX eager": 1.0, f"MLX eager{AGAIN}": 1.0}
    records = [
        timed("token", case | {"dtype": dtype}, each)
        for dtype, each in (("float32", seconds), ("float16", slow), ("4-bit", alone))
    ]
    assert [c.ratio.value for c in tables.comparisons(records)] == [2, 0.25]
    assert [c.ratio.value for c in tables.comparisons(records, mode="compiled")] == [0.5]
    assert [c.winner for c in tables.comparisons(records)] == ["MLX", "PyTorch"]
    assert "4-bit" in tables.only_mlx(records)


def test_a_static_cache_generates_what_a_growing_one_does(monkeypatch):
    monkeypatch.setattr(llama.TORCH, "compile", lambda function: function)  # the cache is under test
    path, tokens = checkpoint_folder.made(SHAPE), llama.prompt(128, 2, 8)
    growing, static = (
        llama.generate(llama.TorchSession(path, "float32", 16, still), tokens, 6)[0]
        for still in (False, True)
    )
    np.testing.assert_array_equal(static, growing)


def test_a_run_makes_the_tokens_of_its_steps():
    path, tokens = checkpoint_folder.made(SHAPE), llama.prompt(128, 2, 8)
    for kind in SESSIONS:
        session = kind(path, "float32", 16)
        wanted, _ = llama.generate(session, tokens, 5)
        session.rewind()
        ran = session.run(session.framework.array(wanted[:, 0]), 4)
        np.testing.assert_array_equal(session.framework.numpy(ran), wanted[:, 1:])


def test_loading_and_making_tokens_are_outside_every_timed_span(monkeypatch):
    """A loader and a tokenizer that take a thousand seconds each change no sample."""
    spent = [0.0]
    real = time.perf_counter
    monkeypatch.setattr(time, "perf_counter", lambda: real() + spent[0])

    def slow(function):
        def call(*arguments, **options):
            spent[0] += 1000
            return function(*arguments, **options)

        return call

    monkeypatch.setattr(llama, "load_model", slow(llama.load_model))
    monkeypatch.setattr(llama.transformers.LlamaForCausalLM, "from_pretrained", slow(
        llama.transformers.LlamaForCausalLM.from_pretrained
    ))  # fmt: skip
    monkeypatch.setattr(llama, "prompt", slow(llama.prompt))
    variants = measure.llama_variants(str(checkpoint_folder.made(SHAPE)), "float32", 1, 8, 4, False)
    assert spent[0] == 5000  # four sessions and one prompt
    samples = harness.interleave(variants, PLAN, np.random.default_rng(0))
    assert max(max(s.first, *s.wall) for s in samples.values()) < 500


def test_warming_up_is_outside_every_timed_span(monkeypatch):
    """A first call that takes a thousand seconds, as one that compiles does, is kept apart."""
    spent, called = [0.0], set()
    real = time.perf_counter
    monkeypatch.setattr(time, "perf_counter", lambda: real() + spent[0])

    def cold(name, variant):
        def call():
            spent[0] += 0 if name in called else 1000
            called.add(name)
            variant.call()

        return replace(variant, call=call)

    variants = measure.llama_variants(str(checkpoint_folder.made(SHAPE)), "float32", 1, 8, 4, False)
    samples = harness.interleave({k: cold(k, a) for k, a in variants.items()}, PLAN, np.random.default_rng(0))
    assert min(s.first for s in samples.values()) > 999
    assert max(max(s.wall) for s in samples.values()) < 500


def test_every_part_becomes_a_record_with_its_variants():
    path = checkpoint_folder.made(SHAPE)
    gate = measure.llama_gate(path, 1, 8, 4)
    cases = measure.cases([8], [1], ["4-bit"], False)
    records = list(measure.llama_timings(path, gate, cases, 4, PLAN))
    assert [(r.subject, r.case["dtype"]) for r in records] == [
        (part, dtype) for dtype in ("float32", "4-bit") for part in ("prefill", "token", "run")
    ]
    assert set(records[0].runs[0]["arms"]) == {
        f"{f} eager{a}" for f in ("MLX", "PyTorch") for a in ("", AGAIN)
    }
    assert len(tables.latency_table(records)) == 3
    assert [c.label for c in tables.comparisons(records, "prefill")] == [
        "reading a prompt: float32, prompt of 8, batch 1, eager"
    ]
    assert tables.only_mlx(records).startswith("4-bit was timed in MLX only")


def test_prefill_is_counted_alike_on_both_sides():
    c, work = SHAPE, measure.prefill_work(checkpoint_folder.made(SHAPE), 2, 8)
    per_token = 2 * 64 * (2 * 64 + 2 * 32 + 3 * 192)  # of a block
    attention = 4 * 8 * 64
    last = 2 * 64 * c["vocab_size"]
    assert work.flops == 16 * (2 * (per_token + attention) + last)


def test_cases_go_over_prompts_then_sizes_then_types():
    cases = measure.cases([8, 16], [1, 4], ["float16"], True)
    told = [(c["dtype"], c["batch"], c["length"], c["compiled"]) for c in cases]
    assert told == [
        ("float32", 1, 8, True),
        ("float32", 1, 16, False),
        ("float32", 4, 8, False),
        ("float16", 1, 8, True),
    ]


def test_shares_are_work_over_time_over_the_ceiling():
    case = {"dtype": "float32", "batch": 1, "length": 8, "tokens": 4, "weight_bytes": 900, "cache_bytes": 100}
    half = case | {"dtype": "float16", "weight_bytes": 450, "cache_bytes": 50}
    seconds = {"MLX eager": 2.0, "PyTorch eager": 1.0}
    records = [timed(subject, case, seconds) for subject in ("prefill", "token")]
    records += [timed(subject, half, seconds) for subject in ("prefill", "token")]
    records += [timed("prefill", case | {"dtype": "4-bit"}, {"MLX eager": 1.0})]
    works = [Work("llama", {"batch": 1, "length": 8}, 4000)]
    table = tables.shares(records, works, {"float32": 8e3, "float16": 2e3}, bandwidth=4e2)
    low = ceilings.TOO_LOW
    assert list(table[ceilings.SHARE]) == [25, 50, low, low, 100, low, 62.5, low]
    assert [("float16" in each) for each in table["case"]] == [False] * 4 + [True] * 4
    assert table["ceiling"][4] == "0 GFLOP/s in float16"
    assert "4 of 8 shares" in ceilings.over(table)


def test_a_folder_is_made_once_and_holds_equal_weights(tmp_path):
    path = checkpoint_folder.made(SHAPE)
    before = (path / "model.safetensors").stat().st_mtime_ns
    assert checkpoint_folder.made(SHAPE) == path
    assert (path / "model.safetensors").stat().st_mtime_ns == before
    assert checkpoint_folder.made(SHAPE, seed=1) != path
    assert checkpoint_folder.weight_bytes(path, "float32") == 4 * sum(
        p.numel() for p in llama.TorchSession(path, "float32", 8).model.parameters()
    )


def written(**values):
    """A change to a folder's config.json; None leaves a value out."""

    def spoil(path):
        file = path / "config.json"
        found = json.loads(file.read_text()) | values
        file.write_text(json.dumps({name: value for name, value in found.items() if value is not None}))

    return spoil


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (
            lambda path: (path / "model.safetensors").unlink(),
            r"holds no model.safetensors \(it holds: config.json\)",
        ),
        (lambda path: (path / "config.json").unlink(), "holds no config.json"),
        (
            lambda path: (path / "config.json").write_text("{"),
            r"config.json of checkpoint llama-\w+ is no JSON",
        ),
        (
            lambda path: (path / "config.json").write_text("[]"),
            "is of the architecture None, allowed is 'llama'",
        ),
        (written(model_type="gpt2"), "is of the architecture 'gpt2', allowed is 'llama'"),
        (written(vocab_size=None), "gives no number for vocab_size"),
        (
            written(quantization={"bits": 4}),
            "is quantized already, which only one of the frameworks can read",
        ),
        (written(num_hidden_layers=3), r"checkpoint llama-\w+: Missing 9 parameters: model.layers.2.input"),
        (
            lambda path: (path / "model.safetensors").write_bytes(b"cut off"),
            r"model.safetensors of checkpoint llama-\w+ is broken or cut off",
        ),
    ],
)
def test_a_bad_folder_is_told_in_one_sentence(spoil, told):
    path = checkpoint_folder.made(SHAPE)
    spoil(path)
    with pytest.raises(ValueError, match=told) as raised:
        measure.llama_gate(path, 1, 8, 4)
    assert "\n" not in str(raised.value)


def test_what_a_configuration_may_leave_out_is_what_the_library_takes():
    path = checkpoint_folder.made(checkpoint_folder.llama(64, 1, 4, 4, 128, 32))
    written(num_key_value_heads=None)(path)
    assert checkpoint_folder.config(path, "llama")["num_key_value_heads"] == 4
    assert measure.llama_gate(path, 1, 8, 2).passed


def test_an_embedding_that_is_the_head_is_read_whole():
    case = {"dtype": "float32", "batch": 1, "length": 8}
    path = checkpoint_folder.made(SHAPE)
    apart = measure._bytes(path, case)["weight_bytes"]
    written(tie_word_embeddings=True)(path)
    assert measure._bytes(path, case)["weight_bytes"] - apart == 4 * 128 * 64


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ValueError, match="no such folder"):
        checkpoint_folder.config(tmp_path / "nowhere", "llama")


def test_a_prompt_longer_than_the_context_is_told():
    with pytest.raises(
        ValueError, match=r"a prompt of 30 tokens and 4 new ones .* the context of llama-\w+, 32"
    ):
        measure.llama_gate(checkpoint_folder.made(SHAPE), 1, 30, 4)


@pytest.mark.parametrize(
    "needs",
    [
        lambda: checkpoint_folder.room(checkpoint_folder.made(SHAPE), "float32", 10**9, 32),
        lambda: checkpoint_folder.made(
            checkpoint_folder.llama(2**16, 200, 512, 8, 2**17, 4096)
        ),  # before it is made
        lambda: checkpoint_folder.speech_room(checkpoint_folder.made(SPEECH), "float32", 10**9),
    ],
)
def test_more_memory_than_there_is_is_refused_with_the_estimate(needs):
    with pytest.raises(MemoryError, match=r"is estimated to need [\d.]+ GiB; [\d.]+ GiB are free"):
        needs()


def test_an_estimate_counts_every_model_that_is_held():
    path = checkpoint_folder.made(SHAPE)
    assert 2 * checkpoint_folder.room(path, "float32", 1, 8, 3) == 3 * checkpoint_folder.room(
        path, "float32", 1, 8
    )
    with_both_again = measure._llama_sessions(path, "float32", 8, False)
    assert len(with_both_again) == measure.MODELS


@pytest.mark.parametrize(("prompt", "new"), [(0, 4), (8, 0)])
def test_nothing_to_read_or_to_write_is_told(prompt, new):
    with pytest.raises(ValueError, match=r"allowed is one and more of each"):
        measure.llama_gate(checkpoint_folder.made(SHAPE), 1, prompt, new)


def test_whisper_weights_are_all_used():
    path = checkpoint_folder.made(SPEECH)
    session = whisper.MlxSession(path, "float32")  # strict
    assert session.features(whisper.mel(1, 40)).shape == (1, 40, 80)
