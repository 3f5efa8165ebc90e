"""Whole networks converted by coremltools: accuracy in float32, in fp16 and with compressed weights."""

import numpy as np
import pytest
import torch
from coremltools.optimize.coreml import decompress_weights

from coreml_runtime.verification.comparison import verify
from twins.export.networks import networks

FAST = {"mobilenet", "llama", "lstm"}
pytest.importorskip("transformers", reason="the sequence networks are transformers' (pip install .[bench])")


@pytest.mark.parametrize("precision, limit", [("fp32", 1e-5), ("fp16", 5e-3)])
@pytest.mark.parametrize(
    "network",
    [
        pytest.param(n, id=n.name, marks=() if n.name in FAST else pytest.mark.oracle)
        for n in networks.NETWORKS
    ],
)
def test_network(tmp_path, network, precision, limit):
    module, inputs = networks.made(network)
    package = networks.save(networks.convert(module, inputs, precision), tmp_path / "network.mlpackage")
    report = verify(module, package, inputs)
    assert report.tolerance == limit
    for row in report.rows:
        assert row.rms_relative < row.tolerance and row.cosine > 0.9999, report


def test_decoder_carries_its_cache(tmp_path):
    module, model = networks.convert_decoder()
    package = networks.save(model, tmp_path / "decoder.mlpackage")
    report = verify(module, package, networks.decoder_steps(6))
    assert report.passed, report
    assert report.rows[0].shape == (1, 1, networks.VOCABULARY)


# k-means would need scikit-learn; uniform tables do not.
@pytest.mark.parametrize("version", networks.COMPRESSED)
def test_compressed_weights_are_those_coremltools_decompresses(tmp_path, version):
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(128, 256), torch.nn.GELU(), torch.nn.Linear(256, 64)).eval()
    inputs = {"x": np.random.default_rng(0).standard_normal((4, 128)).astype(np.float32)}
    target, compress = networks.COMPRESSED[version]
    model = compress(networks.convert(module, inputs, "fp16", target))
    package = networks.save(model, tmp_path / "compressed.mlpackage")
    dense = networks.save(decompress_weights(model), tmp_path / "dense.mlpackage")
    assert sum(f.stat().st_size for f in package.rglob("*.bin")) < 0.7 * sum(
        f.stat().st_size for f in dense.rglob("*.bin")
    )
    report = verify(
        networks.as_torch(dense), package, inputs, framework="torch", precisions=["strict"], tolerance=1e-6
    )
    assert report.passed, report
