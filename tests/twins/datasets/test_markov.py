"""The Markov source has the entropy it claims and gives the same tokens everywhere."""

import math

import numpy as np
import pytest

from twins.datasets import markov


def test_splitmix64_gives_the_published_numbers():
    # Vigna's splitmix64.c started at 1234567, as listed on Rosetta Code, "Pseudo-random numbers/Splitmix64".
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    published += [4593380528125082431, 16408922859458223821]
    assert markov.splitmix64(1234567, 5).tolist() == published
    assert markov.splitmix64(-1, 3).tolist() == markov.splitmix64(2**64 - 1, 3).tolist()


def test_entropy_is_that_of_the_four_probabilities():
    by_hand = -(0.6 * math.log(0.6) + 0.25 * math.log(0.25) + 0.1 * math.log(0.1) + 0.05 * math.log(0.05))
    assert markov.entropy() == pytest.approx(by_hand, abs=1e-12)
    assert round(markov.entropy(), 4) == 1.0331


def test_first_tokens_are_the_same_on_every_machine():
    assert markov.sample(16, seed=0).tolist() == [4, 4, 8, 15, 15, 11, 9, 9, 13, 10, 15, 4, 4, 12, 10, 14]
    assert markov.sample(8, seed=0, vocabulary=64).tolist() == [58, 47, 43, 23, 60, 24, 60, 12]
    assert markov.sample(1000, seed=7)[:16].tolist() == markov.sample(16, seed=7).tolist()


def test_true_source_scores_its_entropy():
    tokens = markov.sample(200_000, seed=11)
    assert tokens.dtype == np.int32
    matches = markov.successors()[tokens[:-2].astype(int) * 16 + tokens[1:-1]] == tokens[2:, None]
    assert matches.sum(axis=1).tolist() == [1] * len(matches)  # each token may follow the two before it
    nats = -np.log(markov.PROBABILITIES)[matches.argmax(axis=1)]
    assert abs(nats.mean() - markov.entropy()) < 0.01


def test_empirical_entropy_agrees_without_looking_at_the_table():
    tokens = markov.sample(1_000_000, seed=12).astype(int)
    triples = np.bincount(tokens[:-2] * 256 + tokens[1:-1] * 16 + tokens[2:], minlength=16**3).reshape(
        256, 16
    )
    seen = triples / np.maximum(triples.sum(axis=1, keepdims=True), 1)
    nats = -np.log(np.where(seen > 0, seen, 1))
    assert (triples * nats).sum() / triples.sum() == pytest.approx(markov.entropy(), abs=0.01)


@pytest.mark.parametrize("vocabulary", [4, 16, 64])
def test_table_is_not_degenerate(vocabulary):
    table = markov.successors(vocabulary)
    assert table.shape == (vocabulary**2, 4)
    assert all(len(set(row)) == 4 for row in table.tolist())
    counts = np.bincount(markov.sample(100_000, seed=1, vocabulary=vocabulary), minlength=vocabulary)
    assert len(counts) == vocabulary
    assert counts.min() > 0.4 * 100_000 / vocabulary
    assert counts.max() < 2 * 100_000 / vocabulary


def test_another_seed_is_another_text():
    assert (markov.sample(10_000, seed=0) == markov.sample(10_000, seed=1)).mean() < 0.1


@pytest.mark.parametrize("vocabulary", [3, 65, 1024])
def test_impossible_vocabulary_is_refused(vocabulary):
    with pytest.raises(ValueError, match=f"4 to 64 symbols, got a vocabulary of {vocabulary}"):
        markov.sample(10, seed=0, vocabulary=vocabulary)


def test_empty_sample_is_refused():
    with pytest.raises(ValueError, match="at least 1 token, got 0"):
        markov.sample(0, seed=0)
