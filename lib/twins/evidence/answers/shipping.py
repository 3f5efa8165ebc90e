"""The answers of the pages about Core ML: from PyTorch, from MLX, and compressed."""

from collections.abc import Callable, Sequence
from statistics import median

from twins.evidence.answers import frontier, route_grid
from twins.evidence.answers.answer import Answer
from twins.evidence.answers.route_grid import Standing
from twins.evidence.verdicts import export_queries
from twins.records import measurements
from twins.records.export_types import DEEP, DIRECT, Compressed, Conversion, Coverage
from twins.records.record_types import Timing
from twins.records.store import Record
from twins.timing import wording

TRAPS = "traps on the way to Core ML"  # a group of coverage: what a trap does, counted
ZOO, PACKAGES = "architectures of mlx-lm", "packages"  # groups of coverage
CONVERSION = "conversion"  # what is timed
MOSTLY = 0.9  # of the packages: a side that gets so many right gets there
NOT_RUN = (
    "Core ML itself. Every package was checked by the "
    "[reference runtime](../docs/glossary.md#reference-runtime); no package has been run by Core ML here."
)
RAN = "Every package was checked by the [reference runtime](../docs/glossary.md#reference-runtime)"


def answer(records: list[Record]) -> Answer | None:
    """The answer of the page that the records are of. Errors: ValueError for another page."""
    page = records[0].notebook
    if page not in PAGES:
        raise ValueError(f"no answer about Core ML is for page {page!r}; known: {', '.join(PAGES)}")
    return PAGES[page](records)


def of(records: Sequence[Record], kind: type) -> list:
    """The bodies of one kind."""
    return [record.body for record in records if isinstance(record.body, kind)]


def grid_models(records: Sequence[Conversion]) -> list[Conversion]:
    """The conversions of single models, without the architectures of libraries and networks that grow."""
    return [r for r in records if not r.case.get("group")]


# from PyTorch, and every route side by side


def routes(records: list[Record]) -> Answer | None:
    """How many packages each route makes right and in how many seconds, whether ONNX is needed, traps."""
    found = grid_models(of(records, Conversion))
    standings = route_grid.standings(found)
    if not standings:
        return None
    plain = [each for each in standings if not each.route.startswith(route_grid.THROUGH)]
    told = [_gets_there(plain, found), _onnx(found), _traps(of(records, Coverage))]
    line = "; ".join(map(named, plain))
    return Answer(line, tuple(filter(None, told)), uncovered(found) + " Speed on a device.")


def named(each: Standing) -> str:
    """What a route makes, with its name: "MLX, one call: 11 of 11 right, median 0.42 s"."""
    return f"{route_grid.name(each.route)}: {_standing(each)}"


def _standing(each: Standing) -> str:
    return str(each) if each.seconds is None else f"{each}, median {each.seconds:.2f} s"


def _gets_there(standings: Sequence[Standing], records: Sequence[Conversion]) -> str:
    """Whether every package is right from both frameworks, by any route without ONNX."""
    sides = {"MLX": [], "PyTorch": []}
    for each in standings:
        sides["MLX" if each.route == DIRECT else "PyTorch"].append(each)
    parts = [_side(who, own) for who, own in sides.items() if own]
    return f"**{_lead(records)}** {'. '.join(parts)}."


def _side(who: str, own: Sequence[Standing]) -> str:
    if who == "MLX":
        (each,) = own
        return f"MLX: {each.right} of {each.tried} packages right in one call" + (
            f", median {each.seconds:.2f} s" if each.seconds is not None else ""
        )
    short = (f"`{each.route.removeprefix('PyTorch, ')}` {_standing(each)}" for each in own)
    return f"PyTorch: {'; '.join(short)}"


def packages(records: Sequence[Conversion], direct: bool) -> tuple[int, int]:
    """How many packages are right by at least one route of a side, of how many asked for."""
    found: dict[tuple, bool] = {}
    for r in route_grid.with_packages(records):
        if (r.route == DIRECT) == direct and not r.case.get("apart"):
            key = r.model, r.case["precision"]
            found[key] = found.get(key, False) or bool(r.as_asked)
    return sum(found.values()), len(found)


