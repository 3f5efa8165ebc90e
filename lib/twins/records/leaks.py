"""Finds names of this computer, its user or its folders in a text, which is then not published or shared."""

import getpass
import re
import socket
from pathlib import Path

from twins.records.store import ROOT

FOLDERS = re.compile(r"(?<![\w.])/(?:root|home/[^/\s]+|Users/[^/\s]+|tmp|private|var/folders)/")


EVERYBODY = {"root", "user", "users", "admin", "runner", "ubuntu", "debian", "python", "apple"}


def leaks(text: str) -> list[str]:
    """The names of this computer, its user or a folder of it that occur in a text.

    Names of three letters or fewer and generic user names are ignored: they would be found in any text.
    """
    names = [socket.gethostname(), *({_user()} - EVERYBODY)]
    names = [name for name in names if len(name) > 3 and re.search(rf"\b{re.escape(name)}\b", text)]
    here = [name for name in (str(ROOT), f"{Path.home()}/") if name in text]
    return [match[0] for match in FOLDERS.finditer(text)] + here + names


def _user() -> str:
    """The user's name; empty where the system has none, as in some containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
