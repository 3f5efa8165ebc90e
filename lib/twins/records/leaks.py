"""Finds what in a text names this computer, its user or its folders: that is neither published nor shared."""

import getpass
import re
import socket
from pathlib import Path

from twins.records.store import ROOT

FOLDERS = re.compile(r"(?<![\w.])/(?:root|home/[^/\s]+|Users/[^/\s]+|tmp|private|var/folders)/")


EVERYBODY = {"root", "user", "users", "admin", "runner", "ubuntu", "debian", "python", "apple"}


def leaks(text: str) -> list[str]:
    """What in a text names this computer, its user or a folder of it.

    Names of three letters or fewer, and user names that name nobody, would be found in any text.
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
