"""Folders of lib/ import one way and say so, none is too full, and every module lies in one."""

import pytest
import rooms

GRAPH = rooms.edges()
TOP = {room.split(".")[1] for room in GRAPH if room.startswith("twins.")}


@pytest.mark.parametrize("room", sorted(GRAPH))
def test_a_room_imports_exactly_what_it_says(room):
    text, allowed = rooms.declared(room)
    assert text.endswith(".") and len(text) < 200
    assert GRAPH[room] == allowed


def test_rooms_form_no_circle():
    assert rooms.circle(GRAPH) == []


def test_a_circle_is_found():
    assert rooms.circle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["a", "b", "c"]


def test_packages_know_only_what_is_below_them():
    allowed = {
        "mlx_startup": set(),
        "coreml_runtime": set(),
        "mlx_coreml": {"coreml_runtime", "mlx_startup"},
        "twins": {"coreml_runtime", "mlx_coreml", "mlx_startup"},
    }
    for room, uses in GRAPH.items():
        package = room.partition(".")[0]
        assert {each.partition(".")[0] for each in uses} <= allowed[package] | {package}, room


def test_what_is_checked_shares_no_code_with_the_check():
    """Only the checks, coverage, generation and the Swift package's own test run what was converted."""
    users = {room for room, uses in GRAPH.items() if any(each.startswith("coreml_runtime") for each in uses)}
    own = {room for room in users if room.startswith("mlx_coreml")}
    runs = {"conversion", "coverage", "language_models", "swift", "verification"}
    assert own == {f"mlx_coreml.{room}" for room in runs}


def test_no_room_is_too_full():
    assert {room: len(own) for room, own in rooms.contents().items() if len(own) > 15} == {}
    assert len(TOP - {"frameworks"}) <= 14


def test_every_module_lies_in_a_room_that_says_what_it_is():
    folders = {path.parent for path in rooms.KNOWN.values()}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []
    alone = [name for name in rooms.KNOWN if name.count(".") == 1 and name.startswith("twins.")]
    assert [name for name in alone if rooms.room_of(name) == "twins"] == []


def test_the_map_is_the_one_of_the_sources():
    assert rooms.made() in rooms.README.read_text(), "python tests/rooms.py --write"
