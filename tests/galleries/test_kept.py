"""Embeddings that are kept: found again by content, never wrong, lost without harm."""

import os
import sqlite3

import numpy as np
import pytest
from color_model import Colors, paint

from jaxcmr.galleries.embed import BLOCK, embed
from jaxcmr.galleries.kept import Kept, version_of

RED, GREEN, BLUE = np.eye(3, dtype=np.float32)


@pytest.fixture
def kept(tmp_path):
    return lambda fingerprint="c0ffee", size=3: Kept(fingerprint, size, tmp_path / "kept")


def run(raws, kept, modality="image"):
    model = Colors()
    return embed(model, modality, raws, kept, lambda done, total: None), model.read


def test_what_is_embedded_is_not_read_again(tmp_path, kept):
    files = [paint(tmp_path / f"{color}.png", color) for color in ("red", "lime", "blue")]
    first, read = run(files, kept())
    np.testing.assert_array_equal(first.rows, np.eye(3))
    assert read == files and first.reused == 0 and first.lost == {}
    second, read = run(files, kept())
    np.testing.assert_array_equal(second.rows, np.eye(3))
    assert read == [] and second.reused == 3


def test_a_changed_file_alone_is_embedded_again(tmp_path, kept):
    files = [paint(tmp_path / f"{number}.png", "red") for number in range(2)]
    files.append(paint(tmp_path / "2.png", "lime"))
    run(files, kept())
    paint(files[0], "blue")
    found, read = run(files, kept())
    np.testing.assert_array_equal(found.rows, [BLUE, RED, GREEN])
    assert read == files[:1] and found.reused == 2


def test_a_file_that_was_moved_or_copied_keeps_its_embedding(tmp_path, kept):
    file = paint(tmp_path / "a.png", "red")
    run([file], kept())
    moved = tmp_path / "b.png"
    os.rename(file, moved)
    (tmp_path / "c.png").write_bytes(moved.read_bytes())
    found, read = run([moved, tmp_path / "c.png"], kept())
    np.testing.assert_array_equal(found.rows, [RED, RED])
    assert read == [] and found.reused == 2
    # Now their stamps are known, too: their content is not looked at.
    known = kept().recall("image", [moved, tmp_path / "c.png"])
    assert all(row is not None for row in known)


def test_other_models_and_modalities_keep_their_own(tmp_path, kept):
    file = paint(tmp_path / "a.png", "red")
    run([file], kept())
    assert kept("other").recall("image", [file])[0] is None
    assert kept().recall("views", [file])[0] is None
    assert kept().find([version_of("views", file).content]) == [None]
    assert kept(size=4).recall("image", [file])[0] is None
    np.testing.assert_array_equal(kept().recall("image", [file])[0], RED)


def test_texts_are_kept_by_their_words(kept):
    found, _ = run(["red", "blue sky", "no color"], kept(), "text")
    np.testing.assert_array_equal(found.rows, [RED, BLUE, np.zeros(3)])
    found, read = run(["no color", "red", "green"], kept(), "text")
    np.testing.assert_array_equal(found.rows, [np.zeros(3), RED, GREEN])
    assert read == ["green"] and found.reused == 2


def test_what_cannot_be_read_is_lost_alone(tmp_path, kept):
    files = [paint(tmp_path / f"{number:03d}.png", "red") for number in range(20)]
    files[7].write_bytes(b"no picture")
    files[11].unlink()
    found, _ = run(files, kept())
    assert sorted(found.lost) == [7, 11] and str(files[7]) in found.lost[7]
    assert str(files[11]) in found.lost[11]
    expected = np.tile(RED, (20, 1))
    expected[[7, 11]] = 0
    np.testing.assert_array_equal(found.rows, expected)
    again, read = run(files, kept())
    assert sorted(again.lost) == [7, 11] and again.reused == 18 and read == []


def test_an_interruption_keeps_the_blocks_that_are_done(kept):
    texts = [f"red {number}" for number in range(2 * BLOCK)]

    def stop(done, total):
        assert (done, total) == (BLOCK, 2 * BLOCK)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed(Colors(), "text", texts, kept(), stop)
    found, read = run(texts, kept(), "text")
    assert read == texts[BLOCK:] and found.reused == BLOCK


def test_a_file_that_changes_while_it_is_embedded_is_not_kept(tmp_path, kept):
    file = paint(tmp_path / "a.png", "red")
    version = version_of("image", file)
    paint(file, "blue", size=9)
    kept().keep([(version, RED), (version_of("text", "red"), RED)])
    assert kept().recall("image", [file])[0] is None and kept().find([version.content]) == [None]
    assert kept().recall("text", ["red"])[0] is not None


def test_a_damaged_file_of_embeddings_is_begun_anew(tmp_path, kept, caplog):
    run(["red"], kept(), "text")
    kept().path.write_bytes(b"no base" * 1000)
    _, read = run(["red"], kept(), "text")
    assert read == ["red"] and "is damaged" in caplog.text
    assert run(["red"], kept(), "text")[0].reused == 1


def test_damage_inside_costs_only_what_is_kept(kept, caplog):
    texts = [f"red {number}" for number in range(400)]
    run(texts, kept(), "text")
    path = kept().path
    damaged = bytearray(path.read_bytes())
    damaged[4096:] = bytes(len(damaged) - 4096)
    path.write_bytes(damaged)
    found, read = run(texts, kept(), "text")
    assert len(read) == 400 and "neither reused nor kept" in caplog.text
    np.testing.assert_array_equal(found.rows, np.tile(RED, (400, 1)))


def test_where_nothing_can_be_kept_all_are_embedded(tmp_path, caplog):
    (tmp_path / "file").touch()
    kept = Kept("c0ffee", 3, tmp_path / "file")
    assert "neither reused nor kept" in caplog.text
    found, _ = run(["red"], kept, "text")
    np.testing.assert_array_equal(found.rows, [RED])


def test_two_may_keep_at_the_same_time(kept):
    one, other = kept(), kept()
    run(["red"], one, "text")
    run(["blue"], other, "text")
    assert run(["red", "blue"], one, "text")[1] == []
    assert sqlite3.connect(one.path).execute("select count(*) from embeddings").fetchone() == (2,)
