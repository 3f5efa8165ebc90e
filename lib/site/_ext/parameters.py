"""The cell of default parameters with the values that ran, which papermill injects in another cell."""

import ast
from itertools import accumulate


def show_effective_parameters(cells: list) -> list:
    """The cells with the values that papermill injected written into the cell of defaults."""
    tagged = {tag: cell for cell in cells for tag in cell.metadata.get("tags", [])}
    injected, defaults = tagged.get("injected-parameters"), tagged.get("parameters")
    if injected is None:
        return cells
    if defaults is None:
        raise ValueError("parameters were injected, but no cell is tagged 'parameters'")
    try:
        defaults.source = substitute(defaults.source, injected.source)
    except KeyError as error:
        raise ValueError(f"the injected parameter {error} has no default") from error
    return [cell for cell in cells if cell is not injected]


def substitute(defaults: str, injected: str) -> str:
    """The source of `defaults` with every value that `injected` changes; KeyError for a name it lacks."""
    source = defaults.encode()  # ast counts columns in bytes
    starts = [0, *accumulate(len(line) for line in source.splitlines(keepends=True))]
    places = assignments(defaults)
    edits = []
    for name, value in assignments(injected).items():
        place = places[name]
        if ast.dump(place) != ast.dump(value):  # 0.0003 leaves 3e-4 as it is
            begin = starts[place.lineno - 1] + place.col_offset
            end = starts[place.end_lineno - 1] + place.end_col_offset
            edits.append((begin, end, ast.get_source_segment(injected, value).encode()))
    for begin, end, text in sorted(edits, reverse=True):
        source = source[:begin] + text + source[end:]
    return source.decode()


def assignments(source: str) -> dict[str, ast.expr]:
    """Name -> value of every assignment at the top level."""
    statements = ast.parse(source).body
    plain = {s.targets[0].id: s.value for s in statements if isinstance(s, ast.Assign)}
    return plain | {s.target.id: s.value for s in statements if isinstance(s, ast.AnnAssign)}
