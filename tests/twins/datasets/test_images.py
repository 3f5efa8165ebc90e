"""Images: what is read, how it is split, resized and augmented; downloads from a server on this machine."""

import gzip
import hashlib
import io
import tarfile

import numpy as np
import pytest
from msgspec.structs import replace

from twins.datasets import download, images

DIGITS = images.load("digits", 16)


# --- digits ----------------------------------------------------------------------------------------


def test_digits_are_whole_and_fixed():
    sizes = {name: len(getattr(DIGITS, name)[1]) for name in images.SPLITS}
    assert sizes == {"train": 1257, "valid": 180, "test": 360}
    for pixels, labels in (getattr(DIGITS, name) for name in images.SPLITS):
        assert pixels.shape == (len(labels), 16, 16, 1)
        assert (pixels.dtype, labels.dtype) == (np.float32, np.int32)
        assert set(labels) == set(range(10))
    assert DIGITS.digest == "fc19036c195ab598981a66e2c9f6532786dffc0d8a85444a1bdb1d53b2c61b6f"
    assert DIGITS.source == (
        "Handwritten digits of scikit-learn, 1,797 images in 10 classes, resized to 16 × 16."
    )
    assert not DIGITS.mirrored


def test_the_train_split_is_standardised_and_no_image_is_in_two_splits():
    assert abs(DIGITS.train[0].mean()) < 1e-5
    assert abs(DIGITS.train[0].std() - 1) < 1e-5
    seen = [{image.tobytes() for image in getattr(DIGITS, name)[0]} for name in images.SPLITS]
    assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])


def test_the_digest_is_of_the_data_and_not_of_the_size():
    assert images.load("digits", 8).digest == DIGITS.digest


def test_unknown_data_set_names_the_known():
    with pytest.raises(ValueError) as caught:
        images.load("imagenet", 16)
    assert str(caught.value) == ("no data set is called 'imagenet'; known: digits, cifar10, fashion_mnist")
    with pytest.raises(ValueError, match="images of 0 x 0 pixels hold nothing; allowed is 1 or more"):
        images.load("digits", 0)


# --- resizing --------------------------------------------------------------------------------------


def test_resizing_to_the_same_size_changes_nothing():
    x = np.random.default_rng(0).random((2, 5, 5, 3), np.float32)
    assert np.array_equal(images.resize(x, 5), x)


def test_half_the_size_is_the_mean_of_squares_and_twice_is_between_neighbours():
    x = np.random.default_rng(0).random((2, 6, 6, 1), np.float32)
    assert np.allclose(images.resize(x, 3), x.reshape(2, 3, 2, 3, 2, 1).mean((2, 4)), atol=1e-6)
    ramp = np.arange(4, dtype=np.float32).reshape(1, 1, 4, 1).repeat(4, axis=1)
    assert images.resize(ramp, 8)[0, 0, :, 0].tolist() == [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]


# --- batches ---------------------------------------------------------------------------------------


def test_batches_depend_on_the_seed_alone():
    one, same, other = (images.batches(DIGITS, 8, 3, seed) for seed in (0, 0, 1))
    assert len(one) == 3
    for (x, y), (u, v) in zip(one, same, strict=True):
        assert (x.shape, x.dtype, y.shape) == ((8, 16, 16, 1), np.float32, (8,))
        assert np.array_equal(x, u) and np.array_equal(y, v)
    assert not np.array_equal(one[0][0], other[0][0])


def test_without_noise_a_batch_holds_shifted_training_images():
    ((x, y),) = images.batches(DIGITS, 16, 1, 0, shift=2, noise=0.0)
    padded = np.pad(DIGITS.train[0], [(0, 0), (2, 2), (2, 2), (0, 0)], mode="edge")
    found = {
        padded[n, i : i + 16, j : j + 16].tobytes(): label
        for n, label in enumerate(DIGITS.train[1])
        for i in range(5)
        for j in range(5)
    }
    assert [found[image.tobytes()] for image in x] == y.tolist()
    ((still, labels),) = images.batches(DIGITS, 16, 1, 0, shift=0, noise=0.0)
    whole = {image.tobytes(): label for image, label in zip(*DIGITS.train, strict=True)}
    assert [whole[image.tobytes()] for image in still] == labels.tolist()


