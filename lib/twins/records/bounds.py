"""What a record may hold: alphabets and lengths of its names, ranges of its numbers, how deep it may be.

Names are put into tables, figures, file names and sentences, so that no name may hold what is markup
anywhere. Other texts (`Prose`) are quoted where they are shown (markup.py).
"""

import re
import unicodedata
from typing import Annotated

from msgspec import Meta, Struct

from twins.records.markup import plain

LINE = 4_000_000  # bytes of a line; the longest of this project's is 60,000
FILE = 50_000_000  # bytes of a file; one of every page is a million
DEEP = 8  # lists and dictionaries inside each other
WIDE = 2**128  # an integer inside a case; seeds are the largest
LETTERS = r"\w .,:;+/()%'=~?→–…×°-"  # of a label; \w is a letter or digit of any language, or _
FOLDER = r"[a-z0-9_]+(?:-[a-z0-9_]+)*"
ALLOWED = {  # what msgspec says that a text must match -> what is allowed, in words
    rf"^{FOLDER}\Z": "a plain folder name of a-z, 0-9, - and _",
    rf"^[{LETTERS}]*\Z": "a name of letters, digits, spaces and . , : ; + - / ( ) % ' = ~ ? _",
}
_NAME, _LABEL = ALLOWED
Name = Annotated[str, Meta(pattern=_NAME, max_length=100)]  # of a machine, a notebook, a profile: a folder
Label = Annotated[str, Meta(pattern=_LABEL, max_length=200)]  # of a twin, a case, a variant: for people
Prose = Annotated[str, Meta(max_length=20_000)]  # an error message, a sentence
Count = Annotated[int, Meta(ge=-(2**62), le=2**62)]
PROSE = frozenset({"uncompiled", "where"})  # entries of a case and of a check that may quote an error
_OTHER = re.compile(rf"[^{LETTERS}]+")


class Body(Struct, frozen=True, forbid_unknown_fields=True):
    """The base of every kind of record; a field with a default was added later: older records lack it."""


def label(text: str) -> str:
    """A text as a label: what no label may hold becomes a space."""
    return " ".join(_OTHER.sub(" ", unicodedata.normalize("NFC", text)).split())[:200]


def explained(error: str) -> str:
    """What a decoder says of a text that does not match, with the alphabet in words."""
    for pattern, words in ALLOWED.items():
        error = error.replace(f"Expected `str` matching regex {pattern!r}", f"Expected {words}")
    return error


def check(value: object, place: str, depth: int = DEEP) -> None:
    """Check a value that has no type of its own, such as a case. Errors: ValueError naming the place."""
    if isinstance(value, str):
        if len(value) > 200 or _OTHER.search(value):
            raise ValueError(f"Expected {ALLOWED[_LABEL]}, of at most 200 - at `{place}`")
    elif isinstance(value, dict | list):
        if not depth:
            raise ValueError(f"nested deeper than {DEEP} - at `{place}`")
        for each in value if isinstance(value, list) else ():
            if type(each) is not float:
                check(each, place, depth - 1)
        for key, each in value.items() if isinstance(value, dict) else ():
            check(key, place)
            if key not in PROSE or not isinstance(each, str):
                check(each, f"{place}.{plain(key)[:40]}", depth - 1)
            elif len(each) > 20_000:
                raise ValueError(f"a text of {len(each)} characters, at most 20000 - at `{place}`")
    elif isinstance(value, int) and abs(value) > WIDE:
        raise ValueError(f"an integer above 2**128 - at `{place}`")
