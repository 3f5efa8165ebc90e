"""`make doctor`: what will run on this machine, what will not and why, before anything is installed.

Only the standard library, and only what Python 3.9 knows: it is the first thing a newcomer's Python runs.
`look` reads the machine, `refusals` and `notes` judge the readings, and the rest prints them.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from twins.machine import macos, time_estimate

ROOT = Path(__file__).resolve().parents[3]
PYTHONS = ((3, 11), (3, 12))  # those that every pinned package has a wheel for
MACOS = (14,)  # the oldest system that MLX has a wheel for
COREML_TARGET = (15,)  # loads packages for iOS 18, which states and 4-bit weights need
GIB = 2**30
INSTALLED = 3 * GIB  # free before an installation: .venv holds 2.5 GiB on Linux, and wheels are unpacked too
SMALL = 8 * GIB  # bytes of memory below which the larger sizes are left out


@dataclass(frozen=True)
class Look:
    """Readings; "" and None mean not readable or not there. Memory and disk in bytes, work in seconds."""

    python: tuple[int, ...]
    system: str
    release: tuple[int, ...] | None
    processor: str
    rosetta: bool
    chip: str
    gpu_cores: int | None
    memory: int | None
    disk: int
    make: str
    compiler: str
    xctest: bool
    power: str | None
    low_power: bool | None
    conda: str
    folder: str
    work: float


def look(root: Path = ROOT) -> Look:
    """Read this machine, in less than two seconds."""
    mac = macos.here()
    return Look(
        python=tuple(sys.version_info[:3]),
        system=platform.system(),
        release=macos.product_version() if mac else None,
        processor=platform.machine(),
        rosetta=mac and macos.rosetta(),
        chip=chip(),
        gpu_cores=macos.gpu_cores(macos.output("ioreg", "-rc", "AGXAccelerator")) if mac else None,
        memory=memory(),
        disk=shutil.disk_usage(root).free,
        make=first_line(macos.output("make", "--version")),
        compiler=compiler(),
        xctest=mac and macos.xctest(),
        power=macos.power_source(macos.output("pmset", "-g", "batt")) if mac else None,
        low_power=macos.low_power(macos.output("pmset", "-g")) if mac else None,
        conda=os.environ.get("CONDA_DEFAULT_ENV", ""),
        folder=str(root),
        work=time_estimate.work(),
    )


def first_line(text: str) -> str:
    """The first line of what a tool printed; empty when it printed nothing."""
    return text.partition("\n")[0]


def compiler() -> str:
    """The C++ compiler's version line; empty without one, for asking would start macOS's installer."""
    if macos.here():
        return first_line(macos.output("clang++", "--version")) if macos.output("xcode-select", "-p") else ""
    return first_line(macos.output("g++", "--version"))


def chip() -> str:
    """The processor's name as the system gives it."""
    if macos.here():
        return macos.sysctl("machdep.cpu.brand_string") or platform.machine()
    path = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*: (.+)$", path.read_text() if path.exists() else "", re.M)
    return found[1] if found else platform.machine()


