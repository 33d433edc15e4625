import h5py
import numpy as np
import pytest
import scipy.io

from jaxcmr import data
from jaxcmr.data.own.labelbase import unify
from jaxcmr.data.sources.features import read_mat
from jaxcmr.errors import UsageError

RNG = np.random.default_rng(0)
CLASSES = {
    "wikipedia": 10, "nuswide10": 10, "inria": 100, "xmedia": 20, "xmedianet": 200, "pascal": 20,
}  # fmt: skip


def rows(count, width=2):
    return RNG.normal(size=(count, width)).astype(np.float32)


def codes(count, classes, first=0):
    return np.arange(count) % classes + first


def one_hot(values, classes):
    return np.eye(classes, dtype=np.float32)[values]


def write_wiki_mat(root):
    scipy.io.savemat(root / "wiki.mat", {
        "train_imgs_deep": rows(2173), "train_texts_doc": rows(2173, 3),
        "train_imgs_labels": codes(2173, 10, 1)[:, None],
        "test_imgs_deep": rows(693), "test_texts_doc": rows(693, 3),
        "test_imgs_labels": codes(693, 10, 1)[None],
    })  # fmt: skip


def write_wiki_h5(root):
    with h5py.File(root / "wiki_deep_doc2vec_data_corr_ae.h5py", "w") as file:
        for split, count in (("train", 2173), ("test", 693)):
            file[f"{split}_imgs_deep"], file[f"{split}_texts_doc"] = rows(count), rows(count, 3)
            file[f"{split}_imgs_labels"] = codes(count, 10).astype(np.float64)


def write_wiki_raw(root):
    arrays = {"I_tr": rows(2173), "T_tr": rows(2173, 3), "I_te": rows(693), "T_te": rows(693, 3)}
    scipy.io.savemat(root / "raw_features.mat", arrays)
    for name, count in (("trainset", 2173), ("testset", 693)):
        lines = [f"text{k} image{k} {label}" for k, label in enumerate(codes(count, 10, 1))]
        (root / f"{name}_txt_img_cat.list").write_text("\n".join(lines) + "\n")


def write_nus(root):
    with h5py.File(root / "nus_wide_deep_doc2vec-corr-ae.h5py", "w") as file:
        for split, count in (("train", 42941), ("valid", 5000), ("test", 23661)):
            file[f"{split}_imgs_deep"], file[f"{split}_texts"] = rows(count), rows(count, 3)
            file[f"{split}_imgs_labels"] = codes(count, 10)


def write_inria(root):  # MATLAB 7.3: HDF5, axes reversed
    with h5py.File(root / "INRIA-Websearch.mat", "w") as file:
        for split, count in (("tr", 9000), ("val", 1332), ("te", 4366)):
            file[f"{split}_img"], file[f"{split}_txt"] = rows(count).T, rows(count, 3).T
            file[f"{split}_img_lab"] = one_hot(codes(count, 100), 100).T


def write_xmedia(root):
    scipy.io.savemat(root / "XMediaFeatures.mat", {
        "I_tr_CNN": rows(4000), "T_tr_BOW": rows(4000, 3), "trImgCat": codes(4000, 20, 1)[:, None],
        "I_te_CNN": rows(1000), "T_te_BOW": rows(1000, 3), "teImgCat": codes(1000, 20, 1)[:, None],
    })  # fmt: skip


def write_xmedianet(root):
    arrays = {}
    for split, count in (("train", 32000), ("valid", 4000), ("test", 4000)):
        for suffix in ("", "_labels"):
            cell = np.empty(5, object)
            for k in range(5):
                cell[k] = codes(count, 200)[:, None] if suffix else rows(count, 1 + k)
            arrays[split + suffix] = cell
    scipy.io.savemat(root / "XMediaNet5View_Doc2Vec.mat", arrays)


def write_pascal(root):  # one array a file
    (root / "pascal").mkdir()
    for split, count in (("train", 800), ("test", 200)):
        arrays = {
            f"{split}_img": rows(count), f"{split}_txt": rows(count, 3),
            f"{split}_img_lab": codes(count, 20)[:, None],
        }  # fmt: skip
        for name, array in arrays.items():
            scipy.io.savemat(root / "pascal" / f"{name}.mat", {name: array})


@pytest.mark.parametrize(
    ("name", "write", "counts", "done"),
    [
        ("wikipedia", write_wiki_mat, (2173, 231, 462), "counted from 1"),
        ("wikipedia", write_wiki_h5, (2173, 231, 462), "integers from 0"),
        ("wikipedia", write_wiki_raw, (2173, 231, 462), "counted from 1"),
        ("nuswide10", write_nus, (42941, 5000, 23661), "integers from 0"),
        ("inria", write_inria, (9000, 1332, 4366), "one-hot"),
        ("xmedia", write_xmedia, (4000, 500, 500), "counted from 1"),
        ("xmedianet", write_xmedianet, (32000, 4000, 4000), "integers from 0"),
        ("pascal", write_pascal, (800, 100, 100), "integers from 0"),
    ],
)
def test_the_papers_counts_on_files_of_the_real_formats(
    config, tmp_path, caplog, name, write, counts, done
):
    write(tmp_path)
    config.name, config.root, config.modalities = name, str(tmp_path), ("image", "text")
    splits = data.load(config)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == counts
    classes = CLASSES[name]
    first = int(done == "counted from 1")
    assert splits.train.class_names == tuple(map(str, range(first, first + classes)))
    np.testing.assert_array_equal(splits.train.labels, codes(counts[0], classes))
    # The validation set is the head of the test set where it was cut off it.
    if name in ("wikipedia", "xmedia", "pascal"):
        np.testing.assert_array_equal(splits.validation.labels, codes(counts[1], classes))
        np.testing.assert_array_equal(
            splits.test.labels, codes(counts[1] + counts[2], classes)[counts[1] :]
        )
    assert splits.train.inputs["text"].shape == (counts[0], 2 if name == "xmedianet" else 3)
    assert splits.train.provenance["labels"] == done
    assert "the papers" not in caplog.text


