"""How figures are said: one direction for every ratio, names for people instead of identifiers.

A ratio is PyTorch's time over MLX's, and is said as the faster framework "2.90× as fast": twice as fast is
half the time.
"""

from collections.abc import Iterable, Mapping

NAMES = {
    "transformer_lm": "GPT",
    "bert": "BERT",
    "resnet": "ResNet",
    "vit": "ViT",
    "llama": "Llama",
    "whisper": "Whisper",
    "your_model": "your model",
    "lora fine-tuning": "LoRA fine-tuning",
    "dora fine-tuning": "DoRA fine-tuning",
    "qlora fine-tuning": "QLoRA fine-tuning",
}


def name(twin: str) -> str:
    """The name of a twin for people; a reader's own name stays as it is."""
    return NAMES.get(twin, twin)


def many(count: int, noun: str) -> str:
    """A count of things: "1 package", "3 packages"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def layout(processes: int, threads: int) -> str:
    """Processes with their CPU threads: "1 process, 2 threads", "2 processes, 1 thread each"."""
    if processes == 1:
        return f"1 process, {many(threads, 'thread')}"
    return f"{processes:,} processes, {many(threads, 'thread')} each"


def case(entries: Mapping[str, object]) -> str:
    """A training case in words: "GPT, batch 16", or "GPT, batch 512 (fills the machine)"."""
    filled = " (fills the machine)" if entries.get("filled") else ""
    return f"{name(str(entries['twin']))}, batch {entries['batch']}{filled}"


def times(factor: float) -> str:
    """A factor with three significant digits: "2.90×", "12.4×", "118×"."""
    digits = 2 if factor < 9.995 else 1 if factor < 99.95 else 0
    return f"{factor:,.{digits}f}×"


def faster(ratio: float) -> tuple[str, float]:
    """The faster framework and how many times as fast it is, from PyTorch's time over MLX's."""
    return ("MLX", ratio) if ratio >= 1 else ("PyTorch", 1 / ratio)


def as_fast(ratio: float) -> str:
    """A ratio in words: "PyTorch 2.90× as fast"."""
    who, factor = faster(ratio)
    return f"{who} {times(factor)} as fast"


def between(factors: Iterable[float]) -> str:
    """A range of factors: "2.39–2.95×", or one factor where both ends read the same."""
    found = sorted(factors)
    low, high = times(found[0]), times(found[-1])
    return low if low == high else f"{low[:-1]}–{high}"


def span(low: float, high: float) -> str:
    """A range of ratios: "PyTorch 1.20–2.50× as fast", or "PyTorch 2.50× to MLX 1.20× as fast"."""
    (who, factor), (other, last) = faster(low), faster(high)
    if who == other:
        return f"{who} {between([factor, last])} as fast"
    return f"{who} {times(factor)} to {other} {times(last)} as fast"


def interval(low: float, high: float, who: str) -> str:
    """The interval of a ratio in the direction of a framework's advantage: "[2.40–2.82]"."""
    ends = (low, high) if who == "MLX" else (1 / high, 1 / low)
    return f"[{times(ends[0])[:-1]}–{times(ends[1])[:-1]}]"


def milliseconds(seconds: float) -> str:
    """A time with three significant digits in milliseconds, "26.4 ms", or in seconds from one on."""
    if seconds >= 0.9995:
        return f"{seconds:.3g} s" if seconds < 999.5 else f"{seconds:,.0f} s"
    return f"{seconds * 1e3:#.3g} ms".replace(". ", " ")
