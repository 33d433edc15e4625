"""Retrieval scores: golden numbers, hand-made tables, an oracle, invariances, mistakes."""

import json

import chex
import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcmr.retrieval import chance_level, metrics, retrieval_scores

# Rows and columns whose cosines are plain to see: the angle of row i is the number in degrees.
rows = lambda *degrees: np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], axis=1)


def random_task(seed, queries=9, items=40, classes=4):
    rng = np.random.default_rng(seed)
    query, gallery = (rng.standard_normal((n, 8)).astype(np.float32) for n in (queries, items))
    return query, gallery, rng.integers(0, classes, queries), rng.integers(0, classes, items)


@pytest.fixture(scope="module")
def reference(golden):
    with np.load(golden / "metrics.npz") as arrays:
        return dict(arrays)


CASES = ("rono_i2t", "rono_t2i", "rono_i2i_self", "romo_k0", "romo_k50", "ties_exact", "multilabel")


@pytest.mark.parametrize("case", CASES)
def test_golden(reference, case):
    value = lambda key: reference[f"{case}/{key}"]
    names = ("query", "gallery", "labels_query", "labels_gallery")
    k = json.loads(str(reference["meta"]))[case]["hp"].get("k", 0)
    scores = retrieval_scores(*map(value, names), at=(50,), block=32)
    ap = scores.average_precision_at[k] if k else scores.average_precision
    np.testing.assert_allclose(ap, value("ap_per_query"), atol=1e-6)
    if case == "multilabel":  # the released code skips queries without a relevant item
        np.testing.assert_array_equal(scores.num_relevant > 0, value("query_counted"))
        mean = ap[scores.num_relevant > 0].mean()
    else:
        mean = scores.summary()["mAP@50" if k else "mAP"]
        assert value("map_tie_worst") - 1e-6 <= mean <= value("map_tie_best") + 1e-6
    assert mean == pytest.approx(float(value("map")), abs=1e-6)


def test_all_measures_by_hand():
    # From 0 degrees the gallery ranks 1 (10), 0 (20), 3 (30), 2 (40): relevance 0, 1, 1, 0.
    scores = retrieval_scores(rows(0), rows(20, 10, 40, 30), [7], [7, 5, 5, 7], at=(1, 2))
    assert scores.average_precision == pytest.approx([(1 / 2 + 2 / 3) / 2])
    summary = scores.summary()
    gain = 1 / np.log2(3)
    expected = {
        "mAP": (1 / 2 + 2 / 3) / 2, "NDCG": (gain + 1 / 2) / (1 + gain),
        "mAP@1": 0, "precision@1": 0, "recall@1": 0, "hit@1": 0, "NDCG@1": 0,
        "mAP@2": 1 / 2, "precision@2": 1 / 2, "recall@2": 1 / 2, "hit@2": 1,
        "NDCG@2": gain / (1 + gain),
    }  # fmt: skip
    assert summary == pytest.approx(expected)
    assert scores.num_relevant.tolist() == [2]


