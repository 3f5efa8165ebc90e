"""What the pages on inference and on hand-overs say first: each sentence needs its records."""

import pytest
import records
from records import timed

from twins.evidence.answers import answer, pages, running
from twins.records.record_types import Gate, Sharing, Timing
from twins.records.store import Record
from twins.timing.statistics import AGAIN

INFERENCE, MEMORY = "06_inference", "05_unified_memory"


def record(body, notebook: str, run: str = "2026-01-01") -> Record:
    kind, versions = type(body).__name__.lower(), records.MACHINE.versions
    return Record(1, kind, "chip-8gb", "CPU", versions, notebook, "quick", run, body)


def both(mlx: float, torch: float) -> dict[str, float]:
    return {"MLX eager": mlx, "PyTorch eager": torch, f"PyTorch eager{AGAIN}": torch}


def part(subject: str, seconds: dict[str, float], dtype: str = "float32", **more) -> Timing:
    case = {"dtype": dtype, "batch": 1, "length": 128, "compiled": False, "tokens": 8}
    return timed(subject, case | more, seconds)


def gate(twin: str, apart: int = 0, **case) -> Gate:
    where = f"row 0, token 1: MLX 3, PyTorch 4; logits {apart} apart" if apart else "all 32 equal"
    check = {"name": "tokens", "passed": not apart, "where": where, "value": apart, "limit": 0.0}
    return Gate(twin, case, not apart, [check], {})


@pytest.fixture
def inference() -> list[Record]:
    bodies = [
        part("prefill", both(0.060, 0.030)),
        part("run", both(0.080, 0.160)),
        part("token", both(0.010, 0.020)),
        part("prefill", both(0.300, 0.030), "bfloat16"),
        part("run", both(0.240, 0.080), "bfloat16"),
        part("run", {"MLX eager": 0.040, f"MLX eager{AGAIN}": 0.040}, "4-bit"),
        timed(
            "encoder", {"dtype": "float32", "frames": 100}, {"MLX": 0.4, "PyTorch": 0.1, f"MLX{AGAIN}": 0.4}
        ),
        gate("llama"),
        gate("whisper"),
    ]
    return [record(body, INFERENCE) for body in bodies]


def test_generation_says_who_reads_writes_and_hears_how_many_times_as_fast(inference):
    found = pages.of(INFERENCE, inference)
    assert found.sentences == (
        "**In float32**: reading a prompt: PyTorch 2.00× as fast; generating: MLX 2.00× as fast.",
        "**Half types**: bfloat16: reading a prompt: PyTorch 10.0× as fast, generating: "
        "PyTorch 3.00× as fast. "
        "4 bits, in MLX only: 200 tokens/s, against 100 in float32.",
        "**Speech**: Whisper's encoder: PyTorch 4.00× as fast.",
        "**Same tokens?** Compared before anything was timed: Llama: all 32 tokens equal; Whisper: all 32 "
        "tokens equal.",
    )
    assert found.line == (
        "reading a prompt: PyTorch 2.00× as fast; generating: MLX 2.00× as fast; Whisper's encoder: PyTorch "
        "4.00× as fast"
    )


def test_the_table_of_generation_has_both_times_and_tokens_a_second(inference):
    cases = running.generation(inference).cases
    assert list(answer.table(cases).itertuples(index=False, name=None)) == [
        (
            "read 128 tokens, batch 1",
            "60.0 ms, 2,133 tokens/s",
            "30.0 ms, 4,267 tokens/s",
            cases[0].comparison.told,
        ),
        (
            "write 8 after 128, batch 1",
            "80.0 ms, 100 tokens/s",
            "160 ms, 50 tokens/s",
            cases[1].comparison.told,
        ),
        ("Whisper's encoder", "400 ms", "100 ms", cases[2].comparison.told),
    ]


