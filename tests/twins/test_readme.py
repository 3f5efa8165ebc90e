"""What lib/twins/README.md shows in five minutes runs as it stands."""

import os
import re
import subprocess
import sys

from twins.records.store import ROOT


def test_the_readme_example_runs(tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "lib" / "twins" / "README.md").read_text(), re.S)
    given = os.environ | {"PYTHONPATH": str(ROOT / "lib")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Both halves compute the same thing." in done.stdout
    assert "batch 2, eager" in done.stdout
