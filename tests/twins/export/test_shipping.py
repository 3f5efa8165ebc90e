"""What an app asks of a package: a decoder's memory, a picture, functions that share weights, words."""

import coremltools as ct
import pytest

from mlx_coreml import convert
from twins.export import shipping, trained_models
from twins.frameworks import MLX

import torch  # isort: skip  (after frameworks: the BLAS)

OPTIONS = {"deployment_target": "iOS18"}


@pytest.fixture(scope="module")
def lm():
    return trained_models.load("transformer_lm", "tiny")


def test_a_decoders_loop_is_the_whole_model(lm, tmp_path):
    decoder = shipping.Cached(lm.mlx)
    model = convert(decoder, *shipping.first_token(decoder), states={"cache": 1}, check=False, **OPTIONS)
    path = shipping.saved(model, tmp_path, "decoder")
    assert shipping.decoded(path, lm.mlx, lm.example[0]).passed
    wrong = shipping.decoded(path, lambda ids: -lm.mlx(ids), lm.example[0])
    assert not wrong.passed
    assert "FAILS" in str(wrong)


def test_functions_share_their_weights_and_each_is_verified(lm, tmp_path):
    ids = MLX.array(lm.example[0])
    examples = {"whole": [ids], "half": [ids[:, :8]]}
    apart = {
        name: shipping.saved(convert(lm.mlx, *each, check=False, **OPTIONS), tmp_path, name)
        for name, each in examples.items()
    }
    both = shipping.together(apart, tmp_path / "both.mlpackage")
    table = shipping.functions(both, apart, lm.mlx, examples)
    assert all("passes" in line for line in table["check"])
    assert table["KiB"][2] < 1.2 * table["KiB"][0]
    assert "of the sum" in shipping.sharing(table)


def test_a_picture_becomes_a_label(tmp_path):
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    reader = shipping.OfPixels(network).eval()
    picture = shipping.picture(torch.rand(1, 8, 8, 1).numpy())
    model = ct.convert(
        torch.jit.trace(reader, torch.zeros(1, 1, 8, 8)),
        inputs=[ct.ImageType(name="image", shape=(1, 1, 8, 8), color_layout=ct.colorlayout.GRAYSCALE)],
        classifier_config=ct.ClassifierConfig([str(digit) for digit in range(10)]),
        minimum_deployment_target=ct.target.iOS18,
        skip_model_load=True,
    )
    package = shipping.saved(model, tmp_path, "digits")
    table = shipping.classified(reader, package, picture)
    assert "passes" in table["check"][0]
    assert table["named"][0] in list("0123456789")
    assert shipping.checked(table, table) == "2 of 2 checks of these packages pass."


def test_what_is_said_of_a_package_is_read_back(lm, tmp_path):
    metadata = {"author": "A", "license": "MIT", "version": "2", "inputs": {"ids": "tokens"}}
    model = convert(lm.mlx, MLX.array(lm.example[0]), metadata=metadata, check=False, **OPTIONS)
    found = shipping.words(shipping.saved(model, tmp_path, "told")).set_index("field")["says"]
    assert (found["author"], found["license"], found["versionString"]) == ("A", "MIT", "2")
    assert found["input ids"] == "tokens"
