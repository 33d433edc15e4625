"""What is saved of a test set in the common space."""

import numpy as np
import paired
import pytest

from jaxcmr.workdir import embeddings


def test_a_file_says_which_items_exist_and_holds_nothing_of_the_others(tmp_path):
    test = paired.dataset(rows=4)
    test.present["text"] = np.array([True, False, True, False])
    rows = np.full((4, 2), 0.5, np.float32)
    embeddings.save(tmp_path / "embeddings", test, {"image": rows, "text": rows})
    text = np.load(tmp_path / "embeddings" / "text.npz")
    assert text["present"].tolist() == [True, False, True, False]
    assert text["embeddings"].tolist() == [[0.5, 0.5], [0, 0], [0.5, 0.5], [0, 0]]
    assert text["labels"].tolist() == [0, 1, 2, 3] and str(text["modality"]) == "text"
    image = np.load(tmp_path / "embeddings" / "image.npz")
    assert image["present"].all() and (image["embeddings"] == 0.5).all()


@pytest.mark.parametrize(
    "modality, file",
    [("image", "image"), ("a/b", "a%2Fb"), ("..", "%2E."), ("a%2Fb", "a%252Fb"), ("", "%")],
)
def test_a_modality_of_any_name_has_a_file_in_the_folder(modality, file, tmp_path):
    assert embeddings.file_name(modality) == file
    embeddings.save(tmp_path / "out", paired.dataset(rows=4), {modality: np.eye(4)})
    assert [path.name for path in (tmp_path / "out").iterdir()] == [f"{file}.npz"]


def test_long_names_get_files_of_their_own(tmp_path):
    names = ("手" * 300 + "a", "手" * 300 + "b")
    embeddings.save(tmp_path, paired.dataset(rows=4), dict.fromkeys(names, np.eye(4)))
    assert sorted(str(np.load(path)["modality"]) for path in tmp_path.iterdir()) == list(names)
