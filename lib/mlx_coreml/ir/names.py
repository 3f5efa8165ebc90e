"""Names that Core ML, and the Swift class Xcode makes of a model, accept for inputs and outputs."""

import re
from collections.abc import Collection, Sequence

# words of MIL's text format, from coremltools' NameSanitizer
RESERVED = {
    *(
        "any",
        "bool",
        "program",
        "func",
        "tensor",
        "list",
        "dict",
        "tuple",
        "true",
        "false",
        "string",
        "state",
    ),
    *("bf16", "fp16", "fp32", "fp64", "int8", "int16", "int32", "int64"),
    *("uint8", "uint16", "uint32", "uint64"),
}


def identifiers(wanted: Sequence[str], taken: Collection[str] = ()) -> list[str]:
    """The names with anything but letters, digits and underscores replaced, each different and not taken."""
    used, made = set(taken), []
    for name in wanted:
        word = re.sub(r"[^A-Za-z0-9_]", "_", name) or "_"
        word = f"_{word}" if word[0].isdigit() else word
        made.append(_free(f"{word}_" if word in RESERVED else word, used))
        used.add(made[-1])
    return made


def _free(word: str, used: Collection[str]) -> str:
    """The word itself, or the word with the first number that makes it new."""
    number, free = 0, word
    while free in used:
        number += 1
        free = f"{word}_{number}"
    return free
