"""The rooms of lib/ read from the sources: what lies in each, what it says it may import, what it imports.

`python tests/rooms.py` prints the part of lib/README.md that is made from them.
"""

import ast
import re
import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(
    0, str(Path(__file__).resolve().parents[1] / "lib")
)  # before tests/, which has a folder for each package
from twins.series.source_digest import FOLDER, modules

BEGIN, END = "<!-- rooms: made by `python tests/rooms.py` -->", "<!-- end of rooms -->"
README = FOLDER / "README.md"
KNOWN = modules()
MODULE_ROOMS = ("twins.frameworks",)  # a module that is a room of its own
# What has no folder's docstring to say it, or is the face of a package: (what it is, what it may import).
FACES = {
    "mlx_startup": ("Prepares a process for MLX: a fast BLAS on Linux, threads, open files, quiet.", ()),
    "coreml_runtime": (
        "The public names, the command line, and which MIL operations are covered.",
        ("execution", "format", "operations", "verification"),
    ),
    "mlx_coreml": (
        "The public names and the command line.",
        (
            *("backends.mil.lowering", "capture", "conversion", "coverage", "ir", "language_models"),
            *("mlx_startup", "swift", "verification"),
        ),
    ),
    "twins": ("Prepares the process; everything else lies in the rooms.", ("mlx_startup",)),
    "twins.frameworks": (
        "MLX and PyTorch behind one interface; the one module that branches.",
        ("mlx_startup",),
    ),
}


def room_of(module: str) -> str:
    """The room a module lies in: its folder, as a package name."""
    is_room = module in MODULE_ROOMS or KNOWN[module].name == "__init__.py"
    return module if is_room else module.rpartition(".")[0]


def contents() -> dict[str, list[str]]:
    """Every room with its modules."""
    found = defaultdict(list)
    for module in KNOWN:
        found[room_of(module)].append(module)
    return dict(found)


def imported(module: str) -> set[str]:
    """The modules of lib/ that a module imports, wherever in its text."""
    found = set()
    for node in ast.walk(ast.parse(KNOWN[module].read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in KNOWN else node.module for name in names}
    return found & KNOWN.keys()


def edges() -> dict[str, set[str]]:
    """Every room with the rooms that its modules import."""
    return {
        room: {room_of(each) for module in own for each in imported(module)} - {room}
        for room, own in contents().items()
    }


def declared(room: str) -> tuple[str, set[str]]:
    """What a room says lies in it, and which rooms it says it may import."""
    if room in FACES:
        text, allowed = FACES[room]
        return text, {each if each in KNOWN else f"{room}.{each}" for each in allowed}
    said = ast.get_docstring(ast.parse(KNOWN[room].read_text())) or ""
    text, _, allowed = " ".join(said.split()).partition(" It may import ")
    return text, set(re.findall(r"[a-z_]+(?:\.[a-z_0-9]+)*", allowed)) & KNOWN.keys()


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Rooms of which each imports another: what is left when rooms that import nothing are taken away."""
    left = dict(graph)
    while free := [room for room, uses in left.items() if not uses & left.keys()]:
        for room in free:
            del left[room]
    return sorted(left)


def _beyond(room: str, graph: dict[str, set[str]]) -> set[str]:
    """The rooms that a room reaches through others."""
    found: set[str] = set()
    todo = [far for near in graph[room] for far in graph[near]]
    while todo:
        if (each := todo.pop()) not in found:
            found.add(each)
            todo += graph[each]
    return found


def table() -> str:
    """One line per room."""
    lines = ["| room | what lies in it | may import |", "| --- | --- | --- |"]
    for room in sorted(contents()):
        text, allowed = declared(room)
        lines.append(
            f"| `{room}` | {text} | {', '.join(f'`{each}`' for each in sorted(allowed)) or 'nothing'} |"
        )
    return "\n".join(lines)


def figure() -> str:
    """The packages and the rooms of twins; an arrow that follows from others is left out."""
    graph = edges()
    shown = [
        room
        for room in sorted(graph)
        if room.count(".") < 2 and (room.startswith("twins.") or "." not in room)
    ]
    merged = {room: set() for room in shown if room != "twins"}
    for room, uses in graph.items():
        owner = _shown(room, merged)
        merged.get(owner, set()).update({_shown(each, merged) for each in uses} - {owner})
    lines = ["```mermaid", "flowchart LR"]
    for room, uses in merged.items():
        lines += [f"  {room} --> {each}" for each in sorted(uses - _beyond(room, merged))]
    return "\n".join([*lines, "```"])


def _shown(room: str, shown: dict[str, set[str]]) -> str:
    """The room of the figure that a room lies in."""
    while room not in shown and "." in room:
        room = room.rpartition(".")[0]
    return room


def made() -> str:
    """The part of lib/README.md between its two marks."""
    return f"{BEGIN}\n\n{figure()}\n\n{table()}\n\n{END}"


if __name__ == "__main__":
    if "--write" in sys.argv:
        text = README.read_text()
        README.write_text(text[: text.index(BEGIN)] + made() + text[text.index(END) + len(END) :])
    else:
        print(made())
