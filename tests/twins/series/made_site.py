"""A small site for the tests of the browser: three pages made by hand, the summary, three machines.

The machines are the two whose records are committed, and a synthetic Mac: the same records with other times.
One page and many texts of the records are as somebody would write them who wants a page to run a script.
"""

import base64
import io
import json
from pathlib import Path
from unittest import mock

import matplotlib as mpl
import nbformat
import pandas as pd
from matplotlib.figure import Figure
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from twins.evidence.answers import answer
from twins.figures import style
from twins.records import store
from twins.records.store import ROOT
from twins.series import show, site
from twins.series.pages import machines, page_facts, summary_page

PYTHON = {
    "kernelspec": {"name": "python3", "display_name": "Python 3"},
    "language_info": {"name": "python"},
}
INTEL, AMD, MAC = "intel-xeon-processor-24gb", "amd-epyc-24gb", "apple-m5-10-core-gpu-24gb"
KEPT = {INTEL: ("02_transformer_lm", "07_coreml_from_pytorch", "08_coreml_from_mlx"), AMD: ("12_your_model",)}

SCRIPT = "<script>window.ran = 1</script><img src=https://example.invalid/a.png onerror='window.ran = 1'>"
LINKS = "![x](https://example.invalid/b.png) [go](javascript:window.ran=1) <https://example.invalid/c>"
HOSTILE = f"{SCRIPT} \"'>{SCRIPT} {LINKS} `` ` ``{SCRIPT} $\\frac$ {{raw}}`html` \x1b[31m </td></svg>"
BLOCK = f"\n\n```{{raw}} html\n{SCRIPT}\n```\n\n:::{{include}} /etc/passwd\n:::\n\n{SCRIPT}\n"
TEXTS = ("message", "line", "told")  # of records: any text


def mlx_step(model, batch):
    """One update, as MLX writes it."""
    return model.update_with_a_rather_long_name(
        batch, learning_rate=3e-4, weight_decay=0.1, clip=1.0, eps=1e-8
    )


def torch_step(model, batch):
    """One update, as PyTorch writes it."""
    return model.step(batch)


def picture(width):
    with mpl.rc_context({"svg.fonttype": "none", "text.color": "#1b1f24", "xtick.color": "#5f6b7a"}):
        figure = Figure(figsize=(width, 3), facecolor="none")
        axes = figure.subplots()
        axes.grid(color="#d5dae1")
        axes.plot([1, 2, 3], [1, 4, 2], "o-", color="#0072b2", markeredgecolor="#ffffff", gid="line-mlx")
        axes.plot([1, 2, 3], [2, 3, 3], "s--", color="#c24e00", markeredgecolor="#ffffff")
        axes.set_title("MLX is faster at 1 of 3 sizes")
        svg, png = io.StringIO(), io.BytesIO()
        figure.savefig(svg, format="svg")
        figure.savefig(png, format="png", dpi=20)
    image = base64.b64encode(png.getvalue()).decode()
    data = {"image/svg+xml": svg.getvalue(), "image/png": image, "text/plain": "a figure"}
    data |= {show.NARROW: svg.getvalue()} if width < 8 else {}
    alt = {"image/svg+xml": {"alt": "Lines over size: MLX is faster at 1 of 3 sizes."}}
    return new_output("display_data", data=data, metadata=alt)


def shown(item):
    return new_output("display_data", data=item._repr_mimebundle_())


def code(source, *outputs, tags=()):
    return new_code_cell(source, outputs=list(outputs), metadata={"tags": list(tags)} if tags else {})


