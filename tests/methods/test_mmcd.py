"""MMCD: the posteriors of the labels by hand, and the loss made of them."""

import jax
import jax.numpy as jnp
import numpy as np
import paired_batch
import pytest

from jaxcmr import losses, methods
from jaxcmr.errors import UsageError
from jaxcmr.methods import Outputs

MEMBERS, CLASSES = 3, 4
LABELS = [0, 1, 2, 3]
ALL_ALIVE = jnp.ones(MEMBERS, bool)
NUMBERS = {"warmup_epochs": 1, "label_weight": 0.5}


def _method(**numbers):
    choices = {name: value for name, value in (NUMBERS | numbers).items() if isinstance(value, str)}
    return paired_batch.jitted("mmcd", MEMBERS, **choices)


def _hp(**numbers):
    return paired_batch.hp("mmcd", **NUMBERS | numbers)


def _outputs(logits) -> Outputs:
    embeddings = jax.random.normal(jax.random.key(0), (*logits.shape[:2], 5))
    return Outputs(jnp.stack([embeddings] * 2, 1), jnp.stack([logits] * 2, 1))


def _vote(
    logits,
    epoch=3,
    beliefs=None,
    labels=LABELS,
    mask=None,
    fraction=0.0,
    alive=ALL_ALIVE,
    **numbers,
):
    method = _method(**numbers)
    beliefs = method.beliefs(8, CLASSES) if beliefs is None else beliefs
    batch, progress = paired_batch.batch(labels, mask), paired_batch.progress(epoch, fraction)
    return method.vote(_outputs(logits), alive, beliefs, batch, progress, _hp(**numbers))


def _draw(seed=1):
    return 2.0 * jax.random.normal(jax.random.key(seed), (MEMBERS, 4, CLASSES))


def _sure(classes, members=MEMBERS):
    """All members are sure of these classes."""
    logits = 5.0 * jax.nn.one_hot(jnp.array(classes), CLASSES)
    return jnp.broadcast_to(logits, (members, *logits.shape))


def test_in_the_warm_up_members_are_trained_on_given_labels_except_hidden_ones():
    _, targets = _vote(_draw(), epoch=0)
    trained = np.asarray(targets.posterior.sum(-1) > 0)  # [E, B]
    np.testing.assert_array_equal(trained.sum(0), MEMBERS - 1)
    expected = np.eye(CLASSES)[None] * trained[..., None]
    np.testing.assert_array_equal(targets.posterior, expected)
    assert (targets.positives == -1).all() and (targets.weights == 0).all()


def test_the_member_that_a_label_is_hidden_from_votes_alone_and_is_not_trained_on_it():
    logits = _draw()
    _, targets = _vote(logits)
    trained = np.asarray(targets.posterior.sum(-1) > 0)
    np.testing.assert_array_equal(trained.sum(0), MEMBERS - 1)
    np.testing.assert_array_equal(targets.positives >= 0, trained)
    for row, voter in enumerate((~trained).argmax(0)):
        others = jnp.arange(MEMBERS) != voter
        louder = jnp.where(others[:, None], logits[:, row] + 3.0, logits[:, row])
        _, same = _vote(logits.at[:, row].set(louder))
        np.testing.assert_allclose(same.posterior, targets.posterior, rtol=1e-5)


def test_confident_votes_are_counted_by_given_label_as_sums():
    """All rows count; each of the four labels was predicted, twice, with decay 1."""
    numbers = {"confident_share": 1.0, "transition_decay": 1.0}
    beliefs, _ = _vote(_sure(LABELS), **numbers)
    beliefs, _ = _vote(_sure(LABELS), beliefs=beliefs, **numbers)
    np.testing.assert_allclose(beliefs.transitions, [2 * np.eye(CLASSES)] * MEMBERS)
    np.testing.assert_allclose(beliefs.counted, 8)


