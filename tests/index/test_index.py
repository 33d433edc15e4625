"""`Index`: rows by hand, what is refused, and what a search answers."""

import threading

import numpy as np
import pytest

import jaxcmr
from jaxcmr.errors import UsageError
from jaxcmr.index import Index

HALF = 0.5**0.5


@pytest.fixture
def index():
    """Two photos and two texts: `a` of both lies 45 degrees apart."""
    found = Index(2, "f1")
    found.add(
        [[1, 0], [0, 2]],
        modality="image",
        ids=["a", "b"],
        metadata={"price": [1, None], "colour": ["red", "grün"], "sold": [True, False]},
        sources=["photos/a.png", None],
    )
    found.add(
        [[3, 3], [-1, 0]], modality="text", ids=["a", "c"], metadata=[{"price": 2.5}, {"size": 7}]
    )
    return found


def test_rows_are_kept_in_their_order_with_all_that_belongs_to_them(index):
    assert len(index) == 4 and index.ids == ["a", "b", "a", "c"]
    assert index.modalities == ["image", "image", "text", "text"]
    assert index.columns == {"price": "float", "colour": "text", "sold": "bool", "size": "int"}
    np.testing.assert_allclose(index.embeddings, [[1, 0], [0, 1], [HALF, HALF], [-1, 0]])
    assert index.embeddings.dtype == np.float32 and not index.embeddings.flags.writeable
    assert index.metadata([3, 0]) == [
        {"price": None, "colour": None, "sold": None, "size": 7},
        {"price": 1.0, "colour": "red", "sold": True, "size": None},
    ]
    assert index.column("colour") == ["red", "grün", None, None]
    assert [index.source(row) for row in range(4)] == ["photos/a.png", None, None, None]
    assert jaxcmr.Index is Index


def test_a_search_finds_the_nearest_first(index):
    hits = index.search([3, 4], k=3)  # of length 5: scores 3/5, 4/5, 7/(5 sqrt 2), -3/5
    assert hits.rows.tolist() == [[2, 1, 0]] and hits.ids == [["a", "b", "a"]]
    assert hits.modalities == [["text", "image", "image"]]
    np.testing.assert_allclose(hits.scores, [[7 / 5 * HALF, 0.8, 0.6]], rtol=1e-6)
    assert hits.metadata == [index.metadata([2, 1, 0])]
    assert index.search([3, 4], k=3, approx=True).ids == hits.ids  # exact on a CPU
    two = index.search([[0, 1], [1, 0]], k=1)
    assert two.ids == [["b"], ["a"]] and two.scores.shape == two.rows.shape == (2, 1)


def test_equal_scores_keep_the_order_of_the_rows_over_all_that_was_added():
    index = Index(2)
    for number in range(7):
        index.add([[1, 0], [0, 1]], modality="image", ids=[f"a{number}", f"b{number}"])
    assert index.search([1, 0], k=5).ids == [["a0", "a1", "a2", "a3", "a4"]]
    assert index.search([0, 0], k=3).rows.tolist() == [[0, 1, 2]]  # of zeros: score 0 to all
    np.testing.assert_array_equal(index.search([0, 0], k=3).scores, [[0, 0, 0]])


