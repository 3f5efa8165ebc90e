"""MLX's random bits: Threefry-2x32 with 20 rounds, bit by bit what its CPU backend draws.

Salmon et al., Parallel random numbers: as easy as 1, 2, 3, 2011; mlx/backend/cpu/primitives.cpp, RandomBits.
"""

import math

import numpy as np

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = np.uint32(0x1BD11BDA)
UNSIGNED = {1: np.uint8, 2: np.uint16, 4: np.uint32}  # by bytes


def random_bits(keys: np.ndarray, shape: tuple[int, ...], width: int) -> np.ndarray:
    """Whole numbers of `width` bytes, of a shape that starts with that of the keys (..., 2)."""
    keys = keys.reshape(-1, 2)
    size = math.prod(shape) // len(keys) * width
    drawn = [_words(key, -(-size // 4)).view(np.uint8)[:size] for key in keys]
    return np.concatenate(drawn).view(UNSIGNED[width]).reshape(shape)


def _words(key: np.ndarray, count: int) -> np.ndarray:
    """32-bit words: the two results of each hash are half the words apart, an odd one is in the middle."""
    half, odd = divmod(count, 2)
    first = np.arange(half, dtype=np.uint32)
    low, high = threefry(key, first, first + np.uint32(half + odd))
    middle, _ = threefry(key, np.full(odd, half, np.uint32), np.zeros(odd, np.uint32))
    return np.concatenate([low, middle, high])


def threefry(key: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The hash of counters a and b."""
    keys = [key[0], key[1], key[0] ^ key[1] ^ PARITY]
    a, b = a + keys[0], b + keys[1]
    for round_ in range(5):
        for rotation in ROTATIONS[round_ % 2]:
            a = a + b
            b = (b << np.uint32(rotation) | b >> np.uint32(32 - rotation)) ^ a
        a = a + keys[(round_ + 1) % 3]
        b = b + keys[(round_ + 2) % 3] + np.uint32(round_ + 1)
    return a, b
