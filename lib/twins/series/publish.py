"""`make publish`: this machine's executed notebooks into report/, the headline into README.md and report/.

What is published names the machine by chip and memory only; a host name, a user's folder or an absolute
path is refused.
"""

import argparse
import re
import sys
from pathlib import Path

from twins.evidence import summary
from twins.evidence.answers import claims_page, pages, rows
from twins.figures import answer_figures
from twins.figures.style import Figure
from twins.machine import ending
from twins.records import store, writing
from twins.records.leaks import leaks
from twins.records.markup import plain
from twins.records.record_types import Machine
from twins.records.store import ROOT
from twins.series import notebook_files, site

TARGET = ROOT / "report"
README = ROOT / "README.md"
RECORDS = ROOT / "data" / "results"
PICTURE = "headline.png"
BEGIN, END = "<!-- headline: made by `make publish` from data/results -->", "<!-- end of headline -->"
CPU_CAVEAT = (
    "These are figures of a CPU: **they say nothing about Metal.** `make report` on your Mac measures it."
)
NOTHING = "No training step was timed."


def newest_machine(found: store.Found, machine: str) -> Machine:
    """The newest fingerprint recorded under a machine's id. Errors: ValueError when there is none."""
    known = [r for r in found.records if r.machine == machine and isinstance(r.body, Machine)]
    if not known:
        raise ValueError(
            f"no record of machine {machine!r}; there are {sorted({r.machine for r in found.records})}"
        )
    return max(known, key=lambda r: r.run).body


def picture(found: store.Found, machine: str) -> Figure:
    """The headline's figure: every training step that was timed, eager in both frameworks."""
    told = claims_page.answer(summary.evidence(found, machine))
    return answer_figures.steps(told.cases, told.finding)


def headline(found: store.Found, machine: str) -> str:
    """The README's headline in Markdown: answers, figure, verdicts counted, and what they do not say."""
    records = summary.evidence(found, machine)
    here, told = newest_machine(store.Found(records, []), machine), claims_page.answer(records)
    lines = [rows.markdown(records, found, f"{here.chip}, {here.cores} cores, {here.device}"), ""]
    lines += [f"![{told.finding or NOTHING}]({TARGET.name}/{PICTURE})", ""]
    lines += [f"Measured on {here} (machine `{here.id}`, {here.device})."]
    lines += [f"The claims: {told.line}."]
    return "\n".join([*lines, CPU_CAVEAT] if here.device == "CPU" else lines)


def write_headline(found: store.Found, target: Path) -> None:
    """Write the headline of the machine that was measured last into a Markdown file, its figure next to it.

    Nothing is written where no record says what machine it is of.
    """
    told = [record for record in found.records if isinstance(record.body, Machine)]
    if not told:
        return
    machine = max(told, key=lambda record: record.run).machine
    writing.write(target.parent / PICTURE, picture(found, machine).png)
    writing.write(target, headline(found, machine) + "\n")


def with_headline(readme: str, text: str) -> str:
    """The README with its headline replaced. Errors: ValueError when the marks are missing."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md lacks the marks {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n{text}\n{END}{after}"


def ran_on(page: Path) -> str:
    """The machine an executed page ran on, which it shows in bold; empty when it shows none."""
    outputs = [output for cell in notebook_files.read(page).cells for output in cell.get("outputs", [])]
    told = [output.get("data", {}).get("text/markdown", "") for output in outputs]
    return next((found[1] for text in told if (found := re.match(r"\*\*([^*]+ GB, [^*]+)\*\*", text))), "")


def index(executed: list[Path], here: Machine, profile: str, records: list[store.Record]) -> str:
    """report/README.md: which run this is, its pages with their answers, and machines where they differ."""
    machines, answers = {page: ran_on(page) for page in executed}, pages.lines(records)
    several = len(set(machines.values()) - {""}) > 1
    lines = []
    for page in executed:
        title, question = site.heading(page)
        where = f" On {machines[page]}." if several and machines[page] else ""
        lines.append(f"- [{title}]({page.name}): {answers.get(page.stem, question)}{where}")
    where = "each on the machine it names" if several else f"{here}, on {here.device}"
    run = f"The executed notebooks of the reference run: profile `{profile}`, {where}."
    caveat = "They are not Apple-silicon figures." if here.device == "CPU" else ""
    return "\n".join(["# The report", "", f"{run} {caveat}".strip(), "", *lines, ""])


def publish(profile: str, machine: str) -> list[Path]:
    """Copy the executed notebooks, write the index and the headline; the files written.

    A run of the same clone is waited for. Errors: ValueError naming the file when something would leak;
    nothing is written then.
    """
    with writing.alone(ROOT / "build", "`make publish`"):
        writing.sweep(TARGET)
        return _published(profile, machine)


def _published(profile: str, machine: str) -> list[Path]:
    found = store.read(RECORDS)
    here = newest_machine(found, machine)
    pages = (notebook_files.made(profile) / "notebooks").glob("*.ipynb")
    executed = sorted(page for page in pages if ".partial" not in page.name)
    kept = sorted(RECORDS.glob("*/*.jsonl"))
    for path in [*executed, *kept]:
        if what := leaks(path.read_text()):
            raise ValueError(f"{path.relative_to(ROOT)} is not published: it names {what[0]!r}")
    readme = with_headline(README.read_text(), headline(found, machine))
    made = {TARGET / page.name: page.read_bytes() for page in executed}
    made[TARGET / "README.md"] = index(executed, here, profile, summary.evidence(found, machine)).encode()
    made[TARGET / PICTURE] = picture(found, machine).png
    made[README] = readme.encode()
    return [writing.write(path, content) for path, content in made.items()]


def main() -> None:
    """The command line: publish this machine's run of a profile."""
    parser = argparse.ArgumentParser(
        prog="python -m twins.series.publish", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--profile", default="quick", help="the profile that was run")
    parser.add_argument("--machine", help="whose training figures head the README (default: this machine)")
    given = parser.parse_args()
    from twins.machine import identity

    ending.stop_when_asked()
    try:
        for path in publish(given.profile, given.machine or identity.fingerprint().id):
            print(path.relative_to(ROOT))
    except (ValueError, OSError) as error:
        sys.exit(plain(f"error: {error}"))
    except KeyboardInterrupt:
        ending.say("stopped; `make publish` goes on")
        sys.exit(130)


if __name__ == "__main__":
    main()