@pytest.mark.parametrize(
    "where, ids",
    [
        ({}, "abac"),
        ({"modality": "text"}, "ac"),
        ({"modality": ["text", "image", "none"]}, "abac"),
        ({"id": "a"}, "aa"),
        ({"id": ["a", "c"], "modality": "image"}, "a"),
        ({"price": 1}, "a"),
        ({"price": [1, 2.5]}, "aa"),
        ({"price": None}, "bc"),
        ({"price": np.array([2.5])}, "a"),
        ({"colour": "grün"}, "b"),
        ({"colour": ["grün", None]}, "bac"),
        ({"sold": False}, "b"),
        ({"size": 7.0}, "c"),
        ({"size": 7.5}, ""),
        ({"modality": "cloud"}, ""),
        ({"colour": []}, ""),
        ([False, True, False, True], "bc"),
    ],
)
def test_where_says_which_rows_are_found(index, where, ids):
    hits = index.search([0, 0], k=9, where=where)
    assert "".join(hits.ids[0]) == ids and len(hits.metadata[0]) == len(ids) == hits.rows.shape[1]


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"where": {"prise": 1}}, "'prise'; the index has 'id', 'modality', 'price', 'colour'"),
        ({"where": {"price": "1"}}, "'price' '1', but it holds numbers"),
        ({"where": {"sold": 1}}, "'sold' 1, but it holds True or False"),
        ({"where": {"id": 3}}, "'id' 3, but it holds text"),
        ({"where": [True]}, "where has shape"),
        ({"k": 0}, "k is 0: give a number of at least 1"),
        ({"k": 1.5}, "k is 1.5"),
        ({"query": [1, 2, 3]}, r"query has shape \(1, 3\)"),
        ({"query": [np.nan, 1]}, "query holds NaN"),
        ({"query": np.zeros((0, 2))}, "there are no queries"),
        ({"query": ["a", "b"]}, "real numbers"),
    ],
)
def test_mistakes_of_a_search_are_one_sentence(index, arguments, words):
    with pytest.raises(UsageError, match=words):
        index.search(**({"query": [1, 0]} | arguments))


def test_the_same_id_and_modality_again_replaces_the_row(index):
    index.add([[0, -1]], modality="image", ids=["a"], metadata={"colour": ["blue"]})
    assert index.ids == ["b", "a", "c", "a"] and len(index) == 4
    assert index.modalities == ["image", "text", "text", "image"]
    assert index.metadata([3])[0] == {"price": None, "colour": "blue", "sold": None, "size": None}
    assert index.search([1, 0], k=1).ids == [["a"]] and index.search([1, 0], k=9).rows[0, 0] == 1
    assert index.search([0, -1], k=1).modalities == [["image"]]
    assert index.find("a").tolist() == [1, 3] and index.find(["a", "x"], "image").tolist() == [3]


def test_removed_rows_are_found_no_more(index):
    assert index.remove("a", modality="text") == 1 and index.ids == ["a", "b", "c"]
    assert index.remove(["a", "c", "none", "a"]) == 2 and index.ids == ["b"]
    assert index.remove("a") == 0
    np.testing.assert_array_equal(index.embeddings, [[0, 1]])
    assert index.search([1, 0], where=[True]).ids == [["b"]]
    assert index.remove("b") == 1 and len(index) == 0 and index.ids == []
    empty = index.search([[1, 0], [0, 1]], k=3)
    assert empty.ids == [[], []] and empty.scores.shape == empty.rows.shape == (2, 0)
    assert empty.metadata == [[], []] == empty.modalities
    index.add([[1, 0]], modality="image", ids=["a"])
    assert index.search([1, 0]).ids == [["a"]]


def test_ids_that_are_not_given_are_the_next_free_numbers():
    index = Index(1)
    index.add([[1], [1]], modality="image", ids=["x", "3"])
    index.add([[1], [1]], modality="image")
    index.add([[1]], modality="text")
    assert index.ids == ["x", "3", "2", "4", "0"]


def test_rows_of_another_index_are_added(index):
    other = Index(2, "f1")
    other.add([[0, 1]], modality="image", ids=["z"], metadata={"size": [2]}, sources=["z.png"])
    other.add([[1, 0]], modality="image", ids=["a"])
    other.add([[1, 0]], modality="image", ids=["gone"])
    other.remove("gone")
    index.extend(other)
    assert index.ids == ["b", "a", "c", "z", "a"] and index.source(3) == "z.png"
    assert index.metadata([3])[0]["size"] == 2
    index.extend(Index(2, "f1"))
    assert len(index) == 5
    for size, fingerprint in ((3, "f1"), (2, "f2")):
        with pytest.raises(UsageError, match=f"have {size} numbers, by the model '{fingerprint}'"):
            index.extend(Index(size, fingerprint))


NAMES = [
    "",
    " ",
    "a\0",
    "\0",
    "ü",
    "日本",
    "👩‍👧",
    "../x",
    "a\nb",
    "\udcff",
    "x" * 5000,
    "'",
    "{}",
    "__proto__",
]