def test_noise_leaves_no_ties():
    ((x, _),) = images.batches(DIGITS, 16, 1, 0)
    windows = x.reshape(16, 8, 2, 8, 2).transpose(0, 1, 3, 2, 4).reshape(-1, 4)
    assert all(len(set(window)) == 4 for window in windows.tolist())
    ((flat, _),) = images.batches(DIGITS, 16, 1, 0, noise=0.0)
    assert len(np.unique(flat)) < flat.size / 2


def test_held_out_is_the_split_in_order_every_time():
    made = images.held_out(DIGITS.test, 100)
    assert [len(labels) for _, labels in made] == [100, 100, 100, 60]
    assert np.array_equal(np.concatenate([labels for _, labels in made]), DIGITS.test[1])
    again = images.held_out(DIGITS.test, 100)
    assert all(np.array_equal(x, u) for (x, _), (u, _) in zip(made, again, strict=True))
    assert [len(y) for _, y in images.held_out(DIGITS.test, 100, limit=150)] == [100, 50]
    assert 0.05 < np.std(made[0][0] - DIGITS.test[0][:100]) < 0.15


@pytest.mark.parametrize("batch", [0, 1258])
def test_an_impossible_batch_is_one_sentence(batch):
    with pytest.raises(ValueError) as caught:
        images.batches(DIGITS, batch, 1, 0)
    assert str(caught.value) == f"a batch of {batch} images is not within the 1 to 1257 there are to train on"


# --- downloads -------------------------------------------------------------------------------------


def offer(server, monkeypatch, name, content):
    """Serve `content` in place of the named download."""
    server.files[f"/{name}"] = content
    url, sha256 = f"http://127.0.0.1:{server.server_port}/{name}", hashlib.sha256(content).hexdigest()
    monkeypatch.setitem(download.FILES, name, replace(download.FILES[name], url=url, sha256=sha256))


def idx(values: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">i4").tobytes()
    return gzip.compress(header + values.tobytes())


def test_fashion_mnist_is_read_from_idx(server, raw, monkeypatch):
    monkeypatch.setattr(images, "VALID", 3)
    rng = np.random.default_rng(0)
    for kind, count in (("train", 10), ("test", 4)):
        pixels = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        offer(server, monkeypatch, f"fashion_mnist_{kind}_images", idx(pixels))
        offer(server, monkeypatch, f"fashion_mnist_{kind}_labels", idx(np.arange(count, dtype=np.uint8)))
    made = images.load("fashion_mnist", 28)
    assert [getattr(made, split)[1].tolist() for split in images.SPLITS] == [
        [0, 1, 2, 3, 4, 5, 6],
        [7, 8, 9],
        [0, 1, 2, 3],
    ]
    back = made.test[0][..., 0]
    assert np.corrcoef(back.ravel(), pixels.ravel())[0, 1] > 0.999999
    assert made.mirrored and len(made.classes) == 10


def test_cifar10_is_read_from_the_binary_version(server, raw, monkeypatch):
    monkeypatch.setattr(images, "VALID", 2)
    rng = np.random.default_rng(0)
    packed, last = io.BytesIO(), None
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for number, member in enumerate(download.FILES["cifar10"].members):
            last = rng.integers(0, 256, (2, 3073), dtype=np.uint8)
            last[:, 0] = number
            entry = tarfile.TarInfo(member)
            entry.size = last.nbytes
            archive.addfile(entry, io.BytesIO(last.tobytes()))
    offer(server, monkeypatch, "cifar10", packed.getvalue())
    made = images.load("cifar10", 32)
    assert [getattr(made, split)[1].tolist() for split in images.SPLITS] == [
        [0, 0, 1, 1, 2, 2, 3, 3],
        [4, 4],
        [5, 5],
    ]
    wanted = last[:, 1:].reshape(2, 3, 32, 32)  # planes of red, green and blue
    for channel in range(3):
        found = made.test[0][..., channel]
        assert np.corrcoef(found.ravel(), wanted[:, channel].ravel())[0, 1] > 0.999999


def test_mirrored_images_are_turned_left_to_right():
    x = np.random.default_rng(0).random((64, 4, 4, 1), np.float32)
    turned = images._augmented(x, np.random.default_rng(0), 0, 0.0, True)
    kinds = [
        "same" if np.array_equal(a, b) else "turned" if np.array_equal(a, b[:, ::-1]) else "other"
        for a, b in zip(turned, x, strict=True)
    ]
    assert set(kinds) == {"same", "turned"}
    assert 16 < kinds.count("turned") < 48
