"""Run the report: `python -m twins.series.runner [--profile quick] [--only 02] [-p name=value]`.

Notebooks run one after another by papermill, each only when something it depends on changed. A
notebook that fails or is interrupted is kept as *.partial.ipynb; the finished ones stay.
"""

import argparse
import logging
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from twins.machine import doctor, ending, time_estimate
from twins.machine.given import assignment, words
from twins.records import store, writing
from twins.records.markup import plain
from twins.records.store import ROOT
from twins.series import notebook_files, site
from twins.series.live_line import Line, Progress, Remaining

SOURCES = ROOT / "notebooks"
LAST = "00_summary"  # reads what every other notebook writes
KEPT = ("quick", "full", "record")  # profiles whose records belong to data/results
PART = ("record",)  # profiles that run only the pages they name
TIMES = Path("build", "times.json")  # below ROOT: what pages took here
TIMEOUT = 3600  # seconds a cell may take
# A kernel that is ended logs its sockets, which is of no use to a user; a cell's errors are on its page.
QUIET = ["--IPKernelApp.log_level=50", "--IPKernelApp.no_stderr=True"]
BOUND = "--IPKernelApp.exec_lines=from twins.machine import ending; ending.end_with({}); del ending"


@dataclass(frozen=True)
class Job:
    """One notebook to run: its source, where the executed one goes, its parameters, its key."""

    source: Path
    target: Path
    parameters: dict
    key: str

    @property
    def name(self) -> str:
        """The notebook's name."""
        return self.source.stem

    def done(self) -> bool:
        """Whether the executed notebook is there and nothing it depends on changed since."""
        return (
            self.target.is_file()
            and notebook_files.read(self.target).metadata.get("twins", {}).get("key") == self.key
        )


def sources() -> list[Path]:
    """The series, in the order it runs: what reads records comes after what writes them, the summary last."""
    found = SOURCES.glob("[0-9][0-9]_*.ipynb")
    return sorted(found, key=lambda path: (notebook_files.reads_records(path), path.stem == LAST, path.name))


def chosen(paths: list[Path], only: list[str]) -> list[Path]:
    """The notebooks named by number or name. Errors: ValueError naming what there is."""
    picked = [path for path in paths if not only or path.stem in only or path.stem[:2] in only]
    unknown = [name for name in only if not any(name in (p.stem, p.stem[:2]) for p in paths)]
    if unknown:
        raise ValueError(
            f"no notebook is called {unknown[0]!r}; there are {', '.join(p.stem for p in paths)}"
        )
    return picked


def pages(profile: str, only: list[str]) -> list[Path]:
    """The notebooks to run: those asked for, or all; for a profile in PART, those that it names."""
    if profile in PART and not only:
        only = list(notebook_files.profile(SOURCES / "profiles", profile, sources()))
    return chosen(sources(), only)


def parameters(paths: list[Path], profile: str, given: list[str]) -> dict[str, dict]:
    """Every notebook's parameters, checked before anything runs. Errors: ValueError.

    A parameter given by hand goes to the chosen notebooks that have it; one that none has is unknown.
    """
    found = notebook_files.profile(SOURCES / "profiles", profile, sources())
    found = {path.stem: dict(found.get(path.stem, {})) for path in paths}
    for name, value in map(assignment, given):
        takers = [path for path in paths if name in notebook_files.declared(path)] or paths
        for path in takers:
            found[path.stem][name] = value
    for path in paths:
        notebook_files.check(path, found[path.stem])
    notebook_files.check_modules(SOURCES)
    return found


def key(path: Path, given: dict, folder: Path) -> str:
    """The key of a notebook under these parameters, with the environment's part in it."""
    more = [os.environ.get(name, "") for name in ("TWINS_DEVICE", "TWINS_THREADS")]
    more.append((ROOT / "constraints.txt").read_text())
    values = (notebook_files.declared(path) | given).values()
    own = [path.parent / value for value in values if isinstance(value, str) and value.endswith(".py")]
    more += [file.read_text() for file in own if file.is_file()]
    if notebook_files.reads_records(path):
        others = [p for p in sorted(folder.glob("*/*.jsonl")) if p.stem != path.stem]
        more += [f"{p.relative_to(folder)}:{p.read_text()}" for p in others]
    return notebook_files.key(path, given, more)


def shown(path: Path) -> Path:
    """A path as it is printed: relative to the project's folder if it lies in it."""
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def execute(job: Job, progress: Progress) -> None:
    """Run one notebook; the finished one appears whole or not at all. Errors: RuntimeError."""
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError
    from traitlets.config import Config

    partial = job.target.with_suffix(".partial.ipynb")
    partial.parent.mkdir(parents=True, exist_ok=True)
    config = Config({"KernelManager": {"transport_encryption": "auto"}})
    logging.getLogger("papermill").setLevel(logging.CRITICAL)  # what fails is said below
    try:
        notebook = papermill.execute_notebook(
            job.source,
            partial,
            job.parameters,
            kernel_name="python3",
            progress_bar=False,
            stdout_file=progress,
            on_cell_start=progress.start,
            execution_timeout=TIMEOUT,
            cwd=SOURCES,
            extra_arguments=[*QUIET, BOUND.format(os.getpid())],
            config=config,
        )
    except PapermillExecutionError as error:
        where = f"{job.name}, cell {error.cell_index + 1}"
        raise RuntimeError(f"{where}: {error.ename}: {error.evalue} (what ran: {shown(partial)})") from None
    except CellTimeoutError as error:
        raise RuntimeError(f"{job.name}: {str(error).splitlines()[0]}") from None
    except DeadKernelError:
        raise RuntimeError(f"{job.name}: its process ended by itself or {ending.KILLED}") from None
    notebook = notebook_files.tidy(notebook, ROOT)
    notebook.metadata.setdefault("twins", {})["key"] = job.key
    writing.write(job.target, notebook_files.nbformat.writes(notebook) + "\n")
    partial.unlink()


