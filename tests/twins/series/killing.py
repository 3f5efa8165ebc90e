"""Work that is killed at random moments, in copies of one process that has imported all it needs.

`python killing.py HOW COUNT FOLDER WORK...`: for each moment a new folder, in which a copy of this process
works and is killed; what was finished must be there, no process may be left, and the work done again must end
as one that was never killed. HOW is "step" (before one that changes files, or in a write's middle) or "time".
"""

import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import nbformat
import psutil

from twins.machine import ending
from twins.records import store
from twins.series import notebook_files, publish, runner, sharing, site
from twins.series.live_line import Line, Remaining

MACHINE, PAGE, ADDED = "amd-epyc-24gb", "12_your_model", 3
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.truncate", "os.link", "fcntl.flock", "shutil.rmtree"}
PATIENCE = 15.0  # seconds in which what a killed process had started must end; it looks once a second
TRIES = 4  # for each moment: a work may be done before it
RECORDS = [r for r in store.read(store.ROOT / "data" / "results").records if r.machine == MACHINE]
OWN = [record for record in RECORDS if record.notebook == PAGE][:6]


# --- the works: (what is there before, the work) ----------------------------------------------------


def before_append(folder: Path) -> None:
    store.append(folder / "m" / "a.jsonl", OWN[:2])


def append(folder: Path) -> None:
    """What is not there yet: a process may be killed after its last write."""
    path = folder / "m" / "a.jsonl"
    there = store.read_file(path).records
    store.append(path, [record for record in OWN[2 : 2 + ADDED] if record not in there])


def before_merge(folder: Path) -> None:
    store.append(folder / "results" / "m" / "a.jsonl", OWN[:2])
    for tag, records in (("aaaaaa", RECORDS[:4]), ("bbbbbb", OWN[:4])):
        name = f"{MACHINE}-{tag}"
        kept = [r for r in RECORDS if r.kind == "machine" and r.notebook == records[0].notebook][:1]
        moved = [store.parse(store.json_line(r).replace(r.run, f"{r.run[:-3]}01Z")) for r in records]
        (folder / f"{tag}.jsonl").write_text(
            sharing.shared([*(k for k in kept if k not in records), *moved], name)
        )


def merge(folder: Path) -> None:
    """A file that is there already is a refusal, which says so: merging goes on where it stopped."""
    sharing.merge([folder / "aaaaaa.jsonl", folder / "bbbbbb.jsonl"], folder / "results")


def before_pages(folder: Path) -> None:
    cells = [
        nbformat.v4.new_markdown_cell("# A\n\nWhy?", id="a"),
        nbformat.v4.new_code_cell("steps = 1  # how many", id="p", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell("import time\ntime.sleep(0.2)\nprint(steps)", id="c"),
    ]
    made = nbformat.v4.new_notebook(cells=cells)
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    (folder / "notebooks" / "profiles").mkdir(parents=True)
    nbformat.write(made, folder / "notebooks" / "01_a.ipynb")
    out = folder / "build" / "quick" / "notebooks"
    out.mkdir(parents=True)
    shutil.copy(folder / "notebooks" / "01_a.ipynb", out / "old.ipynb")


def page(folder: Path) -> None:
    """A page runs."""
    runner.ROOT, runner.SOURCES = folder, folder / "notebooks"
    (folder / "constraints.txt").write_text("")
    paths = sorted(runner.SOURCES.glob("*.ipynb"))
    line = Line(Remaining({}, []), open(os.devnull, "w"))  # noqa: SIM115, PTH123
    out = folder / "build" / "quick"
    failed = runner.run(
        paths, {path.stem: {} for path in paths}, out / "notebooks", out / "results", line, "x"
    )
    assert not failed, failed


def before_publish(folder: Path) -> None:
    before_pages(folder)
    out = folder / "build" / "quick" / "notebooks"
    for name in ("01_machine", "12_your_model"):
        shutil.copy(out / "old.ipynb", out / f"{name}.ipynb")
    (out / "old.ipynb").unlink()
    (folder / "README.md").write_text(f"before\n{publish.BEGIN}\nold\n{publish.END}\nafter\n")
    (folder / "report").mkdir()
    (folder / "report" / "01_machine.ipynb").write_text("old")
    store.append(folder / "results" / MACHINE / f"{PAGE}.jsonl", [r for r in RECORDS if r.notebook == PAGE])


def publishing(folder: Path) -> None:
    publish.ROOT = notebook_files.ROOT = folder
    publish.TARGET, publish.README, publish.RECORDS = (
        folder / "report",
        folder / "README.md",
        folder / "results",
    )
    publish.publish("quick", MACHINE)


def before_site(folder: Path) -> None:
    """A site of another page is there."""
    before_pages(folder)
    out = folder / "build" / "quick"
    (out / "results").mkdir()
    (out / "notebooks" / "old.ipynb").rename(out / "notebooks" / "01_a.ipynb")
    (out / "site").mkdir()
    (out / "site" / "index.html").write_text("old")
    (out / "site" / site.DIGEST).write_text("old")


def building(folder: Path) -> None:
    site.DOCS = folder / "none"
    site.build(folder / "build" / "quick" / "notebooks", folder / "build" / "quick" / "site", "quick")


def in_place_of_sphinx(source: Path, html: Path, doctrees: Path) -> None:
    """Files instead of pages: Sphinx needs seconds, in a process that `site` kills as it is."""
    doctrees.mkdir()
    html.mkdir()
    for number in range(10):
        (html / f"{number}.html").write_text(str(sorted(source.iterdir())[0].name))
    (html / "index.html").write_text("new")


WORKS = {
    "append": (before_append, append),
    "merge": (before_merge, merge),
    "page": (before_pages, page),
    "publish": (before_publish, publishing),
    "site": (before_site, building),
    "pages of a site": (before_site, building),
}


# --- how they are killed -----------------------------------------------------------------------------


def state(folder: Path) -> dict[str, str]:
    """Every file with what it holds; a site's pages are named, since each is whole if its digest is there."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and path.name != ".lock" and path.name != "times.json":
            held = path.read_bytes()
            if path.suffix == ".ipynb" and b'"outputs"' in held:  # but the times of running it
                cells = json.loads(held)["cells"]
                held = json.dumps([[c["source"], c.get("outputs")] for c in cells]).encode()
            of_site = "/site/" in name and path.name != site.DIGEST
            found[name] = "" if of_site else hashlib.sha256(held).hexdigest()
    return found


def steps_of(at: int) -> list[int]:
    """Count the steps that change files; the one of number `at` ends this process, a write in its middle."""
    count = [0]

    def step() -> bool:
        count[0] += 1
        return count[0] == at

    def hook(event: str, arguments: tuple) -> None:
        opened = (
            event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        )
        if (event in CHANGES or opened) and step():
            os.kill(os.getpid(), signal.SIGKILL)

    write = os.write

    def torn(descriptor: int, data: bytes) -> int:
        if step():
            write(descriptor, data[: random.Random(at).randrange(len(data))])
            os.kill(os.getpid(), signal.SIGKILL)
        return write(descriptor, data)

    sys.addaudithook(hook)
    os.write = torn
    return count


def begin(work, folder: Path, at: int = 0) -> int:
    """The process that works in a folder; it says how many steps it took in a file beside the folder."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        os.environ["TWINS_KILLING"] = str(folder)
        sys.stdout = sys.stderr
        counted = steps_of(at)
        work(folder)
        folder.with_suffix(".steps").write_text(str(counted[0]))
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)