@pytest.mark.parametrize(
    ("form", "block"), [("classes", None), ("classes", 4), ("multi-hot", 4), ("multi-hot", 1)]
)
def test_the_oracle_agrees(form, block):
    query, gallery, query_labels, gallery_labels = random_task(0)
    relevant = query_labels[:, None] == gallery_labels[None, :]
    if form == "multi-hot":
        rng = np.random.default_rng(1)
        query_labels, gallery_labels = (rng.random((n, 5)) < 0.2 for n in (9, 40))
        relevant = (query_labels[:, None] & gallery_labels[None]).any(axis=-1)
    cosines = oracle.cosine(query, gallery)
    ranked = [r[oracle.order(s)].tolist() for s, r in zip(cosines, relevant, strict=True)]
    scores = retrieval_scores(query, gallery, query_labels, gallery_labels, at=(5,), block=block)
    for plain, values, options in (
        (oracle.average_precision, scores.average_precision, ()),
        (oracle.ndcg, scores.ndcg, ()),
        (oracle.average_precision, scores.average_precision_at[5], (5,)),
        (oracle.precision_at, scores.precision_at[5], (5,)),
        (oracle.recall_at, scores.recall_at[5], (5,)),
        (oracle.hit_at, scores.hit_at[5], (5,)),
        (oracle.ndcg, scores.ndcg_at[5], (5,)),
    ):
        np.testing.assert_allclose(values, [plain(r, *options) for r in ranked], atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_order_of_the_gallery_and_scale_do_not_matter(seed):
    query, gallery, query_labels, gallery_labels = random_task(seed)
    order = np.random.default_rng(seed).permutation(len(gallery))
    scale = np.exp(np.random.default_rng(seed).uniform(-20, 40, (len(query), 1)))
    first = retrieval_scores(query, gallery, query_labels, gallery_labels, at=())
    second = retrieval_scores(
        query * scale.astype(np.float32), gallery[order], query_labels, gallery_labels[order], at=()
    )
    np.testing.assert_allclose(second.average_precision, first.average_precision, atol=1e-6)


def test_other_rows_and_another_number_of_queries_compile_nothing(monkeypatch):
    measures = chex.assert_max_traces(metrics._all_measures, n=1)
    monkeypatch.setattr(metrics, "_all_measures", measures)
    for seed, queries in enumerate((9, 9, 14)):
        scores = retrieval_scores(*random_task(seed, queries), at=(13,), block=4)
        assert scores.average_precision.shape == (queries,)


@pytest.mark.parametrize("scale", [1e-11, 1e37, 1.5e38])
def test_the_length_of_rows_does_not_matter_up_to_the_largest_number(scale):
    rows = np.random.default_rng(0).uniform(-2, 2, (2, 20, 3)).astype(np.float32)
    labels = np.arange(20) % 3
    plain = retrieval_scores(*rows, labels, labels).average_precision
    long = retrieval_scores(*(np.float32(scale) * rows), labels, labels).average_precision
    np.testing.assert_array_equal(long, plain)


@pytest.mark.parametrize("dtype", [">f4", "<f4", ">f8", np.longdouble])
def test_numbers_of_every_order_of_bytes_and_length_are_the_same(dtype):
    rows, labels = np.random.default_rng(0).normal(size=(2, 20, 3)), np.arange(20) % 3
    rows = rows.astype(np.float32)
    plain = retrieval_scores(*rows, labels, labels).average_precision
    other = retrieval_scores(*rows.astype(dtype), labels.astype(">i8"), labels).average_precision
    np.testing.assert_array_equal(other, plain)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_masked_items_might_as_well_not_exist(seed):
    query, gallery, query_labels, gallery_labels = random_task(seed)
    keep = np.random.default_rng(seed).permutation(len(gallery)) < 30
    masked = retrieval_scores(
        query, gallery, query_labels, gallery_labels, at=(5,), gallery_mask=keep
    )
    absent = retrieval_scores(query, gallery[keep], query_labels, gallery_labels[keep], at=(5,))
    for name in ("average_precision", "ndcg", "num_relevant"):
        np.testing.assert_allclose(getattr(masked, name), getattr(absent, name), atol=1e-6)
    np.testing.assert_array_equal(masked.precision_at[5], absent.precision_at[5])


def test_leaving_the_query_out():
    x, labels = rows(0, 10, 30, 60), [0, 1, 0, 0]
    # Row 0 ranks itself, 1, 2, 3; without itself 1, 2, 3: relevance 0, 1, 1.
    kept = retrieval_scores(x, x, labels, labels)
    left = retrieval_scores(x, x, labels, labels, keep_self=False, block=3)
    assert kept.average_precision[0] == pytest.approx((1 / 1 + 2 / 3 + 3 / 4) / 3)
    assert left.average_precision[0] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert left.average_precision[1] == 0  # the only item of its class
    assert left.num_relevant.tolist() == [2, 0, 2, 2]


def test_queries_without_a_relevant_item_count_as_zero():
    scores = retrieval_scores(rows(0, 0), rows(0, 90), [0, 9], [0, 1])
    assert scores.average_precision.tolist() == [1, 0]
    assert scores.mean_average_precision == 0.5


def test_a_collapsed_space_ranks_by_gallery_index():
    scores = retrieval_scores(np.zeros((2, 3)), np.ones((4, 3)), [0, 1], [1, 0, 0, 1])
    expected = [(1 / 2 + 2 / 3) / 2, (1 / 1 + 2 / 4) / 2]
    assert scores.average_precision == pytest.approx(expected)


def test_diverged_embeddings_have_no_scores():
    query, gallery, query_labels, gallery_labels = random_task(0)
    spoiled = gallery.copy()
    spoiled[3] = np.nan
    with pytest.raises(ValueError, match=r"gallery holds NaN, .* in row 3"):
        retrieval_scores(query, spoiled, query_labels, gallery_labels)
    with pytest.raises(ValueError, match=r"query holds NaN, .* in row 0"):
        retrieval_scores(query.astype(float) * 1e300, gallery, query_labels, gallery_labels)
    mask = np.arange(len(gallery)) != 3
    masked, plain = (
        retrieval_scores(query, x, query_labels, gallery_labels, gallery_mask=mask)
        for x in (spoiled, gallery)
    )
    np.testing.assert_array_equal(masked.average_precision, plain.average_precision)


def test_a_row_without_a_label_is_relevant_to_no_query():
    # From 0 degrees the gallery ranks 0, 1, 2: relevance 0, 1, 1 for class 7; -1 meets nothing.
    scores = retrieval_scores(rows(0, 0), rows(10, 20, 30), [7, -1], [-1, 7, 7])
    assert scores.average_precision == pytest.approx([(1 / 2 + 2 / 3) / 2, 0])
    assert scores.num_relevant.tolist() == [2, 0]
    np.testing.assert_array_equal(scores.per_class([0, -1], 2)[1], np.nan)
    assert chance_level([7, -1], [-1, 7, 7]) == pytest.approx(chance_level([7], [0, 7, 7]) / 2)


COLUMN = np.array([[0], [1], [0], [1]])


@pytest.mark.parametrize(
    ("query_labels", "gallery_labels", "words"),
    [
        (COLUMN[:2], COLUMN, r"shape \(2, 1\): .* give \[2\], as query_labels\[:, 0\]"),
        ([0, 1], COLUMN, r"gallery_labels\[:, 0\]"),
        ([[0, 2], [1, 3]], [[0, 2]] * 4, "no multi-hot labels, of 0 and 1"),
        ([0.0, np.nan], [0, 1, 0, 1], "query_labels are float64"),
        ([0.5, 1.0], [0, 1, 0, 1], "query_labels are float64"),
        ([0, 1], [0, None, 0, 1], "gallery_labels are object"),
        ([0, 1], ["0", "1", "0", "1"], "both as numbers or both as names"),
    ],
)
def test_labels_that_can_mean_two_things_or_nothing_are_refused(
    query_labels, gallery_labels, words
):
    with pytest.raises(ValueError, match=words):
        retrieval_scores(rows(0, 9), rows(1, 2, 3, 4), query_labels, gallery_labels)
    with pytest.raises(ValueError, match=words):
        chance_level(query_labels, gallery_labels)


def test_long_numbers_of_any_kind_are_compared_as_they_are():
    long = 2**63 - 1
    query, gallery = np.array([long], np.uint64), np.array([long - 1, long], np.int64)
    scores = retrieval_scores(rows(0), rows(0, 9), query, gallery)
    assert scores.num_relevant.tolist() == [1]
    assert scores.average_precision.tolist() == [0.5]


def test_the_chance_level_of_nothing_is_refused():
    with pytest.raises(ValueError, match="0 queries against 2 items"):
        chance_level([], [0, 1])
    with pytest.raises(ValueError, match="1 queries against 0 items"):
        chance_level([0], [])
    with pytest.raises(ValueError, match="keep_self=False"):
        chance_level([0], [0, 1], keep_self=False)
    assert chance_level([0], [0], keep_self=False) == 0


def test_the_chance_level_without_a_query_takes_out_what_was_relevant_alone():
    """Labels of the two sides differ: row 0 loses no relevant item, row 1 its only one."""
    found = chance_level([0, 1], [1, 1], keep_self=False)
    # Query 0 has none of its class. Query 1 keeps item 0 of class 1, alone in its gallery.
    assert found == pytest.approx((0 + 1) / 2)
    assert chance_level([0, 2], [1, 0], keep_self=False) == pytest.approx((1 + 0) / 2)


def test_an_ensemble_is_the_concatenation_of_unit_rows():
    rng = np.random.default_rng(0)
    unit = lambda n: (x := rng.standard_normal((3, n, 4))) / np.linalg.norm(x, axis=2)[..., None]
    query, gallery = unit(5), unit(20)
    labels = rng.integers(0, 3, 5), rng.integers(0, 3, 20)
    join = lambda members: np.concatenate(list(members), axis=1)
    scores = retrieval_scores(join(query), join(gallery), *labels)
    mean_cosine = np.mean(query @ gallery.transpose(0, 2, 1), axis=0)
    relevant = labels[0][:, None] == labels[1][None]
    expected = [oracle.average_precision(r[oracle.order(s)]) for s, r in zip(mean_cosine, relevant)]
    np.testing.assert_allclose(scores.average_precision, expected, atol=1e-6)


def test_labels_may_be_names_or_long_numbers():
    query, gallery, query_labels, gallery_labels = random_task(3)
    expected = retrieval_scores(query, gallery, query_labels, gallery_labels).average_precision
    names = np.array(["chair", "bed", "sofa", "desk"])
    for code in (names, np.array([0, 2**32, 2**33, 2**34])):
        scores = retrieval_scores(query, gallery, code[query_labels], code[gallery_labels])
        np.testing.assert_array_equal(scores.average_precision, expected)


def test_scores_per_class():
    scores = retrieval_scores(rows(0, 0, 90), rows(0, 90), [0, 1, 1], [0, 1], at=())
    np.testing.assert_allclose(scores.per_class([0, 1, 1], 3), [1, (1 / 2 + 1) / 2, np.nan])
    both = scores.per_class([[1, 1, 0], [0, 1, 0], [0, 1, 0]], 3)
    np.testing.assert_allclose(both, [1, (1 + 1 / 2 + 1) / 3, np.nan])


def test_rows_are_the_scores_of_some_queries():
    x = np.eye(3, dtype=np.float32)
    every = retrieval_scores(x, x[::-1], [0, 1, 0], [0, 1, 1], at=(1,))
    some = every.rows(np.array([True, False, True]))
    assert some.average_precision.tolist() == every.average_precision[[0, 2]].tolist()
    assert some.precision_at[1].tolist() == [0, 1]
    assert some.num_relevant.tolist() == [1, 1]


def test_chance_level_by_counting_all_orders():
    # One relevant of two: the two orders score 1 and 1/2. Two of three: three orders, as below.
    assert chance_level([0], [0, 1]) == pytest.approx((1 + 1 / 2) / 2)
    three = (1 + (1 + 2 / 3) / 2 + (1 / 2 + 2 / 3) / 2) / 3
    assert chance_level([0], [0, 0, 1]) == pytest.approx(three)
    assert chance_level([0, 5], [0, 0, 1]) == pytest.approx(three / 2)
    assert chance_level([0, 1, 0], [0, 1, 0], keep_self=False) == pytest.approx(3 / 4 * 2 / 3)
    assert chance_level([[1, 1]], [[1, 0], [0, 1], [0, 0]]) == pytest.approx(three)
    assert chance_level([0], [0]) == 1


def test_random_embeddings_score_at_chance():
    rng = np.random.default_rng(0)
    query, gallery = rng.standard_normal((400, 16)), rng.standard_normal((300, 16))
    labels = rng.integers(0, 5, 400), rng.integers(0, 5, 300)
    scores = retrieval_scores(query, gallery, *labels)
    assert scores.mean_average_precision == pytest.approx(chance_level(*labels), abs=0.01)


MISTAKES = {
    "width": (dict(query=np.ones((2, 3))), r"\(2, 3\) and gallery \(4, 2\)"),
    "labels": (dict(query_labels=[0]), "1 labels for 2 queries"),
    "k": (dict(at=(0,)), "at holds 0"),
    "fraction of a rank": (dict(at=(2.5,)), "a rank of at is 2.5"),
    "one rank": (dict(at=5), r"at is 5; give a tuple of numbers of ranks, such as \(5,\)"),
    "infinite rank": (dict(at=(np.inf,)), "a rank of at is inf"),
    "no query": (dict(query=np.ones((0, 2)), query_labels=[]), "no queries"),
    "nothing there": (dict(gallery_mask=[False] * 4), "2 queries against 0 items"),
    "mask of weights": (dict(gallery_mask=[0.5, 1, 1, 0]), "gallery_mask holds 0.5"),
    "no width": (dict(query=np.ones((2, 0)), gallery=np.ones((4, 0))), "rows of real numbers"),
    "block": (dict(block=0), "block is 0"),
    "self": (dict(keep_self=False), "2 queries and 4 items"),
    "mask": (dict(gallery_mask=[True]), r"shape \(1,\)"),
    "empty": (dict(gallery=np.ones((0, 2)), gallery_labels=[]), "against 0 items"),
    "forms": (dict(query_labels=np.ones((2, 3))), "multi-hot"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_argument_is_named(mistake):
    changed, words = MISTAKES[mistake]
    arguments = dict(
        query=np.ones((2, 2)),
        gallery=np.ones((4, 2)),
        query_labels=[0, 1],
        gallery_labels=[0, 1, 0, 1],
    )
    with pytest.raises(ValueError, match=words):
        retrieval_scores(**arguments | changed)