def waiting(paths: list[Path], given: dict[str, dict], out: Path, folder: Path) -> list[str]:
    """The notebooks that are not up to date; what reads records is not if anything else is not."""
    jobs = [
        Job(path, out / path.name, given[path.stem], key(path, given[path.stem], folder)) for path in paths
    ]
    found = [job.name for job in jobs if not job.done()]
    return [j.name for j in jobs if j.name in found or (found and notebook_files.reads_records(j.source))]


def begin(
    paths: list[Path], given: dict[str, dict], out: Path, folder: Path, profile: str, name: str
) -> Line:
    """Print the machine and the time that these pages take, and give the line that says how far they are.

    `name` is the run's, under which its pages' times are kept. Errors: ValueError where nothing can run.
    """
    seen, times = doctor.look(), ROOT / TIMES
    print(doctor.greeting(seen, profile, [path.stem for path in paths], file=times), flush=True)
    expected = time_estimate.by_page(seen.work, profile, file=times) | time_estimate.taken(name, times)
    expected.setdefault(LAST, 0.0)  # it has no records to be estimated from, and takes seconds
    return Line(Remaining(expected, waiting(paths, given, out, folder)))


def run(
    paths: list[Path], given: dict[str, dict], out: Path, folder: Path, line: Line, name: str
) -> list[str]:
    """Execute what is not up to date, in order; the sentence of each failure. The others still run."""
    failures = []
    for number, path in enumerate(paths, 1):
        job = Job(path, out / path.name, given[path.stem], key(path, given[path.stem], folder))
        head = f"[{number}/{len(paths)}] {job.name}"
        line.remaining.start(job.name)
        if job.done():
            line.remaining.end()
            line.say(f"{head}  unchanged")
            continue
        start = time.perf_counter()
        line.show(head, "running", "" if line.live else str(line.remaining))
        try:
            execute(job, Progress(head, job.name, line))
            seconds = time.perf_counter() - start
            time_estimate.note(name, job.name, seconds, ROOT / TIMES)
            line.say(f"{head}  done in {seconds:.0f} s")
        except RuntimeError as error:
            failures.append(str(error))
            line.say(f"{head}  FAILED")
        line.remaining.end()
    line.clear()
    return failures


def refresh_headline(target: Path, folder: Path) -> None:
    """Write the headline again unless it is of the newest record; the README's is made by `make publish`."""
    newest = max((path.stat().st_mtime_ns for path in folder.glob("*/*.jsonl")), default=0)
    if newest and not (target.exists() and target.stat().st_mtime_ns == newest):
        from twins.series import publish  # it draws, which takes long to load

        publish.write_headline(store.read(folder), target)
        if target.exists():
            os.utime(target, ns=(newest, newest))  # a clock that is set back makes nothing look newer


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m twins.series.runner", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--profile", default="quick", help="a file of notebooks/profiles")
    parser.add_argument("--only", nargs="*", default=[], metavar="NN", help="notebooks by number or name")
    parser.add_argument("-p", dest="given", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--set", default="", help="such values, in one text as a shell has them")
    parser.add_argument("--out", type=Path, help="folder of what is made (default build/PROFILE)")
    return parser.parse_args()


def report(chosen_by: argparse.Namespace) -> list[str]:
    """Run, build the site and print its path; a sentence for each thing that went wrong.

    Errors: ValueError, OSError and RuntimeError where there is no report.
    """
    profile, by_hand = chosen_by.profile, chosen_by.given + words(chosen_by.set)
    notebook_files.profile(SOURCES / "profiles", profile, sources())  # before its name is part of a path
    name = f"{profile}-custom" if by_hand else profile
    out = (chosen_by.out or ROOT / "build" / name).resolve()
    paths = pages(profile, chosen_by.only)
    kept = profile in KEPT and not chosen_by.out
    kept = kept and (not by_hand or [path.stem for path in paths] == [LAST])  # it writes none
    folder = ROOT / "data" / "results" if kept else out / "results"
    os.environ |= {"TWINS_RESULTS": str(folder), "TWINS_PROFILE": profile}
    given = parameters(paths, profile, by_hand)
    with writing.alone(chosen_by.out or ROOT / "build", f"the report of profile {profile}"):
        line = begin(paths, given, out / "notebooks", folder, profile, name)
        problems = store.read(folder).problems
        problems += run(paths, given, out / "notebooks", folder, line, name)
        if site.finished(out / "notebooks"):
            if kept and not by_hand:
                refresh_headline(out / "headline.md", folder)
            print(f"the report: {site.build(out / 'notebooks', out / 'site', profile)}")
    return problems


def main() -> None:
    """Run the report; exit with 1 and one sentence for each thing that went wrong."""
    ending.stop_when_asked()
    try:
        problems = report(arguments())
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(plain(f"error: {error}"))
    except KeyboardInterrupt:
        ending.say("stopped; run it again to go on where it stopped")
        sys.exit(130)
    if problems:
        sys.exit(plain("\n".join(f"error: {problem}" for problem in problems)))


if __name__ == "__main__":
    main()
