"""A synthetic language whose lowest possible loss is known exactly, and the random numbers behind it.

An order-2 Markov source: two symbols determine four possible successors, drawn with fixed probabilities. Its
entropy rate is the loss of a perfect model, so the distance from the optimum is a number (Shannon, A
Mathematical Theory of Communication, 1948, section 7). All randomness is SplitMix64 (Steele, Lea, Flood, Fast
Splittable Pseudorandom Number Generators, OOPSLA 2014) computed from a counter, the same on every machine and
with every version of NumPy.
"""

from itertools import accumulate

import numpy as np

PROBABILITIES = (0.6, 0.25, 0.1, 0.05)
SYMBOLS = (4, 64)  # four different successors; beyond 64 a small model sees too few of the contexts
TABLE_SEED = int.from_bytes(b"twins", "big")  # far from the small seeds people choose for samples


def splitmix64(seed: int, count: int) -> np.ndarray:
    """The first `count` numbers of the SplitMix64 generator started at `seed`: (count,) uint64."""
    z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed % 2**64)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def entropy() -> float:
    """Entropy rate in nats per token: that of PROBABILITIES, since every context draws from the same ones."""
    p = np.array(PROBABILITIES)
    return float(-(p * np.log(p)).sum())


def successors(vocabulary: int = 16) -> np.ndarray:
    """What may follow symbols a, b, most probable first: (vocabulary ** 2, 4) int64, row a * vocabulary + b.

    ValueError unless there are 4 to 64 symbols.
    """
    least, most = SYMBOLS
    if not least <= vocabulary <= most:
        raise ValueError(f"the Markov source has {least} to {most} symbols, got a vocabulary of {vocabulary}")
    keys = splitmix64(TABLE_SEED, vocabulary**3).reshape(vocabulary**2, vocabulary)
    return np.argsort(keys, axis=1, kind="stable")[:, : len(PROBABILITIES)]


def sample(tokens: int, seed: int, vocabulary: int = 16) -> np.ndarray:
    """Text of the source: (tokens,) int32; every seed gives fresh text, for training without repetition."""
    if tokens < 1:
        raise ValueError(f"a sample needs at least 1 token, got {tokens}")
    rows = successors(vocabulary)
    seen = np.arange(vocabulary**2)[:, None]
    following = ((seen % vocabulary) * vocabulary + rows).tolist()
    random = splitmix64(seed, tokens + 1)
    uniform = (random[1:] >> np.uint64(11)) * 2.0**-53
    choices = np.searchsorted(np.cumsum(PROBABILITIES)[:-1], uniform, side="right").tolist()
    start = int(random[0] % np.uint64(vocabulary**2))
    contexts = accumulate(choices, lambda context, choice: following[context][choice], initial=start)
    return (np.fromiter(contexts, np.int64, tokens + 1)[1:] % vocabulary).astype(np.int32)
