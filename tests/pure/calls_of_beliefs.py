"""Calls of the functions that vote on labels and replace them."""

from typing import Any

import extremes as x
import jax
import jax.numpy as jnp
import numpy as np
from extremes import CLASSES, MEMBERS, ROWS, STORED, WIDTH
from table import (
    CLASS,
    FEATURES,
    KEY,
    LOGITS,
    PRESENT,
    TABLE,
    VOTERS,
    call,
    everything,
    exempt,
    normal,
    softmax,
)

from jaxcmr import noise
from jaxcmr.beliefs import (
    clarify,
    diagnosis,
    error_scores,
    folds,
    label_errors,
    label_votes,
    linear_judge,
    memory,
    mixture,
    pooling,
    posterior,
    votes,
)
from jaxcmr.noise import injection, record, transition


def _voting(**arguments: Any) -> jax.Array:
    """Returns which of the members, all of them alive, vote on which rows."""
    return folds.draw(alive=jnp.ones(MEMBERS, bool), **arguments).voting


BANK = {"bank": x.plain(normal(STORED, WIDTH)), "index": x.index([6, 0, 2, 3, 4])}
ENTRIES = {"values": x.scores(FEATURES), "mask": x.mask(everything(ROWS))}
DECAY = {"decay": x.number(0.9, 0, 1)}
call(memory.ema_rows, **BANK, **ENTRIES, **DECAY)
call(memory.ema_unit_rows, **BANK, **ENTRIES, **DECAY)
call(memory.start, shape=(STORED,), value=x.number(1.0))
VOTES = softmax(normal(ROWS, ROWS - 1)).max(-1)
call(
    memory.remember,
    memory=memory.start((STORED,)),
    index=x.index([6, 0, 2, 3, 4]),
    values=x.scores(VOTES),
    mask=x.mask(everything(ROWS)),
    **DECAY,
)
exempt("plain indexing inside a step", memory.read, memory.write)

call(votes.ballots, logits=x.scores(VOTERS), labels=x.labels(CLASS))
call(votes.votes, logits=x.scores(VOTERS))
VOTING = {"present": x.mask(PRESENT), "alive": everything(MEMBERS)}
call(votes.ensemble_mean, values=x.scores(VOTERS), **VOTING)
call(votes.peer_mean, values=x.scores(VOTERS), **VOTING)
call(
    votes.accept,
    scores=x.scores(VOTES),
    labels=x.labels(CLASS),
    thresholds=x.plain(np.full(CLASSES, 0.5, np.float32)),
    mask=x.mask(everything(ROWS)),
)

PROPOSALS = {"proposals": x.labels([0, 1, -1, 1, 2], x.FINE)}
SHARES = softmax(LOGITS)
call(
    clarify.propose,
    shares=x.scores(SHARES),
    confidence=x.scores(SHARES),
    min_share=x.number(0.4),
    min_confidence=x.number(0.4),
)
call(
    clarify.clarify,
    labels=x.ids(CLASS),
    accepted=x.mask(everything(ROWS)),
    proposals=x.ids([0, 1, -1, 1, 2]),
    trusted=True,
)
call(
    clarify.count_agreement,
    proposals=x.ids([0, 1, -1, 1, 2]),
    labels=x.ids(CLASS),
    held_out=x.mask(everything(ROWS)),
)
AGREEMENT = clarify.Agreement(np.float32(5), np.float32(9))
ESTIMATE = {"noise_rate": x.number(0.4, 0, 1), "num_classes": x.whole(CLASSES, 2)}
call(clarify.rule_precision, agreement=AGREEMENT, **ESTIMATE, z=x.number(1.645, 0))
call(clarify.relabel_precision, agreement=AGREEMENT, **ESTIMATE, z=x.number(1.645, 0))
call(
    clarify.most_confident,
    **PROPOSALS,
    confidence=x.scores(SHARES, x.FINE),
    rows=x.mask(everything(ROWS), x.FINE),
    share=x.number(0.5, 0, 1),
)