def machine():
    long = pd.DataFrame({"size": range(20), "ms": [i / 3 for i in range(20)]})
    return [
        new_markdown_cell("# The machine\n\nWhat can it do at best?\n\n## Ceilings\n\nA `product` costs $5."),
        code(
            "probe()",
            new_output("execute_result", data={"text/plain": "Machine(cores=8)"}, execution_count=1),
        ),
        code("show.Pair(...)", shown(show.Pair(MLX=mlx_step, PyTorch=torch_step)), tags=["hide-input"]),
        code("show.table(long)", shown(show.table(long))),
        new_markdown_cell("### Every product\n\nInside of the fold."),
        code("show.table(long)", shown(show.table(long, "All")), picture(7.2)),
        new_markdown_cell("#### A smaller heading\n\nStill inside.\n\n## Next\n\nOutside."),
    ]


def language_model(own: machines.Measured):
    many = {f"a long heading {i}": [i + 0.25, i / 3, None] for i in range(12)}
    times = pd.DataFrame(
        {"task": ["b", "a", "c"], "time": ["980 µs", "1.5 s", "12 ms"], "ms": [0.25, 1, None]}
    )
    term = r"-\frac{1}{BT} \sum_{b=1}^{B} \sum_{t=1}^{T} \log p_\theta(x_{b,t} \mid x_{b,<t})"
    answered = site.opening(own.answer("02_transformer_lm"))
    opening = "# A language model\n\nWho is faster, at equal loss?\n\nSee [it](01_machine.ipynb#ceilings)."
    phases = f"| phase | what |\n| --- | --- |\n| first | {'discarded ' * 12}|"
    return [
        new_markdown_cell(opening),
        code("opening", *(new_output("display_data", **part) for part in answered)),
        code("import hidden_import", tags=["remove-cell"]),
        code("show.note(book.machine)", shown(show.note(f"**{own.facts}**"))),
        code("steps = 200  # updates", tags=["parameters"]),
        code("# Parameters\nsteps = 20", tags=["injected-parameters"]),
        new_markdown_cell(f"## Setting\n\nWith $x_{{<t}}$ the text:\n\n$$\n{term * 4}\n$$\n\nas ever."),
        code("show.Pair(...)", shown(show.Pair(MLX=mlx_step, PyTorch=torch_step)), tags=["hide-input"]),
        new_markdown_cell(f"## Result\n\n{phases}"),
        code("plots.ratio(records)", new_output("stream", text="device cpu\n"), picture(7.2)),
        code("show.note(...)", shown(show.note("It takes **0.82**, see [it](01_machine.ipynb)."))),
        code("show.table(times)", shown(show.table(times, "Median of 20 runs")), tags=["remove-input"]),
        code("show.table(wide)", shown(show.table(times.assign(**many), "Everything"))),
        code(
            f"result = call({', '.join(f'argument_{i}={i}' for i in range(20))})",
            picture(12),
            tags=["show-code"],
        ),
    ]


def hostile(found: store.Found):
    """A page of texts that strangers may have written, each shown in one of the ways that a page has."""
    texts = [HOSTILE, f"{HOSTILE}{BLOCK}", f"`{HOSTILE}", f"**{HOSTILE}** [a](01_machine.ipynb)"]
    told = answer.Answer(HOSTILE, (HOSTILE, BLOCK), HOSTILE)
    frame = pd.DataFrame({HOSTILE: [1, 2], "text": [HOSTILE, BLOCK], "none": [None, None]})
    canvas = Figure(figsize=(7, 2))
    canvas.subplots().set_xlabel(SCRIPT, gid=SCRIPT)
    drawn = style.Figure(canvas, HOSTILE)
    outputs = [*(shown(show.note(text)) for text in [*texts, "\n\n".join(found.problems)])]
    outputs += [shown(show.in_short(told)), shown(show.table(frame, HOSTILE))]
    outputs += [new_output("display_data", **page_facts.bundle(drawn))]
    outputs += [new_output("stream", text=f"{HOSTILE}{BLOCK}")]
    outputs += [new_output("execute_result", data={"text/plain": HOSTILE}, execution_count=1)]
    heading = new_markdown_cell("# What others sent\n\nIs it shown as text?")
    return [heading, *(code("shown", output) for output in outputs)]


