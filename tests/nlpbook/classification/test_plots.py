"""분류의 그림: 혼동표."""

from __future__ import annotations

from nlpbook.classification.plots import confusion_matrix


def test_the_confusion_matrix_is_drawn(tmp_path, assert_picture):
    confusion_matrix([[3, 1], [0, 4]], ["negative", "positive"], tmp_path / "new" / "confusion_matrix.png", "title")
    assert_picture(tmp_path / "new" / "confusion_matrix.png")


def test_a_label_without_examples_is_drawn_too(tmp_path, assert_picture):
    confusion_matrix([[0, 0], [0, 4]], ["negative", "positive"], tmp_path / "confusion_matrix.png")
    assert_picture(tmp_path / "confusion_matrix.png")