def test_the_posterior_by_hand():
    """Twenty rounds, one label of four against the votes: class 3 was given as 0 each time.

    With 5 pseudo-counts a class, of which m_0 = (40 + 1) / (80 + 4) are for the label 0:
    T_00 = T_30 = (20 + 5 m_0) / 25, and T_k0 = 5 m_0 / 25 for k = 1, 2. Logits are 3.75 for
    the class voted for and -1.25 for the others, of which the sharpness is chosen.
    """
    numbers = {"confident_share": 1.0, "transition_decay": 1.0}
    beliefs = None
    for _ in range(20):
        beliefs, targets = _vote(_sure(LABELS), beliefs=beliefs, labels=[0, 1, 2, 0], **numbers)
    given = (np.array([20, 0, 0, 20]) + 5 * 41 / 84) / 25
    fitted = 4.0  # the sharpest: votes always fit the labels of their class
    p = np.exp(fitted * np.array([-1.25, -1.25, -1.25, 3.75]))
    q = p * given / (p * given).sum()
    member = int(np.asarray(targets.posterior[:, 3].sum(-1)).argmax())
    np.testing.assert_allclose(targets.posterior[member, 3], q, atol=1e-6)
    np.testing.assert_array_equal(targets.positives[member, 3], 3)
    np.testing.assert_allclose(targets.weights[member, 3], q[3], rtol=1e-5)


def test_the_mean_of_a_class_over_the_batch_does_not_matter():
    _, targets = _vote(_draw())
    _, leaning = _vote(_draw() + jnp.array([[[0.0, 9.0, 0.0, 0.0]]]))
    np.testing.assert_allclose(leaning.posterior, targets.posterior, rtol=1e-3)


def test_frozen_beliefs_stay_as_they_are_and_reach_every_member():
    """Other votes do not change them; up to then each label was hidden from one member."""
    beliefs, before = _vote(_draw(), fraction=0.7, freeze_from=0.75)
    other = {"beliefs": beliefs, "fraction": 0.75, "freeze_from": 0.75}
    after, targets = _vote(_sure([3, 3, 3, 3]), **other)
    after = after.replace(classes=beliefs.classes)
    jax.tree.map(np.testing.assert_array_equal, after, beliefs)
    trained = before.posterior.sum(-1, keepdims=True) > 0
    np.testing.assert_allclose(
        jnp.where(trained, targets.posterior, 0), before.posterior, rtol=1e-5
    )
    np.testing.assert_allclose(targets.posterior.sum(-1), 1, rtol=1e-5)
    np.testing.assert_array_equal(targets.positives, targets.posterior.argmax(-1))


def test_where_beliefs_freeze_the_votes_from_before_are_remembered(real_config):
    """Then no member is left that was not trained on a label; its remembered votes were."""
    config = real_config("mmcd_mnist3d")
    assert config.method.freeze_from == 0.75
    method = methods.build(config)
    beliefs = method.beliefs(4, 3)
    votes = np.arange(12.0).reshape(3, 4)  # [K, N]
    value = jnp.broadcast_to(jnp.asarray(votes), beliefs.logits.value.shape)
    beliefs = beliefs.replace(logits=beliefs.logits._replace(value=value))
    np.testing.assert_allclose(method.remembered(beliefs), votes.T)
    config.method.freeze_from = 1.0
    assert methods.build(config).remembered is None


def test_padding_is_neither_counted_nor_a_target():
    mask = np.array([True, True, True, False])
    beliefs, targets = _vote(_draw(), mask=mask, confident_share=1.0)
    np.testing.assert_allclose(beliefs.transitions.sum((1, 2)), 3)
    np.testing.assert_array_equal(targets.posterior[:, 3], 0)
    _, other = _vote(_draw().at[:, 3].set(7.0), mask=mask, confident_share=1.0)
    np.testing.assert_allclose(other.posterior, targets.posterior, rtol=1e-5)


def test_the_order_of_members_does_not_matter():
    _, targets = _vote(_draw(), voters="peers", held_out_share=0.0)
    order = jnp.array([2, 0, 1])
    _, turned = _vote(_draw()[order], voters="peers", held_out_share=0.0)
    for one, other in zip(jax.tree.leaves(targets), jax.tree.leaves(turned)):
        np.testing.assert_allclose(one[order], other, rtol=1e-5)


def test_the_label_term_is_the_expected_loss():
    _, targets = _vote(_draw())
    member = lambda tree: jax.tree.map(lambda leaf: leaf[0], tree)
    outputs, targets = member(_outputs(_draw())), member(targets)
    batch, progress = paired_batch.batch(LABELS), paired_batch.progress(3)
    terms = _method().losses(outputs, batch, targets, progress, _hp())
    logits, q = outputs.logits[0], targets.posterior
    linear = q.sum(-1) * logits.mean(-1) - (q * logits).sum(-1)
    np.testing.assert_allclose(terms["label"], 2 * 0.5 * linear, rtol=1e-4, atol=1e-6)
    contrast = losses.denoising_contrastive(
        outputs.embeddings, targets.positives, targets.weights, temperature=0.22
    )
    np.testing.assert_allclose(terms["dcl"], contrast.mean(0), rtol=1e-5)