def sent(record: dict) -> dict:
    """The record with hostile texts wherever a record may hold any text."""
    body = record["body"]
    body |= {name: f"{HOSTILE}{body[name]}" for name in TEXTS if body.get(name)}
    body |= {name: [HOSTILE, *body[name]] for name in ("warnings", "notes") if name in body}
    if "reasons" in body:
        body["reasons"] = {f"{HOSTILE}{why}": count for why, count in body["reasons"].items()}
    for check in body.get("checks", []):
        check["where"] = HOSTILE
    return record


def records(folder: Path) -> None:
    """Records of the committed machines, and of a Mac on which MLX takes a tenth of its time."""
    for machine, names in KEPT.items():
        (folder / machine).mkdir(parents=True)
        for name in names:
            lines = (ROOT / "data" / "results" / machine / f"{name}.jsonl").read_text().splitlines()
            lines = [json.dumps(sent(json.loads(line))) for line in lines]
            (folder / machine / f"{name}.jsonl").write_text("\n".join([*lines, ""]))
    (folder / MAC).mkdir()
    lines = (folder / INTEL / "02_transformer_lm.jsonl").read_text().splitlines()
    made = "\n".join([*(json.dumps(of_a_mac(json.loads(line))) for line in lines), ""])
    (folder / MAC / "02_transformer_lm.jsonl").write_text(made)
    first = json.loads(lines[0])
    bad = [first | {name: HOSTILE} for name in ("machine", "device", "kind", "run", "notebook", HOSTILE)]
    bad += [first | {"body": first["body"] | {name: HOSTILE}} for name in ("chip", "gpu", "power", HOSTILE)]
    lines = "".join(f"{json.dumps(line)}\n" for line in [*bad, HOSTILE])
    (folder / MAC / "<img src=x>.jsonl").write_text(lines)


def of_a_mac(record: dict) -> dict:
    """The record as if an Apple GPU had made it."""
    body = record["body"]
    if record["kind"] == "machine":
        body |= {
            "id": MAC,
            "chip": "Apple M5",
            "device": "Apple GPU",
            "gpu_cores": 10,
            "system": "macOS 26",
        }
    for run in body.get("runs", []):
        for variant, samples in run.get("arms", {}).items():
            if variant.startswith("MLX"):
                samples["wall"] = [seconds / 10 for seconds in samples["wall"]]
    return record | {"machine": MAC, "device": "Apple GPU"}


def summary(known: list, found: store.Found) -> nbformat.NotebookNode:
    """The summary as it would have run on the first committed machine."""
    notebook = nbformat.read(site.SUMMARY, as_version=4)
    own = next(machine for machine in known if machine.name == INTEL)
    shown = summary_page.cells(nbformat.writes(notebook), site.SUMMARY, [own], found)
    for number, cell in enumerate(notebook.cells, 1):
        outputs = shown.get(str(number), {}).get(own.key, [])
        if cell.cell_type == "code" and summary_page.OPENING in cell.source.splitlines():
            outputs = site.opening(own.answer(summary_page.NAME))[:2]
        if cell.cell_type == "code":
            cell.outputs = [nbformat.from_dict({"output_type": "display_data", **each}) for each in outputs]
    return notebook


def build(folder: Path) -> Path:
    """The folder of the site, built in a folder; without the documents, which take longer than the rest."""
    notebooks = folder / "notebooks"
    notebooks.mkdir()
    records(folder / "results")
    found = store.read(folder / "results")
    known = machines.known(found)
    own = next(machine for machine in known if machine.name == INTEL)
    made = {"01_machine": machine(), "02_transformer_lm": language_model(own)}
    made |= {"07_coreml_from_pytorch": hostile(found)}
    for name, cells in made.items():
        nbformat.write(new_notebook(cells=cells, metadata=PYTHON), notebooks / f"{name}.ipynb")
    nbformat.write(summary(known, found), notebooks / "00_summary.ipynb")
    with mock.patch.object(site, "DOCS", folder / "none"):
        return site.build(notebooks, folder / "site", "quick").parent
