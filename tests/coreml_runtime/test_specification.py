"""coremltools is imported quietly, and without what it would refuse."""

import fresh
import pytest


@pytest.mark.parametrize(("installed", "imported"), [("1.6.0", False), ("1.5.1", True), ("1", True)])
def test_a_scikit_learn_that_coremltools_refuses_is_not_imported(installed, imported):
    done = fresh.python(
        "import importlib.metadata as metadata, sys\n"
        "real = metadata.version\n"
        f"metadata.version = lambda name: {installed!r} if name == 'scikit-learn' else real(name)\n"
        "from coreml_runtime.format.specification import coremltools\n"
        "coremltools()\n"
        "print('sklearn' in sys.modules)\n"
        "import sklearn.cluster, coremltools._deps\n"
        "print(coremltools._deps._HAS_SKLEARN)"
    )
    assert done.stdout.split() == [str(imported), "False"], done.stderr
    assert done.stderr == ""
