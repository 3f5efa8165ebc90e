"""The trained models are kept, equal in both halves, and scored by the right formula."""

import numpy as np
import pytest

from twins.export import trained_models


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("trained")


@pytest.fixture(scope="module")
def bert(folder):
    return trained_models.load("bert", "tiny", folder, batch=3)


@pytest.fixture(scope="module")
def vit(folder):
    return trained_models.load("vit", "tiny", folder)


@pytest.mark.parametrize("name", ["bert", "vit"])
def test_both_halves_give_the_same_logits(name, request):
    model = request.getfixturevalue(name)
    found = [model.predict(framework)(model.example) for framework in ("MLX", "PyTorch")]
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-5)


def test_every_batch_has_the_shape_of_the_example(bert):
    assert bert.inputs == ("ids", "mask")
    assert {tuple(x.shape for x in arrays[:-1]) for arrays in bert.held_out} == {((3, 2, 8), (3, 2, 8))}


def test_a_model_is_trained_once(vit, folder):
    before = (vit.folder / "weights.safetensors").stat().st_mtime_ns
    again = trained_models.load("vit", "tiny", folder)
    assert again.folder == vit.folder
    assert (vit.folder / "weights.safetensors").stat().st_mtime_ns == before


def test_a_fresh_process_gets_the_half_in_its_own_layout(vit):
    ours, (image,) = trained_models.half(str(vit.folder), "MLX")
    theirs, (turned,) = trained_models.half(str(vit.folder), "PyTorch")
    assert (image.shape, tuple(turned.shape)) == ((1, 8, 8, 1), (1, 1, 8, 8))
    assert turned.stride() == (64, 64, 8, 1)
    np.testing.assert_allclose(np.array(ours(image)), theirs(turned).detach().numpy(), atol=1e-5)


def test_a_mask_of_whole_numbers_is_the_mask(bert):
    plain, (ids, mask) = trained_models.half(str(bert.folder), "PyTorch", plain=True)
    whole, (same, numbers) = trained_models.half(str(bert.folder), "PyTorch")
    assert (str(mask.dtype), str(numbers.dtype)) == ("torch.bool", "torch.int32")
    np.testing.assert_array_equal(whole(same, numbers).detach(), plain(ids, mask).detach())


def test_a_predictor_that_knows_nothing_has_the_perplexity_of_the_vocabulary(vit):
    labels = np.zeros((1, 4), np.int32)
    blind = trained_models.Trained(
        **(vars(vit) | {"metric": "perplexity", "held_out": [(labels, labels), (labels, labels)]})
    )
    assert trained_models.score(blind, lambda arrays: np.zeros((1, 4, 7))) == (pytest.approx(7), 8)


def test_accuracy_is_the_share_of_labels_named(vit):
    right = {id(arrays[0]): arrays[-1] for arrays in vit.held_out}
    value, total = trained_models.score(vit, lambda arrays: np.eye(10)[right[id(arrays[0])]])
    assert (value, total) == (1.0, len(vit.held_out))


def test_what_is_not_known_is_refused(folder):
    with pytest.raises(ValueError, match=r"model 'gpt' is not known; known are transformer_lm, bert"):
        trained_models.load("gpt", "tiny", folder)
    with pytest.raises(ValueError, match=r"size 'huge' is not known; known are small, brief, tiny"):
        trained_models.load("bert", "huge", folder)