def _lead(records: Sequence[Conversion]) -> str:
    """Whether both sides get there, and how many packages fail from each."""
    sides = {who: packages(records, who == "MLX") for who in ("MLX", "PyTorch")}
    tried = {who: counts for who, counts in sides.items() if counts[1]}
    fails = {who: of - right for who, (right, of) in tried.items() if right < of}
    there = "Both get there" if len(tried) > 1 else f"{next(iter(tried))} gets there"
    if not fails:
        return f"{there}."
    if all(right >= MOSTLY * of for right, of in tried.values()):
        less = " and ".join(f"{count} of {tried[who][1]} packages from {who}" for who, count in fails.items())
        return f"{there}, but for {less}."
    return "; ".join(f"{who} gets {right} of {of} packages right" for who, (right, of) in tried.items()) + "."


def _onnx(records: Sequence[Conversion]) -> str:
    """Whether ONNX brings over anything that does not convert without it."""
    made: dict[bool, set[str]] = {True: set(), False: set()}
    for r in records:
        if r.route != DIRECT and r.as_asked:
            made[r.route.startswith(route_grid.THROUGH)].add(r.model)
    if not made[True]:
        return ""
    gone = any("front_end" in r.failed for r in records)
    removed = "coremltools no longer reads it, and " if gone else ""
    if only := made[True] - made[False]:
        return f"**ONNX is needed** for {', '.join(sorted(map(wording.name, only)))}."
    return f"**ONNX is not needed:** {removed}all that converts through it also converts without it."


def _traps(records: Sequence[Coverage]) -> str:
    found = next((r for r in records if r.group == TRAPS), None)
    if found is None:
        return ""
    silent, stops = found.outcomes.get("wrong", 0), found.outcomes.get("crash", 0)
    told = f"**{silent} traps give a wrong package without an error**, {stops} more stop you"
    return f"{told}; they are [below, each with its cure](#traps-and-their-cures)."


def uncovered(records: Sequence[Conversion]) -> str:
    """Which runtimes checked the packages, and that Core ML itself did not where it did not."""
    ran = any("Core ML" in each for r in records for each in r.case.get("runtimes", ()))
    return f"{RAN} and by Core ML." if ran else NOT_RUN


# from MLX


def converter(records: list[Record]) -> Answer | None:
    """What the converter converts, in what time against PyTorch's routes, and how the time grows."""
    made, counted = of(records, Conversion), of(records, Coverage)
    found = [*_covered(made, counted), _speed(records), _grows(made)]
    told = [sentence for sentence in found if sentence]
    if not told:
        return None
    line = told[0].replace("**", "").replace("`", "").rstrip(".")
    return Answer(line, tuple(told), uncovered(made) + " Models of full size.")


def speed_figures(records: Sequence[Record]) -> list[tuple[str, float, float, float]]:
    """Model, and PyTorch's fastest route over the converter's call with its check: ratio and interval."""
    best = next(iter(export_queries.KINDS_OF_ROUTE))
    timed = measurements.by_case(records, CONVERSION)
    found = [each for own in timed for each in export_queries.ratios_of(own)]
    return [(wording.name(case["model"]), *ends) for _, *ends, case in found if case["against"] == best]


def _speed(records: Sequence[Record]) -> str:
    """Who converts how many times as fast, and for which models the next session may say otherwise."""
    found = speed_figures(records)
    if not found:
        return ""
    parts = []
    for who in ("MLX", "PyTorch"):
        if won := [r for r in found if wording.faster(r[1])[0] == who]:
            factors = wording.between(wording.faster(ratio)[1] for _, ratio, *_ in won)
            parts.append(f"{who} {factors} as fast for {', '.join(name for name, *_ in won)}")
    open_ = [name for name, _, low, high in found if low <= 1 <= high]
    less = f" Another session may differ for {', '.join(open_)}: the 95 % interval includes equality."
    processes = min(len(t.runs) for t in of(records, Timing) if t.subject == CONVERSION)
    told = "MLX with the check that its call makes, PyTorch by its fastest right route"
    return f"**{'; '.join(parts)}**: {told}, {processes} processes.{less * bool(open_)}"


