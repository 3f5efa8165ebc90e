"""How much of MLX converts to Core AI beside Core ML: tables of the committed coverage of both formats.

`mlx-coreml coverage --to coreai --results FILE` and the same without `--to` wrote what is read here.
"""

from pathlib import Path

import pandas as pd

from twins.records import store

RESULTS = store.ROOT / "data" / "results"
FILES = ("coverage_core_ai.csv", "coverage_core_ml.csv")


def measured(folder: Path = RESULTS) -> tuple[str, pd.DataFrame, pd.DataFrame]:
    """The first machine that both formats were measured on, and its cases in Core AI and in Core ML.

    Errors: FileNotFoundError where no machine has both.
    """
    for path in sorted(folder.glob(f"*/{FILES[0]}")):
        if path.with_name(FILES[1]).exists():
            ai, ml = (pd.read_csv(path.with_name(name), keep_default_na=False) for name in FILES)
            return path.parent.name, ai, ml
    raise FileNotFoundError(f"no machine in {folder} has {' and '.join(FILES)}")


def in_both() -> pd.DataFrame:
    """The cases measured in both formats, a row each, with the verdict and the reason of each format."""
    _, ai, ml = measured()
    return ai.merge(ml, on=["group", "name"], suffixes=(" ai", " ml"))


def by_group() -> pd.DataFrame:
    """Verdicts in Core AI by group, and how many of the cases measured in both formats are right in each."""
    _, ours, _ = measured()
    both = in_both()
    groups = list(dict.fromkeys(ours["group"]))
    verdicts = pd.crosstab(ours["group"], ours["verdict"]).loc[groups]
    verdicts.insert(0, "cases", verdicts.sum(axis=1))
    right = {f"right in Core {each}": both[f"verdict {each.lower()}"] == "right" for each in ("ML", "AI")}
    counts = both.assign(**right).groupby("group")
    pairs = counts[list(right)].sum().assign(**{"measured in both": counts.size()})
    pairs = pairs.reindex(groups).fillna(0).astype(int)
    return verdicts.join(pairs.iloc[:, ::-1]).reset_index()


def in_one_alone() -> pd.DataFrame:
    """The cases that are right in one format alone, with the verdict and the reason of both."""
    both = in_both()
    found = both[(both["verdict ai"] == "right") != (both["verdict ml"] == "right")]
    told = {
        f"Core {each}": (found[f"verdict {key}"] + " " + found[f"reason {key}"]).str.strip()
        for each, key in (("ML", "ml"), ("AI", "ai"))
    }
    return pd.DataFrame({"group": found["group"], "case": found["name"]} | told).reset_index(drop=True)


def told() -> str:
    """How many of the cases that are right in Core ML are right in Core AI as well, in a sentence."""
    machine, _, _ = measured()
    both = in_both()
    ml = both[both["verdict ml"] == "right"]
    right = int((ml["verdict ai"] == "right").sum())
    return (
        f"{right:,} of the {len(ml):,} cases that are right in Core ML are right in Core AI as well "
        f"({right / len(ml):.1%}), as measured on `{machine}` in float32."
    )
