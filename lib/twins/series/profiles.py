"""What a profile leaves out of a page: its parameters beside those of the profile `full`."""

from pathlib import Path

from twins.series import notebook_files

FULL = "full"
SOURCES = Path(__file__).resolve().parents[3] / "notebooks"


def left_out(page: str, profile: str, sources: Path = SOURCES) -> str:
    """What a page measures less of in this profile than in `full`, in one sentence; empty for `full`.

    A page opened by hand has the parameters in its source. Errors: ValueError for a page without parameters.
    """
    path = sources / f"{page}.ipynb"
    used, full = (parameters(path, name) for name in (profile, FULL))
    less = [
        f"{name.replace('_', ' ')} {_written(value)} (full: {_written(full[name])})"
        for name, value in used.items()
        if value != full[name]
    ]
    return (
        f"The profile {profile} measures less than `make report PROFILE=full`: {'; '.join(less)}."
        if less
        else ""
    )


def parameters(path: Path, profile: str) -> dict[str, object]:
    """A page's parameters in a profile, its own defaults where the profile names none or does not exist."""
    folder, own = path.parent / "profiles", notebook_files.declared(path)
    if not (folder / f"{profile}.yaml").is_file():
        return own
    return own | notebook_files.profile(folder, profile, path.parent.glob("*.ipynb")).get(path.stem, {})


def _written(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_written, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)
