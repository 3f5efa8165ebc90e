"""What names a computer, a user or a folder is found in any form; what this project writes is not."""

import json

import pytest

from twins.records import leaks

FOUND = [
    "read from computer-of-mine",
    "COMPUTER-OF-MINE.local says no",
    "Computer-Of-Mine.example.org",
    "FileNotFoundError: '/Users/somebody/x.py'",
    "/Users/somebody",
    "(/home/other.person)",
    "/home/other-person/x",
    "/root/x",
    "/tmp/x",
    "/private/var/x",
    "/var/folders/ab/cd",
    "/Volumes/Backup of me/x",
    "/mnt/share",
    "~somebody/x",
    r"C:\Users\somebody\x.py",
    r"c:\\users\\somebody",
    r"\\server\share\x",
    "smb://server/share",
    "file:///x/y",
    "SOMEBODY-HERE",
    "of Größe-Here",
    json.dumps("of größe-here"),
    "of gro\u0308ße-here",
    "Serial Number: C02XL0THJGH5",
    '"IOPlatformSerialNumber" = "C02XL0THJGH5"',
    "0a:1b:2c:3d:4e:5f",
    "somebody@host.local",
]
KEPT = [
    "python 3.11, /usr/lib/python3, see docs/measure.md and https://example.org/home/page",
    "build/share/x.jsonl",
    "a ratio of 2:1, 12:30:00, ~5 ms/step, 1/2/3",
    "notebooks/../data, ./home/x, a/home",
    r"\alpha \\ \beta in a formula",
    "serial and parallel runs of 1024",
]


@pytest.fixture(autouse=True)
def named(monkeypatch):
    monkeypatch.setattr(leaks.socket, "gethostname", lambda: "computer-of-mine")
    monkeypatch.setattr(leaks.getpass, "getuser", lambda: "somebody-here")
    monkeypatch.setattr(leaks.Path, "home", lambda: leaks.ROOT / "nobody" / "größe-here")


@pytest.mark.parametrize("text", FOUND)
def test_a_name_is_found_in_any_form(text):
    assert leaks.leaks(text) and leaks.leaks(f"before {text} after") and leaks.leaks(f'{{"a": "{text}"}}')


@pytest.mark.parametrize("text", KEPT)
def test_what_names_nobody_is_kept(text):
    assert leaks.leaks(text) == []


def test_the_full_name_of_a_host_is_found_by_its_short_one(monkeypatch):
    monkeypatch.setattr(leaks.socket, "gethostname", lambda: "Mine-Again.fritz.box")
    assert leaks.leaks("on mine-again") == ["Mine-Again"]
    monkeypatch.setattr(leaks.socket, "gethostname", lambda: "localhost")
    assert leaks.leaks("http://localhost:8888") == []