def finish(work, folder: Path) -> float:
    """Let the work be done; the seconds it took."""
    start = time.monotonic()
    status = os.waitstatus_to_exitcode(os.waitpid(begin(work, folder), 0)[1])
    assert status == 0, f"the work ended with {status} in {folder}"
    return time.monotonic() - start


def left(folder: Path) -> list[psutil.Process]:
    """Processes that a killed one had started."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("TWINS_KILLING") == str(folder) and process.pid != os.getpid():
                found.append(process)
        except psutil.Error:
            continue
    return found


def check(before: dict, now: dict, after: dict, folder: Path) -> None:
    """Nothing that was finished is lost: a file is as it was, as it is to be, or (records) lies between."""
    for name, held in before.items():
        assert name in now, f"{name} is gone"
        if now[name] not in (held, after.get(name)) and not name.endswith(".jsonl"):
            raise AssertionError(f"{name} is half written")
    for path in folder.rglob("*.jsonl"):
        if path.parent != folder:
            assert store.read_file(path).records[:2] or str(path.relative_to(folder)) not in before, path


def prepared(folder: Path, name: str) -> None:
    """Let this process import and compute what each copy of it would: only works that write are killed."""
    if name == "merge":
        folder.mkdir()
        WORKS[name][0](folder)
        merge(folder)
    if name == "publish":
        found = store.Found([r for r in RECORDS if r.notebook == PAGE], [])
        drawn, told = publish.picture(found, MACHINE), publish.headline(found, MACHINE)
        drawn.png  # noqa: B018  (kept by the figure)
        publish.picture, publish.headline = (lambda *_: drawn), (lambda *_: told)
        publish.index = lambda *_: told
    if name == "pages of a site":
        site.run_sphinx = in_place_of_sphinx


def killed(name: str, how: str, count: int, base: Path) -> list:
    """So many moments at which a work was killed, others by which it was done, and how its process ended."""
    prepare, work = WORKS[name]
    base.mkdir()
    prepared(base / "first", name)
    taken = []
    for whole in (base / f"whole {number}" for number in range(3)):
        whole.mkdir()
        prepare(whole)
        taken.append(finish(work, whole))
    seconds = min(taken)  # a first one may take longer
    after, steps = state(whole), int(whole.with_suffix(".steps").read_text())
    draw, moments = random.Random(f"{name} {how}"), []
    for number in range(TRIES * count):
        if [status for _, status in moments].count(-signal.SIGKILL) == count:
            break
        folder = base / f"{number:03d}"
        folder.mkdir()
        prepare(folder)
        before = state(folder)
        moment = draw.uniform(0, seconds) if how == "time" else draw.randint(1, steps)
        child = begin(work, folder, moment if how == "step" else 0)
        if how == "time":
            time.sleep(moment)
            os.kill(child, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        moments.append([round(moment, 4), status])
        check(before, state(folder), after, folder)
        end = time.monotonic() + PATIENCE
        while (processes := left(folder)) and time.monotonic() < end:
            time.sleep(0.05)
        assert not processes, f"left behind at {moment}: {[p.cmdline() for p in processes]}"
        finish(work, folder)
        assert state(folder) == after, f"killed at {moment}, {sorted(state(folder).items() ^ after.items())}"
        shutil.rmtree(folder)
    return moments


if __name__ == "__main__":
    ending.stop_when_asked()
    how, count, base, *names = sys.argv[1:]
    print(json.dumps({name: killed(name, how, int(count), Path(base, name)) for name in names}))
