"""Prompts and completions from text that every Python has: a function's head and docstring, then its body.

A model that is fine-tuned sees both and learns the completion alone, as instruction tuning does (Ouyang et
al. 2022, https://arxiv.org/abs/2203.02155). Functions of one file stay in one split.
"""

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from twins.datasets import corpus

IGNORED = -100  # a target that is not learnt, as torch's cross_entropy has it by default
LONGEST_PROMPT = 0.75  # of the context; a longer prompt leaves too little to learn
Batch = tuple[np.ndarray, np.ndarray]  # ids and next ids, (B, T) int32 each


@dataclass(frozen=True, eq=False)
class Completions:
    """Rows of prompts with their completions, and what a record must say about them.

    train, test: (rows, context + 1) int32, and how many tokens of each row are its prompt and are filled,
    (rows, 2). example: the first prompt and its completion. digest: SHA-256 of the text. source: a sentence.
    """

    train: np.ndarray
    train_lengths: np.ndarray
    test: np.ndarray
    test_lengths: np.ndarray
    vocabulary: int
    digest: str
    source: str
    example: tuple[str, str] = field(repr=False)


def functions(text: str) -> Iterator[tuple[str, str]]:
    """Head with docstring, and body, of every function that has both; nothing where the text is no Python."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return
    lines = text.splitlines(keepends=True)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(node, clean=False):
            begin = node.body[0].end_lineno or node.lineno
            head, body = lines[node.lineno - 1 : begin], lines[begin : node.end_lineno]
            if "".join(body).strip():
                yield "".join(head), "".join(body)


def load(
    context: int, rows: int = 512, tested: int = 64, vocabulary: int = 1024, folder: str = ""
) -> Completions:
    """Functions of the standard library as rows of tokens.

    The tokenizer is the byte-level BPE of the corpus, or tokenizer.json of a checkpoint's `folder`.
    Errors: ValueError when there is no tokenizer in the folder, or the text yields too few functions.
    """
    documents, source = corpus.TEXTS["stdlib"]()
    tokenizer = _tokenizer(folder, vocabulary)
    made = {}
    for split, count in (("train", rows), ("test", tested)):
        texts = sorted(documents[split], key=lambda text: hashlib.sha256(text.encode()).digest())
        pairs = (pair for text in texts for pair in functions(text))
        made[split] = list(islice(_encoded(pairs, tokenizer, context), count))
        if len(made[split]) < count:
            raise ValueError(
                f"the standard library has {len(made[split])} functions whose prompts fit into {context} "
                f"tokens, {count} are asked for; a longer context or fewer rows can be had"
            )
    parts = {split: _rows([row for row, _ in found], context) for split, found in made.items()}
    return Completions(
        *parts["train"],
        *parts["test"],
        vocabulary=tokenizer.get_vocab_size(),
        digest=corpus.digest_of(documents),
        source=source,
        example=made["train"][0][1],
    )


def _tokenizer(folder: str, vocabulary: int) -> Tokenizer:
    path = Path(folder) / "tokenizer.json"
    if folder and not path.is_file():
        raise ValueError(
            f"checkpoint {Path(folder).name} holds no tokenizer.json, which prompts are cut with"
        )
    if folder:
        return Tokenizer.from_file(str(path))
    found = corpus.load("stdlib", vocabulary).tokenizer
    assert found is not None  # real text has one
    return found


def _encoded(
    pairs: Iterator[tuple[str, str]], tokenizer: Tokenizer, context: int
) -> Iterator[tuple[tuple[list[int], list[int]], tuple[str, str]]]:
    """Tokens of prompt and completion, and their texts, of the pairs whose prompt leaves room to learn."""
    for prompt, completion in pairs:
        asked = tokenizer.encode(prompt, add_special_tokens=False).ids
        if len(asked) <= LONGEST_PROMPT * context:
            answer = tokenizer.encode(completion, add_special_tokens=False).ids
            yield (asked, answer), (prompt, completion)


def _rows(found: list[tuple[list[int], list[int]]], context: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows cut or filled up to context + 1 tokens, and the lengths of prompts and of what is filled."""
    rows = np.zeros((len(found), context + 1), np.int32)
    lengths = np.zeros((len(found), 2), np.int32)
    for place, (prompt, completion) in enumerate(found):
        whole = (prompt + completion)[: context + 1]
        rows[place, : len(whole)] = whole
        lengths[place] = len(prompt), len(whole)
    return rows, lengths


def targets(rows: np.ndarray, lengths: np.ndarray) -> Batch:
    """Ids and next ids (B, T), where a next one that is of the prompt or of the filling is IGNORED."""
    places = np.arange(1, rows.shape[1])
    learnt = (places >= lengths[:, :1]) & (places < lengths[:, 1:])
    return rows[:, :-1], np.where(learnt, rows[:, 1:], IGNORED).astype(np.int32)


def batches(data: Completions, batch: int, steps: int, seed: int) -> list[Batch]:
    """Random batches of training rows, each row once before any comes again."""
    rng, count = np.random.default_rng(seed), len(data.train)
    passes = -(-batch * steps // count)
    order = np.concatenate([rng.permutation(count) for _ in range(passes)])[: batch * steps]
    return [targets(data.train[rows], data.train_lengths[rows]) for rows in order.reshape(steps, batch)]


def tested(data: Completions, batch: int) -> list[Batch]:
    """The test rows once, in order."""
    cuts = range(0, len(data.test), batch)
    return [targets(data.test[i : i + batch], data.test_lengths[i : i + batch]) for i in cuts]
