"""What Core AI's compiled code writes to the error stream: its errors there say more than its exceptions."""

import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

ONE = threading.RLock()  # there is one error stream
PLACE = re.compile(r"#debuginfo\.location<.*?> in @\w+>:? ?|^error: ?|see current operation:.*")


@contextmanager
def kept() -> Iterator[Callable[[], str]]:
    """Keeps the error stream of a block; what it yields gives the errors written so far, as one line."""
    with ONE, tempfile.TemporaryFile() as file:
        own = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield lambda: _errors(file)
        finally:
            os.dup2(own, 2)
            os.close(own)


def _errors(file) -> str:
    file.seek(0)
    lines = [PLACE.sub("", line).strip() for line in file.read().decode(errors="replace").splitlines()]
    return "; ".join(dict.fromkeys(line for line in lines if line and not line.startswith("ODIE")))
