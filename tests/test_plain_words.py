"""What readers see is said in plain words; plain_words.py says where phrases are looked for."""

import re

import plain_words
import pytest


@pytest.mark.parametrize("group", plain_words.GROUPS)
def test_no_phrase_that_readers_stumble_over_is_shown(group):
    left = plain_words.LEFT.read_text(encoding="utf-8").splitlines()
    assert sorted(set(plain_words.found(group)) - set(left)) == []


def test_the_search_finds_phrases_over_line_breaks_and_leaves_docstrings_alone(tmp_path):
    module, page = tmp_path / "module.py", tmp_path / "page.md"
    module.write_text('"""Kept apart."""\n\nTOLD = "the first call is kept apart"\n')
    page.write_text("A pair is held\nagainst the limits, as it  comes.")
    known = plain_words.phrases()
    seen = {
        p.name: [w for w, e in known.items() if any(map(e.search, plain_words.texts(p)))]
        for p in (module, page)
    }
    assert [len(each) for each in seen.values()] == [1, 2]
    assert all(
        re.search(r" {2,}\S", line)
        for line in plain_words.PHRASES.read_text().splitlines()
        if line[:1] not in "#"
    )