exempt("reports of what a run found", diagnosis.pseudo_labels, diagnosis.believed_labels)
exempt("reports of what a run found", diagnosis.posterior_labels, diagnosis.majority_class)

BY_KEY = {"key": KEY, "index": x.free(x.ids(range(ROWS)))}
call(folds.row_draws, **BY_KEY)
call(
    folds.draw,
    voters="out_of_fold",
    **BY_KEY,
    held_out_members=x.number(1, 1),
    held_out_share=x.number(0.2, 0, 1),
)
TABLE["beliefs.folds.draw"] = TABLE["beliefs.folds.draw"]._replace(function=_voting)
exempt("means of votes, see `votes.ensemble_mean`", folds.vote_mean)

LOSSES = np.array([0.1, 0.2, 1.5, 0.15, 1.7], np.float32)
call(
    mixture.fit_mixture,
    values=x.scores(LOSSES, x.FINE),
    mask=x.mask(everything(ROWS), x.FINE),
    max_iterations=x.whole(20, 0),
    tolerance=x.number(1e-5, 0),
    floor=x.number(1e-6, 0),
)
TWO = mixture.Mixture(np.float32([0.1, 1.5]), np.float32([0.1, 0.1]), np.float32([0.5, 0.5]), 1)
call(mixture.low_posterior, mixture=TWO, values=x.scores(LOSSES))

call(
    noise.inject,
    labels=x.free(x.given(CLASS)),
    num_classes=x.whole(CLASSES, 2),
    rate=x.number(0.4, 0, 1),
    seed=x.whole(0, 0),
)
call(
    noise.inject_open_set,
    labels=x.free(x.given(CLASS)),
    num_classes=x.whole(CLASSES, 2),
    open_classes=x.whole(1, 1),
    rate=x.number(0.4, 0, 1),
    seed=x.whole(0, 0),
)
call(injection.check_rate, rate=x.number(0.4, 0, 1))
call(injection.generators, seed=x.whole(0, 0), modalities=("image",))
call(noise.class_map_from_names, names={"a": "b"}, class_names=("a", "b"))
exempt("readers of files", noise.from_file, record.read_arrays)
MATRIX = np.float32([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
call(
    transition.inject_transition,
    labels=x.free(x.given(CLASS)),
    transition=MATRIX,
    seed=x.whole(0, 0),
)
call(transition.estimate_transition, labels=x.given(CLASS), posterior=x.distributions(SHARES))

BELIEFS = {
    "beliefs": x.scores(SHARES),
    "labels": x.labels(CLASS),
    "transition": x.plain(MATRIX),
}
call(
    posterior.count_transitions,
    proposals=x.labels([0, 1, -1, 1, 2]),
    labels=x.labels(CLASS),
    num_classes=x.whole(CLASSES),
)
call(posterior.transition, counts=x.plain(np.eye(CLASSES, dtype=np.float32)), prior=x.number(2, 0))
call(posterior.likelihood, **BELIEFS)
call(posterior.label_posterior, **BELIEFS)

FOUND = {"predictions": x.distributions(SHARES, x.FINE), "given": x.labels(CLASS, x.FINE)}
call(label_errors.judge, **FOUND)
exempt("parts of `label_errors.judge`", label_errors.judge_logits, label_errors.posterior)
exempt("parts of `label_errors.judge`", label_errors.transition, label_errors.softmax)
exempt("reads a `Judgement`", label_errors.none_of_these, label_errors.noise_rate)
exempt("a sort", label_errors.suspicion_order)
exempt("of the outputs of a run", label_votes.votes, label_votes.agreement)
exempt("of the outputs of a run", label_votes.mean_predictions, label_votes.votes_of_neighbors)
exempt("of the items of a run", linear_judge.out_of_fold_logits, linear_judge.scaled)
exempt("of the judges of a run", pooling.pooled)
exempt("reports of an audit", error_scores.roc_auc, error_scores.average_precision)
exempt("reports of an audit", error_scores.precision_at, error_scores.reliability)
exempt("reports of an audit", error_scores.calibration_error)
