"""Finds names of this computer, of users and of folders in a text, which is then not published or shared.

Names are found in any case, as a whole word, and as JSON or a path of another system writes them.
"""

import getpass
import re
import socket
import unicodedata
from pathlib import Path

from twins.records.store import ROOT

EVERYBODY = {"root", "user", "users", "admin", "runner", "ubuntu", "debian", "python", "apple", "localhost"}
SHORT = 3  # letters: a name of so few is in any text
FORMS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?<![\w.])/(?:root|tmp|private|var/folders)/",
        r"(?<![\w.])/(?:home|Users|Volumes|net|afs|media|mnt)/[\w.-]+",  # homes, drives, drives of a network
        r"(?<![\w.~])~[\w.-]+/",  # ~name/
        r"(?<!\w)[a-z]:\\+(?:Users|Documents and Settings)\\+[\w.-]+",
        r"(?<![\w\\])\\{2,4}[\w.-]{2,}\\{1,2}[\w$.-]+\\",  # \\server\share\
        r"(?<!\w)(?:smb|afp|nfs|file|ssh|sftp)://[\w./~-]+",
        r"(?<![\w:])(?:[0-9a-f]{2}:){5}[0-9a-f]{2}(?![\w:])",  # of a network card
        r"serial(?:[ _-]?(?:number|no))?\W{0,6}[A-Z0-9]*\d[A-Z0-9]{6,}",
        r"(?<![\w.@])[\w.+-]+@[\w-]+\.local(?!\w)",
    )
]
CODE = re.compile(r"\\u([0-9a-fA-F]{4})")


def leaks(text: str) -> list[str]:
    """The names of this computer, its user or a folder of anybody that occur in a text.

    Names of three letters or fewer and generic user names are ignored: they would be found in any text.
    """
    text = _plain(CODE.sub(lambda found: chr(int(found[1], 16)), text))
    found = [match[0] for form in FORMS for match in form.finditer(text)]
    found += [name for name in map(str, (ROOT, f"{Path.home()}/")) if name in text]
    return found + [
        name for name in names() if re.search(rf"(?<!\w){re.escape(_plain(name))}(?!\w)", text, re.I)
    ]


def names() -> list[str]:
    """This computer's name, in full and in short, its user's, and that of the user's folder."""
    host = socket.gethostname()
    own = {host, host.partition(".")[0], _user(), Path.home().name}
    return sorted(name for name in own if len(name) > SHORT and name.casefold() not in EVERYBODY)


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _user() -> str:
    """The user's name; empty where the system has none, as in some containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