def test_a_missing_item_has_no_vote_and_no_gradient_whatever_its_values():
    there = np.array([True, True, False, True])
    batch, progress = paired_batch.batch(LABELS, text=there), paired_batch.progress(3)
    outputs, method, hp = _outputs(_draw()), _method(), _hp()

    def gradients(text):
        spoiled = jax.tree.map(lambda leaf: leaf.at[:, 1, 2].set(text), outputs)
        beliefs = method.beliefs(8, CLASSES)
        _, targets = method.vote(spoiled, ALL_ALIVE, beliefs, batch, progress, hp)
        one, targets = jax.tree.map(lambda leaf: leaf[0], (spoiled, targets))
        total = lambda one: sum(
            term.sum() for term in method.losses(one, batch, targets, progress, hp).values()
        )
        return jax.grad(total)(one)

    plain, spoiled = gradients(0.0), gradients(1e6)
    for one, other in zip(jax.tree.leaves(plain), jax.tree.leaves(spoiled)):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
        np.testing.assert_array_equal(other[1, 2], 0)


def test_a_dead_member_has_no_vote():
    """Two members are left: each row's vote is that of the one that its label is hidden from."""
    logits, alive = _draw().at[1].set(jnp.nan), jnp.array([True, False, True])
    beliefs, targets = _vote(logits, alive=alive)
    for leaf in jax.tree.leaves((beliefs, targets)):
        assert np.isfinite(leaf).all()
    trained = np.asarray(targets.posterior.sum(-1) > 0)[[0, 2]]
    np.testing.assert_array_equal(trained.sum(0), 1)
    voter = np.array([0, 2])[(~trained).argmax(0)]
    voted = np.asarray(logits)[voter, np.arange(4)]  # [B, K]
    expected = np.tile((voted - voted.mean(0)).T, (MEMBERS, 1, 1))
    np.testing.assert_allclose(beliefs.logits.value[..., :4], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(beliefs.classes[1], -1)
    np.testing.assert_array_equal(beliefs.classes[2, 0, :4], logits[2].argmax(-1))


def test_a_last_member_votes_alone_and_is_trained_on_what_is_not_held_out():
    logits, alive = _draw().at[jnp.array([0, 2])].set(jnp.nan), jnp.array([False, True, False])
    beliefs, targets = _vote(logits, alive=alive, held_out_share=0.0)
    one = np.asarray(logits[1])
    one = one - one.mean(0)
    np.testing.assert_allclose(beliefs.logits.value[1, :, :4], one.T, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(targets.posterior[1].sum(-1), 1.0, rtol=1e-5)
    np.testing.assert_array_equal(beliefs.counted, 0)
    _, hidden = _vote(logits, alive=alive, held_out_share=1.0)
    np.testing.assert_array_equal(hidden.posterior, 0)


def test_freezing_in_the_warm_up_is_a_sentence():
    config = paired_batch.config("mmcd", MEMBERS, epochs=2, **NUMBERS, freeze_from=0.1)
    with pytest.raises(UsageError, match=r"freeze_from is 0.1, but the warm-up lasts 0.50"):
        methods.build(config)


@pytest.mark.parametrize("voters", ["out_of_fold", "peers"])
def test_what_is_said_to_be_hidden_is_what_members_are_not_trained_on(voters):
    numbers = {"voters": voters, "held_out_share": 0.5}
    method, hp = _method(**numbers), _hp(**numbers)
    hidden = np.asarray(method.hidden(jnp.arange(8), ALL_ALIVE, hp))
    assert 0 < hidden.mean() < 1
    for rows in (jnp.arange(4), jnp.arange(4, 8)):
        _, targets = method.vote(
            _outputs(_draw()), ALL_ALIVE, method.beliefs(8, CLASSES),
            paired_batch.batch(LABELS).replace(index=rows), paired_batch.progress(0), hp,
        )  # fmt: skip
        np.testing.assert_array_equal(targets.posterior.sum(-1) == 0, hidden[:, rows])
