"""Tables and texts that documentation pages take from code and records, with their date and versions.

In a page such a part is a block ```{generated} NAME```; a code host shows the block's body in its place.
What a part is made from is imported when a page has it, because that takes seconds.
"""

import os
import re
import subprocess
import sys
from datetime import date
from importlib.metadata import version

import pandas as pd
from measured import devices, gates, limits_of_the_gate, own_error, timings
from sphinx.util.docutils import SphinxDirective

import mlx_startup  # noqa: F401  (before torch)
from twins.records import export_types, store
from twins.series import show


def table(frame: pd.DataFrame) -> str:
    """A table as the notebooks show it, in a box that scrolls."""
    return f'<div class="output text_html">\n{show.table(frame).forms["text/html"]}\n</div>'


def made_with(*names: str) -> str:
    return f"made on {date.today()} with {', '.join(f'{name} {version(name)}' for name in names)}"


def told(case: dict) -> str:
    return "; ".join(f"{k} {', '.join(v) if isinstance(v, list) else v}" for k, v in case.items())


def mil_operations() -> str:
    """Every MIL operation of coremltools: opsets, the file that computes it, a test that runs it."""
    from coreml_runtime.coverage import coverage

    found = coverage(store.ROOT / "tests" / "coreml_runtime")
    count = sum(bool(each.implemented) for each in found)
    how = made_with("coreml-runtime", "coremltools", "torch")
    return f"{count} of {len(found)} operations are implemented ({how}).\n\n{table(pd.DataFrame(found))}"


def limits() -> str:
    """What Core ML refuses or computes otherwise, and what the runtime does then."""
    from coreml_runtime.execution.limits import LIMITS

    rows = [(each.case, each.core_ml, each.here, linked(each.source)) for each in LIMITS.values()]
    lines = [("case", "Core ML", "here", "source"), ("---",) * 4, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def linked(text: str) -> str:
    """A text whose addresses are links of a few words."""

    def link(found: re.Match) -> str:
        number = re.search(r"coremltools/(?:issues|pull)/(\d+)$", found[0])
        return f"[{f'coremltools#{number[1]}' if number else 'documentation'}]({found[0]})"

    return re.sub(r"https://[^\s,;]*[^\s,;:]", link, text)


def lowered() -> str:
    """The kinds of nodes that have a lowering."""
    import mlx_coreml.backends.mil.program  # noqa: F401  (files every lowering)
    from mlx_coreml.backends.mil.lowering.registry import RULES

    names = ", ".join(f"`{name}`" for name in sorted(RULES))
    return f"{len(RULES)} kinds of nodes have a lowering ({made_with('mlx-coreml', 'mlx')}): {names}."


def refused() -> str:
    """The primitives without a counterpart in Core ML, and why."""
    from mlx_coreml.backends.mil.lowering.refused import REASONS

    return table(pd.DataFrame(sorted(REASONS.items()), columns=["primitive", "why it is refused"]))


def usages() -> str:
    """The usages that are converted and run, by kind, and how many of them must be refused."""
    from mlx_coreml.coverage.usages import KINDS

    rows = [
        {
            "kind": kind.name,
            "usages": len(own := list(kind)),
            "refused": sum(bool(each.refused) for each in own),
            "which": "; ".join(each.name.partition(": ")[2] for each in own),
        }
        for kind in KINDS
    ]
    count = sum(row["usages"] for row in rows)
    return f"{count} usages ({made_with('mlx-coreml', 'mlx')}).\n\n{table(pd.DataFrame(rows))}"


def generation() -> str:
    """Which language models of mlx-lm generate its tokens as stateful packages, on the first machine kept."""
    (path, *_) = sorted((store.ROOT / "data" / "results").glob("*/generation.csv"))
    frame = pd.read_csv(path, keep_default_na=False)
    right, others = frame[frame["verdict"] == "right"], frame[frame["verdict"] != "right"]
    errors = right.loc[right["error"] != "", "error"].astype(float)  # equal tokens alone have no error
    names = ", ".join(f"`{name}`" for name in right["name"])
    reasons = "\n".join(f"- `{row['name']}`: {row.verdict}, {row.reason}" for _, row in others.iterrows())
    return (
        f"{len(right)} of {len(frame)} architectures, on `{path.parent.name}`. The median error is "
        f"{errors.median():.0e} and the largest {errors.max():.0e}:\n{names}.\n\nThe others:\n\n{reasons}"
    )


def not_in_core_ai() -> str:
    """The options and primitives that are refused for Core AI, and why."""
    from twins.export.core_ai import core_ai_tables

    return table(core_ai_tables.refused())


def core_ai() -> str:
    """Coverage in Core AI, the cases measured in both formats, and those that only one of them has right."""
    from twins.export.core_ai import coverage_tables

    alone = coverage_tables.in_one_alone()
    found = table(alone) if len(alone) else "None."
    shown = table(coverage_tables.by_group())
    return f"{coverage_tables.told()}\n\n{shown}\n\nRight in one format alone, of these cases:\n\n{found}"


def converted() -> str:
    """What the newest recorded run converted directly from MLX."""
    from twins.figures.conversion_figures import coverage_table

    records = store.read(store.ROOT / "data" / "results").records
    found = [record for record in records if isinstance(record.body, export_types.Coverage)]
    newest = [r for r in found if r.run == max(each.run for each in found) and r.body.route == "MLX direct"]
    first, frame = newest[0], coverage_table([r.body for r in newest])
    frame.insert(2, "cases", [told(r.body.case) for r in newest])
    versions = ", ".join(f"{name} {number}" for name, number in first.versions.items())
    where = f"run of {first.run[:10]} on `{first.machine}`, page {first.notebook}, profile {first.profile}"
    return f"From the records of the {where}: {versions}.\n\n{table(frame.drop(columns='route'))}"


def command(module: str) -> str:
    """The help of a command line and of each of its commands."""

    def said(*names: str) -> str:
        call = [sys.executable, "-m", module, *names, "--help"]
        return subprocess.check_output(call, text=True, env=os.environ | {"COLUMNS": "88"})

    names = re.search(r"\{([\w,]+)\}", top := said())[1].split(",")
    return "\n".join(f"```text\n{text}```\n" for text in [top, *map(said, names)])


class Generated(SphinxDirective):
    required_arguments, optional_arguments, has_content = 1, 1, True

    def run(self):
        name, *given = self.arguments
        makers = (mil_operations, limits, lowered, refused, converted, usages, generation, command)
        makers += (gates, limits_of_the_gate, timings, own_error, devices, not_in_core_ai, core_ai)
        return self.parse_text_to_nodes({each.__name__: each for each in makers}[name](*given))


def setup(app):
    app.add_directive("generated", Generated)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
