"""The circulating text, statement by statement: data/circulating.yaml, each with the claim that judges it."""

from collections.abc import Iterable
from pathlib import Path

import msgspec
import pandas as pd

from twins.evidence.verdicts.claims import Verdict
from twins.records import store

FILE = store.ROOT / "data" / "circulating.yaml"


class Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A statement in our own words: its claim and the page with the evidence, or why it is an opinion."""

    statement: str
    claim: str = ""
    page: str = ""
    opinion: str = ""
    note: str = ""


def load(path: Path = FILE) -> list[Statement]:
    """Every statement. Errors: ValueError, one sentence that names the file and the statement."""
    try:
        found = msgspec.yaml.decode(path.read_bytes(), type=list[Statement])
    except msgspec.DecodeError as error:
        raise ValueError(f"{path.name}: {' '.join(str(error).split())}") from None
    for each in found:
        if [bool(each.claim), bool(each.page)] != 2 * [not each.opinion]:
            where = f"{path.name}, {each.statement!r}"
            raise ValueError(f"{where}: allowed is a claim with its page, or an opinion without them")
    return found


def table(statements: Iterable[Statement], verdicts: Iterable[Verdict]) -> pd.DataFrame:
    """Statement, claim, verdict and page. Errors: ValueError for a claim that has no verdict."""
    words, rows = {each.claim.id: each.word for each in verdicts}, []
    for each in statements:
        if each.claim not in words | {"": ""}:
            raise ValueError(f"circulating: no claim {each.claim!r}; there are {', '.join(words)}")
        word = words.get(each.claim, f"opinion, not checkable: {each.opinion}")
        rows.append((each.statement, each.claim or None, word, each.page or None, each.note or None))
    return pd.DataFrame(rows, columns=["statement", "claim", "verdict", "page", "note"])