def test_any_text_is_an_id_and_a_value(tmp_path):
    index = Index(1)
    metadata = {"__metadata__": NAMES} | {name: NAMES for name in NAMES}
    index.add(np.ones((len(NAMES), 1)), modality="\udcff/ü", ids=NAMES, metadata=metadata)
    index.save(tmp_path / "i")
    for one in (index, Index.open(tmp_path / "i")):
        assert one.ids == one.column("__metadata__") == NAMES
        assert set(one.modalities) == {"\udcff/ü"}
        assert list(one.columns) == ["__metadata__", *NAMES] and one.column(NAMES[3]) == NAMES
        for row, name in enumerate(NAMES):
            assert one.search([1], where={"__metadata__": name}).rows.tolist() == [[row]]
            assert one.find(name).tolist() == [row]


@pytest.mark.parametrize(
    "change, words",
    [
        ({"embeddings": [[1, 2, 3]]}, r"embeddings have shape \(1, 3\): give \[N, 2\]"),
        ({"embeddings": [[1, np.inf]]}, "embeddings hold NaN, infinity"),
        ({"modality": ""}, "modality is ''"),
        ({"modality": None}, "modality is None"),
        ({"embeddings": [[1], [1, 2]]}, "the rows are no array .*; give them one length"),
        ({"ids": 7}, "ids are 7; give a list of texts"),
        ({"metadata": 7}, "the metadata are 7; give a mapping of names"),
        ({"ids": ["x", "y"]}, "ids are 2, but there are 1 rows"),
        ({"ids": [7]}, r"ids hold '7' in row 0; give texts, str\(7\)"),
        ({"embeddings": [[1, 0]] * 3, "ids": ["x", "y", "x"]}, "'x' in rows 0 and 2; give it once"),
        ({"sources": [3]}, "sources hold '3' in row 0"),
        ({"sources": "x"}, "sources are 'x'; give one a row"),
        ({"sources": []}, "sources are 0, but"),
        ({"metadata": {"id": ["x"]}}, "the name 'id'"),
        ({"metadata": {3: ["x"]}}, "the name 3"),
        ({"metadata": {"price": "x"}}, "'price' are 'x'; give a value a row"),
        ({"metadata": {"price": [1, 2]}}, "'price' are 2, but there are 1 rows"),
        ({"metadata": {"price": ["x"]}}, "'price' hold text, but those of the index numbers"),
        ({"metadata": {"new": [np.nan]}}, "'new' hold 'nan' in row 0; give text, a finite number"),
        ({"metadata": {"new": [2**63]}}, "'new' hold '9223372036854775808'"),
        ({"metadata": {"new": [[1]]}}, r"'new' hold '\[1\]'"),
        ({"metadata": {"price": [2**60]}}, r"'price' mix .* beyond 2\^53"),
        ({"metadata": ["x"]}, "the metadata are \"'x'\" in row 0|the metadata are ''x'' in row 0"),
        ({"embeddings": [[1, 0]] * 2, "ids": None, "metadata": {"new": [1, "x"]}},
         "'new' hold whole numbers and text; give one kind"),
    ],
)  # fmt: skip
def test_what_cannot_be_added_is_one_sentence_and_changes_nothing(index, change, words):
    before = index.ids, index.columns, index.metadata(range(4))
    with pytest.raises(UsageError, match=words):
        index.add(**({"embeddings": [[1, 0]], "modality": "image", "ids": ["a"]} | change))
    assert (index.ids, index.columns, index.metadata(range(4))) == before