@pytest.mark.parametrize(
    ("missing", "gone"),
    [("prefill", "reading a prompt"), ("encoder", "Speech"), ("gate", "Same tokens"), ("4-bit", "4 bits")],
)
def test_without_its_records_a_sentence_is_not_there(inference, missing, gone):
    def names(body) -> set:
        return {"gate"} if isinstance(body, Gate) else {body.subject, body.case["dtype"]}

    kept = [each for each in inference if missing not in names(each.body)]
    assert gone in " ".join(running.generation(inference).sentences)
    assert gone not in " ".join(running.generation(kept).sentences)


def test_different_tokens_are_said_and_a_gate_of_compiled_steps_is_another(inference):
    told = running.generation([*inference, record(gate("llama", 2), INFERENCE, "2026-01-02")]).sentences[-1]
    assert "**Llama is not timed**" in told and "row 0, token 1" in told
    compiled = record(gate("llama", 2, compiled=True), INFERENCE, "2026-01-03")
    assert running.generation([*inference, compiled]).sentences == running.generation(inference).sentences


def test_sessions_with_compiled_steps_and_without_are_of_one_case(inference):
    more = part(
        "prefill", both(0.060, 0.030) | {"MLX compiled": 0.01, "PyTorch compiled": 0.01}, compiled=True
    )
    found = running.cases([*inference, record(more, INFERENCE, "2026-01-02")], "prefill")
    assert [case.comparison.over.count for case in found] == [2]


def test_nothing_timed_is_no_answer():
    assert running.generation([record(gate("llama"), INFERENCE)]) is None
    assert running.hand_overs([record(gate("transformer_lm"), MEMORY)]) is None


# --- hand-overs ------------------------------------------------------------------------------------------


def switched(n: int, share: float) -> Timing:
    seconds = {"MLX twice": 1.0, "MLX then PyTorch, copied": 2.0, "hand-over alone, copied": 2 * share}
    return timed("switching", {"n": n}, seconds | {f"MLX twice{AGAIN}": 1.0})


def forced(added: float) -> Timing:
    seconds = {f"{each} {kind}": 0.01 for each in ("MLX", "PyTorch") for kind in ("none", "copied")}
    seconds |= {"PyTorch through NumPy": 0.01 * (1 + added), "MLX through NumPy": 0.01}
    again = {f"{each} none{AGAIN}": 0.01 for each in ("MLX", "PyTorch")}
    return timed("step with hand-overs", {"twin": "transformer_lm", "batch": 8}, seconds | again)


@pytest.fixture
def handed() -> list[Record]:
    proofs = [
        Sharing("NumPy → MLX, mx.array", 64, False, False, 64),
        Sharing("MLX → NumPy, np.asarray", 64, True, True, 0),
    ]
    bodies = [*proofs, switched(64, 0.30), switched(1024, 0.02), forced(9.0)]
    return [record(body, MEMORY) for body in bodies]


def test_hand_overs_say_which_share_and_what_copying_costs(handed):
    found = pages.of(MEMORY, handed)
    share = "1 of 2 hand-overs share memory"
    mixed = "copying is 30 % of mixed work with matrices of 64 × 64, 2 % with 1024 × 1024"
    assert found.line == f"{share}; {mixed}"
    assert found.sentences == (
        f"**{share}**: MLX → NumPy (np.asarray). The others copy.",
        f"**C{mixed[1:]}.**",
        "**Forcing hand-overs** in every training step adds nothing shown in MLX, up to 900 % "
        "(through NumPy) in "
        "PyTorch.",
    )
    alone = [each for each in handed if each.body != handed[2].body]
    assert "copying is 2 % of mixed work with matrices of 1024 × 1024" in running.hand_overs(alone).line


def test_a_hand_over_proven_again_counts_once_as_it_was_last(handed):
    again = record(Sharing("NumPy → MLX, mx.array", 64, True, True, 0), MEMORY, "2026-01-02")
    assert running.hand_overs([*handed, again]).line.startswith("2 of 2 hand-overs share memory")


def test_without_timings_the_proofs_alone_are_said(handed):
    assert running.hand_overs(handed[:2]).sentences == (
        "**1 of 2 hand-overs share memory**: MLX → NumPy (np.asarray). The others copy.",
    )
