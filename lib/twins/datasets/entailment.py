"""A synthetic inference task with exact labels: does the first sentence entail the second, or rule it out?

Sentences quantify over a noun, perhaps with an adjective, and a verb: "all young dogs run". Nouns and verbs
form chains of ever wider words: every poodle is a dog, who sprints runs. The idea is that of Bowman et al.
2015, "Recursive Neural Networks Can Learn Logical Semantics" (https://arxiv.org/abs/1406.1827).

A world says which kinds of individuals exist. Every sentence forbids some kinds or asks that one of some
exist, and no noun is empty. So sentences can hold together exactly when each set asked for has a kind that
none of them forbids, and two such questions give the label of a pair.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np

from twins.datasets import markov

CLASSES = ("entailment", "neutral", "contradiction")
QUANTIFIERS = ("all", "no", "some", "not all")
NOUNS = (  # chains of different animals, so that no word of one says anything about another
    ("poodles", "dogs", "mammals"),
    ("robins", "thrushes", "birds"),
    ("trouts", "salmonids", "fish"),
    ("cobras", "snakes", "reptiles"),
    ("bumblebees", "bees", "insects"),
)
ADJECTIVES = ("young", "brown")
VERBS = (("sprint", "run"), ("whisper", "speak"))
SEED = int.from_bytes(b"inference", "big")

# An individual of one chain: its narrowest noun, whether each adjective fits, its narrowest verb (2: none).
KINDS = list(product(range(3), (False, True), (False, True), range(3)))


@dataclass(frozen=True)
class Sentence:
    """Words by place: quantifier, noun in its chain, adjective (None: without one), verb in its chain."""

    quantifier: int
    noun: int
    adjective: int | None
    verb: int

    def text(self, nouns: tuple[str, ...], verbs: tuple[str, ...]) -> str:
        """The sentence in the words of two chains."""
        adjective = [] if self.adjective is None else [ADJECTIVES[self.adjective]]
        return " ".join([QUANTIFIERS[self.quantifier], *adjective, nouns[self.noun], verbs[self.verb]])


@dataclass(frozen=True)
class Meaning:
    """Sets of KINDS as bits: what may not exist, and of each set in `asks` one must."""

    forbids: int
    asks: tuple[int, ...]


def meaning(sentence: Sentence) -> Meaning:
    """What a sentence says of the world; its noun, with its adjective, is not empty."""
    who = who_acts = 0
    for bit, (noun, *adjectives, verb) in enumerate(KINDS):
        if noun <= sentence.noun and (sentence.adjective is None or adjectives[sentence.adjective]):
            who |= 1 << bit
            who_acts |= (verb <= sentence.verb) << bit
    some_do, some_do_not = who_acts, who & ~who_acts
    return (
        Meaning(some_do_not, (who,)),
        Meaning(some_do, (who,)),
        Meaning(0, (who, some_do)),
        Meaning(0, (who, some_do_not)),
    )[sentence.quantifier]


def negation(sentence: Sentence) -> Sentence:
    """All and not all, no and some deny each other."""
    return Sentence(3 - sentence.quantifier, sentence.noun, sentence.adjective, sentence.verb)


def together(one: Meaning, other: Meaning) -> bool:
    """Whether there is a world in which both sentences hold."""
    forbidden = one.forbids | other.forbids
    return all(asked & ~forbidden for asked in (*one.asks, *other.asks))


def label(first: Sentence, second: Sentence) -> int:
    """The class of a pair, as a place in CLASSES."""
    if not together(meaning(first), meaning(negation(second))):
        return 0
    return 1 if together(meaning(first), meaning(second)) else 2


def sentences() -> list[Sentence]:
    """Every sentence about one chain of nouns and one of verbs."""
    adjectives = (None, *range(len(ADJECTIVES)))
    return [Sentence(*words) for words in product(range(len(QUANTIFIERS)), range(3), adjectives, range(2))]


def pairs() -> list[tuple[str, str, int]]:
    """Every pair about the same chains that is not neutral, and as many neutral ones as of each other class.

    No pair is there twice. Classes take turns, rows of each are in random order, the same on every machine.
    """
    known = list(product(sentences(), repeat=2))
    chains = list(product(NOUNS, VERBS))
    classes = np.tile([label(*pair) for pair in known], len(chains))
    order = np.argsort(markov.splitmix64(SEED, len(classes)), kind="stable")
    size = np.bincount(classes).min()
    turns = np.stack([order[classes[order] == c][:size] for c in range(len(CLASSES))], axis=1).ravel()
    rows = []
    for number in turns.tolist():
        words, (first, second) = chains[number // len(known)], known[number % len(known)]
        rows.append((first.text(*words), second.text(*words), int(classes[number])))
    return rows