def _covered(made: Sequence[Conversion], counted: Sequence[Coverage]) -> tuple[str, str]:
    """How much comes out right: the packages of single models by each route, and architectures of mlx-lm."""
    routes = {c.route: _counted(c) for c in counted if c.group == PACKAGES}
    routes = routes or {e.route: _standing(e) for e in route_grid.standings(grid_models(made))}
    told = [f"MLX: {routes.pop(DIRECT)} in one call"] if DIRECT in routes else []
    plain = {name: each for name, each in routes.items() if not name.startswith(route_grid.THROUGH)}
    told += [f"`{name.removeprefix('PyTorch, ')}` from PyTorch: {each}" for name, each in plain.items()]
    first = f"**Packages:** {'; '.join(told)}." if told else ""
    zoo = [c for c in counted if (c.route, c.group) == (DIRECT, ZOO)]
    return first, f"**Architectures of mlx-lm:** {_counted(zoo[-1])}." if zoo else ""


def _counted(record: Coverage) -> str:
    """What one route converts of a group: "11 of 11 right, median 0.42 s"."""
    told = f"{record.outcomes.get('right', 0)} of {sum(record.outcomes.values())} right"
    seconds = record.case.get("seconds")
    return told if seconds is None else f"{told}, median {seconds:.2f} s"


def depths(made: Sequence[Conversion]) -> list[Conversion]:
    """Conversions by the direct route of networks whose depth grows, the shallowest first."""
    own = [r for r in made if r.case.get("group") == DEEP and r.route == DIRECT and r.as_asked]
    return sorted(own, key=lambda r: r.operations or 0)


def _grows(made: Sequence[Conversion]) -> str:
    own = depths(made)
    if len(own) < 2:
        return ""
    told = [f"{route_grid.total(r):.2f} s for {r.operations} operations" for r in (own[0], own[-1])]
    return f"**How it scales:** {' and '.join(told)}."


# compressed


def compression(records: list[Record]) -> Answer | None:
    """How small each model gets at a small loss, what eight and four bits cost, what was checked."""
    found = of(records, Compressed)
    if not found:
        return None
    by_model = {model: [r for r in found if r.model == model] for model in frontier.models(found)}
    sizes = [_smallest(model, own) for model, own in by_model.items()]
    finding = f"Within {frontier.CLOSE:.0%} of float32: {', '.join(sizes)} of the size"
    told = [f"**{finding}.** {_settings(by_model)}", _weights(found), _verified(found)]
    ran = any(r.family.endswith("on Core ML") for r in found)
    missing = "" if ran else f"{NOT_RUN} "
    uncovered = f"{missing}Models of full size; training while compressing."
    return Answer(finding, tuple(filter(None, told)), uncovered, finding)


def _smallest(model: str, own: Sequence[Compressed]) -> str:
    return f"{wording.name(model)} at {frontier.close(own).size / frontier.base(own).size:.0%}"


def _settings(by_model: dict[str, list[Compressed]]) -> str:
    parts = []
    for model, own in by_model.items():
        best, whole = frontier.close(own), frontier.base(own)
        values = f"{best.metric} {best.value:.4g} against {whole.value:.4g}"
        parts.append(f"{wording.name(model)}: {best.family}, {best.setting}, {values}")
    return "; ".join(parts) + "."


def _weights(found: Sequence[Compressed]) -> str:
    """The error that whole-number weights of each width cost, over models and both tools."""
    told = []
    for bits in (8, 4):
        own = [r for r in found if r.setting.startswith(f"{bits} bit") and "weights too" not in r.setting]
        if own:
            sizes = median(r.size / frontier.base([b for b in found if b.model == r.model]).size for r in own)
            told.append(
                f"{bits} bits: {sizes:.0%} of the size, output off by {median(r.error for r in own):.1%}"
            )
    return f"**By width of the weights** (medians): {'; '.join(told)}." if told else ""


def _verified(found: Sequence[Compressed]) -> str:
    right = sum(" passes" in r.line or r.line.startswith("passes") for r in found)
    return f"**Checked:** {right} of {len(found)} packages compute what their compressed weights say."


PAGES: dict[str, Callable[[list[Record]], Answer | None]] = {
    "07_coreml_from_pytorch": routes,
    "08_coreml_from_mlx": converter,
    "09_coreml_ship": compression,
}
