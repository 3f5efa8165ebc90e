"""What a profile leaves out of a page, from its parameters."""

import nbformat
import pytest

from twins.series import profiles


@pytest.fixture
def page(tmp_path):
    cells = [nbformat.v4.new_code_cell("steps = 3  # a\nbatch_sizes = [1, 2]  # b\nsame = True  # c")]
    cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "01_a.ipynb")
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "full.yaml").write_text(
        "01_a:\n  steps: 2000\n  batch_sizes: [1, 64]\n  same: false\n"
    )
    (tmp_path / "profiles" / "quick.yaml").write_text("01_a:\n  steps: 5\n")
    return tmp_path


def test_what_differs_from_full_is_one_sentence(page):
    assert profiles.left_out("01_a", "quick", page) == (
        "The profile quick measures less than `make report PROFILE=full`: steps 5 (full: 2,000); batch sizes "
        "1, 2 (full: 1, 64); same yes (full: no)."
    )
    assert profiles.left_out("01_a", "full", page) == ""


def test_a_page_opened_by_hand_has_the_parameters_of_its_source(page):
    assert "steps 3 (full: 2,000)" in profiles.left_out("01_a", "interactive", page)


@pytest.mark.parametrize("name", ["02_transformer_lm", "03_bert", "04_vision", "12_your_model"])
def test_every_training_page_says_what_quick_leaves_out(name):
    assert "processes" in profiles.left_out(name, "quick")