def test_a_set_of_several_files_names_the_one_that_is_missing(config, tmp_path):
    write_pascal(tmp_path)
    config.name, config.root, config.modalities = "pascal", str(tmp_path), ("image", "text")
    assert set(data.load(config).train.provenance["sha256"]) == {
        f"{split}_{kind}.mat" for split in ("train", "test") for kind in ("img", "txt", "img_lab")
    }
    (tmp_path / "pascal" / "test_txt.mat").unlink()
    with pytest.raises(UsageError, match=r"there is no file .*pascal/test_txt.mat"):
        data.load(config)


def test_other_counts_are_said_and_missing_arrays_named(config, tmp_path, caplog):
    config.name, config.root, config.modalities = "wikipedia", str(tmp_path), ("image", "text")
    with pytest.raises(UsageError, match=r"no features of wikipedia under .*: none of wiki.mat"):
        data.load(config)
    with h5py.File(tmp_path / "wiki_deep_doc2vec_data_corr_ae.h5py", "w") as file:
        for split in ("train", "test"):
            file[f"{split}_imgs_deep"], file[f"{split}_texts_doc"] = rows(20), rows(20)
        file["train_imgs_labels"] = codes(20, 2)
    with pytest.raises(UsageError, match="has no array 'test_imgs_labels', only"):
        data.load(config)
    with h5py.File(tmp_path / "wiki_deep_doc2vec_data_corr_ae.h5py", "a") as file:
        file["test_imgs_labels"] = codes(20, 2)
    data.load(config)
    assert "has (20, 0, 20) train/validation/test rows, the papers (2173, 231, 462)" in caplog.text


@pytest.mark.parametrize("content", [b"", b"MATLAB 5.0 MAT-file" + bytes(40), bytes(300)])
def test_damaged_mat_files(config, tmp_path, content):
    (tmp_path / "wiki.mat").write_bytes(content)
    config.name, config.root = "wikipedia", str(tmp_path)
    with pytest.raises(UsageError, match=r"wiki.mat (cannot be read|has no array)"):
        data.load(config)


def test_truncated_real_mat(config, tmp_path):
    write_xmedia(tmp_path)
    path = tmp_path / "XMediaFeatures.mat"
    path.write_bytes(path.read_bytes()[:5000])
    config.name, config.root = "xmedia", str(tmp_path)
    with pytest.raises(UsageError, match=r"XMediaFeatures.mat (cannot be read|has no array)"):
        data.load(config)


@pytest.mark.parametrize(
    ("labels", "expected", "done"),
    [
        ([0, 2, 1], [0, 2, 1], "integers from 0"),
        ([1, 3, 2], [0, 2, 1], "counted from 1"),
        ([[1.0], [3.0]], [0, 1], "counted from 1"),
        ([[0, 1, 0], [1, 0, 0]], [1, 0], "one-hot"),
        (["b", "a"], [1, 0], "text"),
        ([True, False], [1, 0], "integers from 0"),
    ],
)
def test_label_forms(labels, expected, done):
    result, names, said = unify({"train": np.array(labels)}, (), "x")
    np.testing.assert_array_equal(result["train"], expected)
    assert result["train"].dtype == np.int32 and said == done
    assert len(names) == max(expected) + 1


def test_the_base_is_decided_over_all_splits_and_by_the_names():
    splits = {"train": np.array([1, 2]), "test": np.array([0, 1])}
    assert unify(splits, (), "x")[0]["train"].tolist() == [1, 2]
    # Class 0 has a name but no sample: nothing is shifted.
    assert unify({"train": np.array([1, 2])}, ("a", "b", "c"), "x")[0]["train"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0.5, 1], "must be whole numbers"),
        ([np.inf, 1], "must be whole numbers, found inf"),
        ([1.5, np.nan], "must be whole numbers, found 1.5"),
        ([-1, 1], "the label -1 is negative"),
        ([0, 2**53 + 1], "too large"),
        ([[1, 1], [0, 1]], "not one-hot; rows with several labels"),
        (np.zeros((2, 2, 2)), "one label a row is needed"),
        (np.array([1j, 2]), "of type complex128"),
    ],
)
def test_impossible_labels(labels, message):
    with pytest.raises(UsageError, match=message):
        unify({"train": np.array(labels)}, (), "x")


def test_sparse_arrays_and_structs_of_matlab_7_3(tmp_path):
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file["text/data"], file["text/ir"], file["text/jc"] = [2.5, 1.0], [0, 1], [0, 1, 2]
        file["text"].attrs["MATLAB_sparse"] = np.uint64(3)
        file["struct/field"] = np.ones(2)
        file["image"] = np.ones((4, 2))
    found = read_mat(tmp_path / "a.mat")
    assert set(found) == {"text", "image"} and found["image"].shape == (2, 4)
    np.testing.assert_array_equal(found["text"], [[2.5, 0], [0, 1], [0, 0]])
