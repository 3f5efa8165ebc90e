"""From a checkpoint folder to records: the gate on tokens, and prefill, decode, encoder and memory, timed.

Loading, making tokens and compiling happen when variants are made; a timed call holds the model's work alone.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np

from twins.frameworks import MLX, TORCH, on
from twins.inference import checkpoint_folder as checkpoint
from twins.inference import llama, whisper
from twins.machine import fresh_process, kept_processes, kernel_compiler, process_memory
from twins.parity.differences import Check, relative
from twins.records.record_types import Energy, Gate, Memory, Timing, Work
from twins.timing import energy, flops, harness, saturation, statistics
from twins.timing.harness import Variant
from twins.timing.progress import tell
from twins.timing.statistics import AGAIN

LOGITS = 1e-4  # relative L2 in float32; 20 seeds of both models, and the quick size, stay below 1.1e-6
MODELS = 4  # held at once while timing: MLX's, PyTorch's and both for A/A; two compiled ones come on top
CASE = ("dtype", "batch", "length", "compiled")  # the entries of a case that its variants are made from
FIRST = np.array([[1, 2, 3]], np.int32)  # the first tokens of a transcription; any will do


def _token_check(ours, theirs, logits) -> Check:
    """Generated tokens one by one, and where they differ first how far the logits were apart."""
    apart = np.argwhere(ours != theirs)
    if not len(apart):
        return Check("tokens", 0.0, 0.0, f"all {ours.size} equal")
    row, place = (int(i) for i in min(apart, key=lambda at: at[1]))
    gap = float(np.abs(logits[0][row, place] - logits[1][row, place]).max())
    chosen = f"MLX {ours[row, place]}, PyTorch {theirs[row, place]}"
    where = f"row {row}, token {place}: {chosen}; logits {gap:.2g} apart"
    return Check("tokens", float(len(apart)), 0.0, where)


def _gate(model: str, case: dict, generate: Callable, sessions: list) -> Gate:
    """The gate of a model: greedy tokens and the logits they came from, in float32."""
    (ours, our_logits), (theirs, their_logits) = (generate(session) for session in sessions)
    first = relative(our_logits[:, 0], their_logits[:, 0])
    logits = Check("logits", first, LOGITS, f"{our_logits[:, 0].shape}, relative L2")
    checks = [logits, _token_check(ours, theirs, (our_logits, their_logits))]
    passed = all(check.passed for check in checks)
    return Gate(model, case, passed, [check.plain() for check in checks], {})


@kernel_compiler.faster()
def llama_gate(folder: Path, batch: int, length: int, count: int, seed: int = 0) -> Gate:
    """Whether both libraries generate the same `count` tokens from the same prompt, in float32."""
    checkpoint.check_length(folder, length, count)
    checkpoint.room(folder, "float32", batch, length + count)
    tokens = llama.prompt(checkpoint.config(folder, "llama")["vocab_size"], batch, length, seed)
    sessions = [kind(folder, "float32", length + count) for kind in (llama.MlxSession, llama.TorchSession)]
    case = {"model": folder.name, "batch": batch, "length": length, "tokens": count}
    return _gate("llama", case, lambda session: llama.generate(session, tokens, count), sessions)


def compiled_gate(folder: Path, gate: Gate, case: dict, count: int, seed: int = 0) -> Iterator[Gate]:
    """Whether each library's compiled step generates its eager one's tokens, in float32, at a case's size.

    Nothing where the case is not compiled or the gate failed.
    """
    if not (case["compiled"] and gate.passed):
        return
    batch, length, checks = case["batch"], case["length"], []
    tokens = llama.prompt(checkpoint.config(folder, "llama")["vocab_size"], batch, length, seed)
    for kind in (llama.MlxSession, llama.TorchSession):
        sessions = (kind(folder, "float32", length + count, static=static) for static in (False, True))
        wanted, found = (llama.generate(session, tokens, count)[0] for session in sessions)
        apart = int((wanted != found).sum())
        where = f"{apart} of {wanted.size} differ from the eager step's"
        checks.append(Check(f"tokens, {kind.name} compiled", float(apart), 0.0, where))
    told = {"model": folder.name, "batch": batch, "length": length, "tokens": count, "compiled": True}
    yield Gate("llama", told, all(check.passed for check in checks), [c.plain() for c in checks], {})


@kernel_compiler.faster()
def whisper_gate(folder: Path, count: int, seed: int = 0) -> Gate:
    """Whether both libraries transcribe the same features to the same `count` tokens, in float32."""
    c = checkpoint.config(folder, "whisper")
    checkpoint.speech_room(folder, "float32")
    sound = whisper.mel(1, 2 * c["max_source_positions"], seed)
    sessions = [kind(folder, "float32") for kind in (whisper.MlxSession, whisper.TorchSession)]
    case = {"model": folder.name, "frames": sound.shape[-1], "tokens": count}
    return _gate("whisper", case, lambda s: whisper.transcribe(s, sound, FIRST, count), sessions)


def _llama_sessions(folder: Path, dtype: str, room: int, compiled: bool) -> dict[str, llama.Session]:
    """Sessions by variant, eager first, and eager ones again for A/A. PyTorch has no 4-bit product."""
    kinds: list = [llama.MlxSession] + [llama.TorchSession] * (dtype != llama.QUANTIZED)
    made = {
        f"{kind.name} {mode}": kind(folder, dtype, room, static=mode == "compiled")
        for mode in ["eager"] + ["compiled"] * compiled
        for kind in kinds
    }
    return made | {f"{kind.name} eager{AGAIN}": kind(folder, dtype, room) for kind in kinds}


def llama_variants(
    folder: str, dtype: str, batch: int, length: int, count: int, compiled: bool
) -> dict[str, Variant]:
    """Prefill, one token after it, and `count` tokens in a run, of every session.

    What is compiled, on either side, is the step of one token; a prefill is eager and timed as such.
    """
    path, made = Path(folder), {}
    tokens = llama.prompt(checkpoint.config(path, "llama")["vocab_size"], batch, length)
    for name, session in _llama_sessions(path, dtype, length + count, compiled).items():
        prompt = session.framework.array(tokens)
        token = session.greedy(session.prefill(prompt))
        calls = {} if session.static else {"prefill": partial(session.prefill, prompt)}
        calls |= {
            "token": partial(session.step, token),
            "run": partial(_run, session, token, count),
        }
        for part, call in calls.items():
            made[f"{part}: {name}"] = Variant(call, session.framework.synchronize, session.rewind)
    return made


def _run(session: llama.Session, token, count: int) -> None:
    session.framework.evaluate(session.run(token, count))


def whisper_variants(folder: str, dtype: str) -> dict[str, Variant]:
    """The encoder, and one decoder step after the first tokens, of both libraries, and both again."""
    path, made = Path(folder), {}
    frames = 2 * checkpoint.config(path, "whisper")["max_source_positions"]
    libraries = {"MLX": whisper.MlxSession, "PyTorch": whisper.TorchSession}
    kinds = [(name + again, kind) for again in ("", AGAIN) for name, kind in libraries.items()]
    for name, kind in kinds:
        session = kind(path, dtype)
        features = session.features(whisper.mel(1, frames))
        token = session.greedy(session.start(session.encode(features), session.framework.array(FIRST)))
        wait = session.framework.synchronize
        made[f"encoder: {name}"] = Variant(partial(session.encode, features), wait)
        made[f"decoder step: {name}"] = Variant(partial(session.step, token), wait, session.rewind)
    return made


def _parts(runs: list[statistics.Run], case: dict) -> Iterator[Timing]:
    """One record per part of a measurement whose variants are named 'part: variant'."""
    for part in dict.fromkeys(name.partition(": ")[0] for name in statistics.variant_names(runs)):
        yield Timing(part, case, [asdict(run.part(f"{part}: ")) for run in runs])


def cases(prompts: list[int], batch_sizes: list[int], types: list[str], compiled: bool) -> list[dict]:
    """What is timed: every prompt at the first batch size, then the other sizes and types at one prompt.

    All are timed eager. With `compiled` the first of each type is timed compiled too, on both sides:
    compiling takes longer than timing.
    """
    first = {"dtype": "float32", "batch": batch_sizes[0], "length": prompts[0], "compiled": False}
    lengths = [first | {"length": length} for length in prompts]
    lengths[0] |= {"compiled": compiled}
    sizes = [first | {"batch": batch} for batch in batch_sizes[1:]]
    return lengths + sizes + [lengths[0] | {"dtype": dtype} for dtype in types]


def timed_cases(timed: list[Timing]) -> list[dict]:
    """The cases of some measurements, in order."""
    found = [{name: record.case[name] for name in CASE} for record in timed if record.subject == "prefill"]
    return [case for place, case in enumerate(found) if case not in found[:place]]


def works(folder: Path, gate: Gate, cases: list[dict]) -> Iterator[Work]:
    """Operations of the prefill of every float32 case; nothing when the gate failed."""
    for case in cases if gate.passed else []:
        if case["dtype"] == "float32":
            yield prefill_work(folder, case["batch"], case["length"])


def llama_timings(
    folder: Path, gate: Gate, cases: list[dict], count: int, plan: harness.Plan
) -> Iterator[Timing]:
    """Prefill, tokens and runs of each of `cases`; nothing when the gate failed."""
    for case in cases if gate.passed else []:
        checkpoint.check_length(folder, case["length"], count)
        room(folder, case, count)
        told = {"model": folder.name, **case, "tokens": count} | _bytes(folder, case)
        arguments = {"folder": str(folder), "count": count, **{name: case[name] for name in CASE}}
        tell(f"{case['dtype']}, batch {case['batch']}, {case['length']} tokens")
        runs = harness.measure(
            "twins.inference.measure:llama_variants", arguments, plan, tell, compiled=case["compiled"]
        )
        yield from _parts(runs, told)


def room(folder: Path, case: dict, count: int) -> int:
    """Bytes that timing a case is estimated to hold. Errors: MemoryError when they are not free."""
    models = MODELS + 2 * case["compiled"]
    return checkpoint.room(folder, case["dtype"], case["batch"], case["length"] + count, models)


def once(folder: str, count: int, variant: str, **case) -> float:
    """The work of a fresh process: median seconds of a few tokens of one variant."""
    return saturation.median(llama_variants(folder, count=count, **case)[f"token: {variant}"])


def filled(folder: Path, gate: Gate, timed: list[Timing], count: int, plan: harness.Plan) -> Iterator[Timing]:
    """The parts of a case whose batch fills this machine: a token of the faster framework takes long enough.

    It begins at the largest float32 batch of `timed`; nothing where that is long enough or memory is short.
    """
    tokens = [r for r in timed if r.subject == "token" and r.case["dtype"] == "float32"]
    if not tokens or saturation.full(largest := max(tokens, key=lambda r: r.case["batch"])):
        return
    first = {name: largest.case[name] for name in CASE} | {"compiled": False}
    variant = saturation.fastest(largest)[0].split()[0] + " eager"
    asked = {"folder": str(folder), "count": count, "variant": variant}

    def seconds(batch: int) -> float:
        tell(f"decoding: is batch {batch} long enough?")
        return fresh_process.call("twins.inference.measure:once", {**asked, **first, "batch": batch})

    def fits(batch: int) -> bool:
        return saturation.free(lambda: room(folder, first | {"batch": batch}, count))

    batch, bound = saturation.grow(largest.case["batch"], seconds, fits)
    if batch > largest.case["batch"]:
        case = first | {"batch": batch, "filled": True, "bound": bound}
        yield from llama_timings(folder, gate, [case], count, plan)


def _bytes(folder: Path, case: dict) -> dict:
    """Bytes a decode step must read: the weights but the embedding's other rows, and the cache.

    An embedding that is the head as well is read whole.
    """
    c = checkpoint.config(folder, "llama")
    unread = 0 if c.get("tie_word_embeddings") else c["vocab_size"] * c["hidden_size"]
    numbers = checkpoint.weight_bytes(folder, "float32") // 4 - unread
    each = checkpoint.BYTES[case["dtype"]]
    rows = 2 * c["num_hidden_layers"] * c["num_key_value_heads"] * c["head_dim"]
    cache = rows * case["batch"] * case["length"]
    return {"weight_bytes": int(numbers * each), "cache_bytes": int(cache * max(each, 2))}


def whisper_timings(folder: Path, gate: Gate, dtype: str, plan: harness.Plan) -> Iterator[Timing]:
    """The encoder and a decoder step; nothing when the gate failed."""
    if gate.passed:
        frames = 2 * checkpoint.config(folder, "whisper")["max_source_positions"]
        checkpoint.speech_room(folder, dtype, MODELS)
        runs = harness.measure(
            "twins.inference.measure:whisper_variants", {"folder": str(folder), "dtype": dtype}, plan, tell
        )
        yield from _parts(runs, {"model": folder.name, "dtype": dtype, "frames": frames})


def prefill_work(folder: Path, batch: int, length: int) -> Work:
    """Operations of a prefill, counted on both sides on the CPU. Errors: ArithmeticError if they differ."""
    tokens = llama.prompt(checkpoint.config(folder, "llama")["vocab_size"], batch, length)
    with on("cpu"):
        models = [kind(folder, "float32", length).model for kind in (llama.MlxSession, llama.TorchSession)]
        counted = flops.count_forward(*models, MLX.array(tokens), TORCH.array(tokens))
    return Work("llama", {"model": folder.name, "batch": batch, "length": length}, counted)


def energies(folder: Path, gate: Gate, case: dict, count: int) -> Iterator[Energy]:
    """Joules of one token of each framework in a case; nothing when the gate failed or none can be read."""
    if gate.passed:
        arguments = {"folder": str(folder), "count": count, **case, "compiled": False}
        names = ["token: MLX eager", "token: PyTorch eager"]
        told = {"model": folder.name, **case}
        yield from energy.records("token", "twins.inference.measure:llama_variants", arguments, names, told)


def memory(folder: str, framework: str, dtype: str, batch: int, length: int, count: int) -> dict:
    """Bytes that loading a Llama, a prefill and `count` tokens add, in a process of its own."""
    path = Path(folder)
    kind = next(each for each in (llama.MlxSession, llama.TorchSession) if each.name == framework)
    tokens = llama.prompt(checkpoint.config(path, "llama")["vocab_size"], batch, length)
    process_memory.reset_peak()
    before = process_memory.held()
    kind.framework.reset_peak_memory()
    llama.generate(kind(path, dtype, length + count), tokens, count)
    return {
        "resident": max(0, process_memory.peak() - before),
        "allocator": kind.framework.peak_memory(),
        "source": kind.framework.memory_source(),
        "process": process_memory.meaning(),
    }


def memories(folder: Path, gate: Gate, dtypes: list[str], case: dict, processes: int = 3) -> Iterator[Memory]:
    """Memory of each framework in each type, in `processes` fresh ones each; nothing when the gate failed."""
    for dtype in dtypes if gate.passed else []:
        for framework in ("MLX",) if dtype == llama.QUANTIZED else ("MLX", "PyTorch"):
            arguments = {"folder": str(folder), "framework": framework, "dtype": dtype, **case}
            read = kept_processes.memory("twins.inference.measure:memory", arguments, processes)
            told = {"model": folder.name, "dtype": dtype, **case}
            yield Memory("llama", told, f"{framework} {dtype}", **read)