def test_columns_become_what_all_their_values_are():
    index = Index(1)
    add = lambda value: index.add([[1]], modality="image", metadata={"x": [value]})
    add(None)
    assert index.columns == {"x": "none"} and index.metadata([0]) == [{"x": None}]
    assert index.search([1], where={"x": None}).ids == [["0"]]
    add(np.int32(2))
    assert index.columns == {"x": "int"}
    add(2.5)
    assert index.columns == {"x": "float"} and index.column("x") == [None, 2.0, 2.5]
    add(None), add(3)
    assert index.column("x") == [None, 2.0, 2.5, None, 3.0]
    exact = Index(1)
    exact.add([[1], [1]], modality="image", metadata={"x": [2**62 + 1, -(2**63)]})
    assert exact.column("x") == [2**62 + 1, -(2**63)]
    with pytest.raises(UsageError, match=r"beyond 2\^53"):
        exact.add([[1]], modality="image", metadata={"x": [0.5]})


def test_rows_of_several_parts_are_read_where_they_are_asked_for(index, tmp_path):
    index.save(tmp_path / "i")
    opened = Index.open(tmp_path / "i")
    opened.add([[0, -3], [5, 0]], modality="cloud", ids=["d", "e"], metadata={"size": [1, 2]})
    opened.remove("b")
    assert opened.embeddings.shape == (5, 2) and opened.embeddings.dtype == np.float32
    np.testing.assert_allclose(opened.embeddings[3], [0, -1])
    np.testing.assert_allclose(opened.embeddings[[4, 0, 1]], [[1, 0], [1, 0], [HALF, HALF]])
    np.testing.assert_allclose(opened.embeddings[1:4, 1], [HALF, 0, -1])
    assert opened.column("size", [4, 2, 3, 0]) == [2, 7, 1, None]
    assert opened.ids == ["a", "a", "c", "d", "e"] and opened.ids is opened.ids
    assert [opened.item(row) for row in (1, 3)] == [("a", "text"), ("d", "cloud")]
    opened.remove("d")
    assert opened.ids == ["a", "a", "c", "e"] and opened.modalities[3] == "cloud"
    with pytest.raises(IndexError):
        opened.metadata([4])


def test_unit_rows_keep_every_bit_and_what_the_caller_changes_changes_nothing():
    rows = np.float32([[0.6, 0.8], [1e-30, 0], [3e38, 3e38], [0, 0]])
    index = Index(2)
    index.add(rows, modality="image")
    assert index.embeddings[0].tolist() == rows[0].tolist()
    np.testing.assert_allclose(index.embeddings[1:], [[0, 0], [HALF, HALF], [0, 0]], rtol=1e-6)
    rows[0] = 7
    assert index.embeddings[0, 0] == np.float32(0.6)


def test_embeddings_begin_where_a_cpu_searches_them_without_a_copy():
    for rows in range(1, 9):
        index = Index(3)
        index.add(np.ones((rows, 3)), modality="image")
        index.add(np.ones((rows, 3)), modality="text")
        assert index.embeddings.ctypes.data % 64 == 0


def test_many_small_additions_answer_as_one_large():
    rng = np.random.default_rng(0)
    rows, query = rng.normal(size=(60, 4)), rng.normal(size=(3, 4))
    names = [f"n{number}" for number in range(60)]
    at_once, bit_by_bit = Index(4), Index(4)
    at_once.add(rows, modality="image", ids=names, metadata={"x": names})
    for start in range(0, 60, 7):
        part = slice(start, start + 7)
        bit_by_bit.add(rows[part], modality="image", ids=names[part], metadata={"x": names[part]})
        if start == 21:
            bit_by_bit.remove("n3")
    bit_by_bit.add(rows[3:4], modality="image", ids=names[3:4], metadata={"x": ["n3"]})
    one, other = (index.search(query, k=8) for index in (at_once, bit_by_bit))
    assert one.ids == other.ids and one.metadata == other.metadata
    np.testing.assert_allclose(one.scores, other.scores, rtol=1e-6)


def test_threads_search_one_index(index, tmp_path):
    index.save(tmp_path / "i")
    opened, answers = Index.open(tmp_path / "i"), [None] * 8
    barrier = threading.Barrier(8)

    def work(number):
        barrier.wait()
        answers[number] = opened.search([3, 4], k=9, where={"colour": ["red", None], "id": "a"}).ids

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert answers == [[["a", "a"]]] * 8


def test_the_size_is_a_whole_number():
    with pytest.raises(UsageError, match="size is 0"):
        Index(0)
