"""The formats of a frozen base in few bits, by name: the same numbers in both frameworks, or each its own."""

GROUP = 64  # weights that share a scale
EQUAL = {"equal 8-bit": 8, "equal 4-bit": 4}  # the same integers and scales on both sides
OWN = {"own 8-bit": 8, "own 4-bit": 4}  # MLX's affine format; LLM.int8 and NF4 in PyTorch
BASES = EQUAL | OWN
WORD = 32  # bits of an element of MLX's packed weights
PYTORCH = {"own 8-bit": "LLM.int8 (bitsandbytes)", "own 4-bit": "NF4 (bitsandbytes)"}


def check(base: str) -> None:
    """Errors: ValueError for a base that is not one of BASES."""
    if base not in BASES:
        raise ValueError(f"a base of {base!r}; allowed are {', '.join(BASES)}")


def told(base: str) -> tuple[str, str]:
    """The formats of MLX's and of PyTorch's half, in words."""
    bits = BASES[base]
    ours = f"affine, {bits} bits, groups of {GROUP}"
    return ours, PYTORCH.get(base, f"integers of {bits} bits, groups of {GROUP} (torchao)")