def memory() -> int | None:
    """Bytes of memory; None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


def python_fault(python: tuple[int, ...], rosetta: bool) -> str:
    """Why a Python cannot be used, in a few words; empty when it can."""
    version = ".".join(map(str, python))
    if tuple(python[:2]) not in PYTHONS:
        return f"Python {version}"
    return f"Python {version} for Intel under Rosetta" if rosetta else ""


def refusals(seen: Look, install: bool) -> list[str]:
    """What cannot work here, one sentence each; `install` says that packages are yet to be installed."""
    found, version = [], ".".join(map(str, seen.python))
    if tuple(seen.python[:2]) not in PYTHONS:
        found.append(f"Python 3.11 or 3.12 is needed, found {version}: `brew install python@3.11` brings one")
    if seen.rosetta:
        found.append(
            "Python is built for Intel and runs under Rosetta: MLX needs a Python for arm64, and a terminal "
            "that is not opened under Rosetta"
        )
    elif seen.system == "Darwin" and seen.processor != "arm64":
        found.append(
            f"Apple silicon is needed on macOS, found {seen.processor}: MLX has no build for Intel Macs"
        )
    if seen.release and seen.release < MACOS:
        told = ".".join(map(str, seen.release))
        found.append(f"macOS {MACOS[0]} or later is needed, found {told}: MLX has no build for it")
    if install and seen.disk < INSTALLED:
        found.append(
            f"{INSTALLED / GIB:.0f} GB of free disk space are needed for the installation, "
            f"found {seen.disk / GIB:.1f} GB in {seen.folder}"
        )
    return found


def notes(seen: Look) -> list[str]:
    """What will not run or will be measured otherwise although the report is made, one sentence each."""
    mac, found = seen.system == "Darwin", []
    if not seen.compiler:
        how = "`xcode-select --install` brings one" if mac else "a package such as g++ brings one"
        found.append(f"There is no C++ compiler: compiled steps on the CPU are left out; {how}.")
    elif " " in seen.folder:
        found.append(
            "The folder's path has a space: torch.compile on the CPU does not work, its steps are left out."
        )
    if mac and not seen.xctest:
        found.append("There is no XCTest, which Xcode brings: Swift packages are built and not tested.")
    if not mac:
        found.append("This is no Mac: figures are of the CPU, and Core ML's own prediction does not run.")
    if mac and seen.release and seen.release < COREML_TARGET:
        found.append(
            "Core ML packages for iOS 18 need macOS 15: they are checked by the reference runtime alone."
        )
    if seen.power == "battery":
        found.append("The machine runs on battery: times may differ from those on mains.")
    if seen.low_power:
        found.append("Low power mode is on: times are not the machine's best.")
    if seen.conda == "base":
        found.append("conda's base is active and not taken: packages go to .venv.")
    if seen.memory is not None and seen.memory < SMALL:
        found.append("There is little memory: sizes that would not fit are left out.")
    return found


def greeting(
    seen: Look,
    profile: str,
    pages: list[str] | None = None,
    folder: Path = time_estimate.RECORDS,
    file: Path = time_estimate.TAKEN,
) -> str:
    """One line: the machine, and how long the pages take here. Errors: ValueError where they cannot run."""
    if wrong := refusals(seen, install=False):
        raise ValueError("; ".join(wrong))
    needed = time_estimate.minutes(seen.work, profile, pages, folder, file)
    how = "as the last one" if _known(profile, pages, folder, file) else "an estimate"
    told = "" if needed is None else f"; a whole run takes about {max(1, round(needed))} min ({how})"
    return f"{machine(seen)}{told}; `make doctor` says more"


def _known(profile: str, pages: list[str] | None, folder: Path, file: Path) -> bool:
    """Whether every page that is asked for has run here before."""
    wanted = time_estimate.recorded(profile, folder) if pages is None else pages
    return set(wanted) <= set(time_estimate.taken(profile, file))


def machine(seen: Look) -> str:
    """The machine in a few words."""
    words = [seen.chip]
    words += [f"{seen.gpu_cores} GPU cores"] if seen.gpu_cores else []
    words += [f"{seen.memory / GIB:.0f} GB"] if seen.memory else []
    words += [system(seen), f"Python {'.'.join(map(str, seen.python))}"]
    words += ["on battery"] if seen.power == "battery" else []
    words += ["low power mode"] if seen.low_power else []
    return ", ".join(words)


def system(seen: Look) -> str:
    """The operating system and its version."""
    return f"macOS {'.'.join(map(str, seen.release))}" if seen.release else seen.system


def rows(seen: Look) -> list[tuple[str, str]]:
    """What was read, as names and values."""
    unknown, mac = "not readable", seen.system == "Darwin"
    low = {True: "on", False: "off", None: "none"}[seen.low_power]
    return [
        ("Python", ".".join(map(str, seen.python))),
        ("make", seen.make or unknown),
        ("C++ compiler", seen.compiler or "none"),
        ("free disk", f"{seen.disk / GIB:.1f} GB"),
        ("memory", f"{seen.memory / GIB:.0f} GB" if seen.memory else unknown),
        ("chip", f"{seen.chip} ({seen.processor})"),
        *([("GPU cores", str(seen.gpu_cores or unknown))] if mac else []),
        ("system", system(seen)),
        *([("Rosetta", "yes" if seen.rosetta else "no")] if mac else []),
        *([("power", seen.power or unknown), ("low power mode", low)] if mac else []),
        ("conda", seen.conda or "none active"),
        *([("XCTest", "found" if seen.xctest else "none")] if mac else []),
    ]


def page(seen: Look, install: bool) -> str:
    """Everything as text: what was read, what will run, what will not, and how long."""
    wrong, lines = refusals(seen, install), [f"{name:15} {value}" for name, value in rows(seen)]
    if wrong:
        return "\n".join([*lines, "", "The report cannot run here:", *(f"- {each}." for each in wrong)])
    missing = notes(seen)
    lines += ["", "The report runs here, with these exceptions:" if missing else "All of it runs here."]
    lines += [f"- {note}" for note in missing]
    needed = time_estimate.minutes(seen.work, "quick")
    if needed is not None:
        about, first = max(1, round(needed)), time_estimate.taken("quick")
        how = "as earlier runs here did" if first else "an estimate from recorded runs"
        lines += ["", f"`make report` takes about {about} min here: {how}."]
        lines += ["The installation comes before it, in 3 to 5 min."] if install else []
    return "\n".join(lines)


def main() -> int:
    """The command line; its exit status is 1 where the report cannot run."""
    parser = argparse.ArgumentParser(
        prog="python -m twins.machine.doctor", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--install", action="store_true", help="packages are yet to be installed")
    parser.add_argument(
        "--python", action="store_true", help="only whether this Python can be used, and why not"
    )
    parser.add_argument("--refuse", action="store_true", help="only what cannot work")
    given = parser.parse_args()
    if given.python:
        fault = python_fault(tuple(sys.version_info[:3]), macos.here() and macos.rosetta())
        print(fault, end="")
        return bool(fault)
    seen = look()
    wrong = refusals(seen, given.install)
    if given.refuse:
        print("".join(f"error: {each}\n" for each in wrong), end="", file=sys.stderr)
    else:
        print(page(seen, given.install))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
