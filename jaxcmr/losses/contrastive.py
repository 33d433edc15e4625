"""Contrastive losses over paired modalities: without labels, with labels, with doubtful labels.

All of them compare the embeddings `z` of V modalities by `S_ij = exp(<z_i, z_j> / temperature)`;
an anchor i is drawn to its positives among the rows of its contrast set. They differ only in those
two sets:

| loss | positives of anchor i | contrast set of anchor i |
|---|---|---|
| `multimodal_contrastive` | its instance, other modalities | all other rows |
| `supervised_contrastive` | all other rows of its class | all other rows |
| `cross_modal_supervised_contrastive` | rows of its class, other modalities | other modalities |
| `denoising_contrastive` | its instance, and rows of its accepted class, other modalities | \
positives, and rows that do not share its accepted class |

Values are per anchor, `[V, B]`; the papers' losses are the mean over all V * B entries. A
`UsageError` names shapes that do not fit and numbers that are out of range. Arguments that all of
them share:

* `embeddings [V, B, d]`: row b of every modality shows the same thing.
* `temperature`: positive.
* `present [V, B]`: False for padding and for missing items. Such a row gives 0 and is neither
  positive nor negative of any anchor. An anchor without a present positive gives 0.
* `normalize`: divide the embeddings by their length first (a zero embedding stays zero; MRL's
  networks return unit rows already). Without it they are taken as they are.
* `block_size`, `axis_name`: memory linear in the batch, and negatives of all devices inside
  `shard_map`; the value is the same (see `anchors.map_anchors`). Under `jit` with sharded arrays
  neither is needed: the plain call already sees the global batch.
"""

from collections.abc import Callable

import jax.numpy as jnp

from jaxcmr import guards
from jaxcmr.losses.anchors import Rows, map_anchors, paired_rows, similarities
from jaxcmr.numerics import weighted_logsumexp
from jaxcmr.shapes import Array, Bool, Float, Integer, ScalarLike


def multimodal_contrastive(
    embeddings: Float[Array, "v b d"],
    *,
    temperature: ScalarLike,
    present: Bool[Array, "v b"] | None = None,
    normalize: bool = True,
    intra_modal_weight: ScalarLike = 1.0,
    block_size: int | None = None,
    axis_name: str | None = None,
) -> Float[Array, "v b"]:
    """Compute the pair contrast, which needs no label (RONO's MG, MRL's MC, RoMo's MLM).

        -2 log( sum_{partners j of i} S_ij / sum_{j != i} S_ij )

    The partners of i are the V - 1 embeddings of its instance in the other modalities.

    Args:
        embeddings, temperature, present, ...: shared by all losses here, see the module.
        intra_modal_weight: factor of the anchor's own modality in the denominator; 1 is the
            papers' loss, 0 is twice the symmetric InfoNCE of CLIP (for two modalities).

    Returns:
        `[V, B]`. The factor 2 is that of the released codes, which add the same ratio by rows and
        by columns.

    Example:
        >>> z = jnp.stack([jnp.eye(2), jnp.eye(2)])  # two pairs of equal rows
        >>> print(losses.multimodal_contrastive(z, temperature=1.0).mean())  # -2 log(e / (e + 2))
        1.1028893

    References:
        Hu et al.: Learning cross-modal retrieval with noisy labels (MRL), CVPR 2021, eq. 4. Feng
        et al.: RONO, CVPR 2023 (multimodal gap). Li et al.: RoMo, IEEE TIP 2024.
    """
    _check_numbers(temperature, intra_modal_weight)
    rows = paired_rows(embeddings, present=present, normalize=normalize)

    def value_of(anchor: Rows, columns: Rows) -> Float[Array, ""]:
        partners = columns.present & anchor.is_pair_of(columns)
        contrast = _contrast_weights(anchor, columns, intra_modal_weight)
        scores = similarities(anchor, columns, temperature)
        ratio = _log_sum(scores, contrast) - _log_sum(scores, partners)
        return jnp.where(jnp.any(partners), 2.0 * ratio, 0.0)

    return map_anchors(value_of, rows, block_size=block_size, axis_name=axis_name)


def supervised_contrastive(
    embeddings: Float[Array, "v b d"],
    labels: Integer[Array, "b"],
    *,
    temperature: ScalarLike,
    present: Bool[Array, "v b"] | None = None,
    normalize: bool = True,
    block_size: int | None = None,
    axis_name: str | None = None,
) -> Float[Array, "v b"]:
    """Compute the supervised contrastive loss over the rows of all modalities.

        -1 / |P_i| sum_{p in P_i} log( S_ip / sum_{j != i} S_ij ),   P_i = {p != i: y_p = y_i}

    Args:
        embeddings, temperature, present, ...: shared by all losses here, see the module.
        labels: `[B]` classes, shared by the modalities; negative where an instance has none: its
            positives are then its other modalities alone.

    Example:
        >>> z, labels = jnp.stack([jnp.eye(2), jnp.eye(2)]), jnp.array([0, 0])
        >>> values = losses.supervised_contrastive(z, labels, temperature=1.0)
        >>> print(values.mean())  # log(e + 2) - 1 / 3
        1.2181113

    References:
        Khosla et al.: Supervised contrastive learning, NeurIPS 2020, eq. 2 (mean outside the
        logarithm), without its factor of temperature over base temperature.
    """
    _check_numbers(temperature)
    rows = paired_rows(embeddings, present=present, normalize=normalize, labels=labels)

    def sets(anchor: Rows, columns: Rows):
        others = columns.present & ~anchor.is_row(columns)
        related = anchor.shares_label_with(columns) | anchor.is_pair_of(columns)
        return others & related, others

    return _mean_log_ratio(sets, rows, temperature, block_size=block_size, axis_name=axis_name)


def cross_modal_supervised_contrastive(
    embeddings: Float[Array, "v b d"],
    labels: Integer[Array, "b"],
    *,
    temperature: ScalarLike,
    present: Bool[Array, "v b"] | None = None,
    normalize: bool = True,
    intra_modal_weight: ScalarLike = 0.0,
    block_size: int | None = None,
    axis_name: str | None = None,
) -> Float[Array, "v b"]:
    """Compute the supervised contrastive loss across modalities.

        -1 / |P_i| sum_{p in P_i} log( S_ip / sum_{j in D_i} S_ij )

    `P_i` are the rows of i's class in the other modalities, `D_i` all rows of the other
    modalities. With all labels distinct and two modalities it is the symmetric InfoNCE.
    `denoising_contrastive` with every label accepted at weight 1.

    Args:
        embeddings, temperature, present, ...: shared by all losses here, see the module.
        labels: `[B]` classes, shared by the modalities; negative where an instance has none: its
            positives are then its other modalities alone.
        intra_modal_weight: above 0, `D_i` takes in the rows of the anchor's own modality that are
            of another class, with this factor.

    Example:
        >>> z, labels = jnp.stack([jnp.eye(2), jnp.eye(2)]), jnp.array([0, 0])
        >>> values = losses.cross_modal_supervised_contrastive(z, labels, temperature=1.0)
        >>> print(values.mean())  # log(e + 1) - 1 / 2
        0.8132616

    References:
        Khosla et al.: Supervised contrastive learning, NeurIPS 2020, eq. 2, between modalities.
    """
    return denoising_contrastive(
        embeddings,
        labels,
        temperature=temperature,
        present=present,
        normalize=normalize,
        intra_modal_weight=intra_modal_weight,
        block_size=block_size,
        axis_name=axis_name,
    )


def denoising_contrastive(
    embeddings: Float[Array, "v b d"],
    labels: Integer[Array, "b"],
    weights: Float[Array, "b"] | None = None,
    *,
    temperature: ScalarLike,
    present: Bool[Array, "v b"] | None = None,
    normalize: bool = True,
    intra_modal_weight: ScalarLike = 1.0,
    block_size: int | None = None,
    axis_name: str | None = None,
) -> Float[Array, "v b"]:
    """Compute the denoising cross-modal contrastive loss of MMCD (reconstruction).

        -sum_{p in P_i} w_ip log( S_ip / sum_{j in D_i} S_ij ) / sum_{p in P_i} w_ip

    `P_i` are, in the other modalities, the instance of i with `w_ip = 1` and the rows whose
    accepted label is that of i with `w_ip = weights_i weights_p`. `D_i` are `P_i` and all other
    rows that do not share an accepted label with i: rows of its class and modality are neither
    drawn near nor pushed away. Two limits are exact:

    * nothing accepted: `multimodal_contrastive` of two modalities, without its factor 2 (with
      more, that one takes the logarithm of the partners' sum, this one the mean of logarithms);
    * everything accepted at weight 1: `cross_modal_supervised_contrastive` with the same
      `intra_modal_weight`.

    Args:
        embeddings, temperature, present, ...: shared by all losses here, see the module.
        labels: `[B]` accepted or clarified classes; negative where no label is accepted.
        weights: `[B]` trust in the labels, in [0, 1]; no gradient should go to them. 1 if None.
        intra_modal_weight: factor of the anchor's own modality in the denominator.

    Example:
        >>> z, labels = jnp.stack([jnp.eye(2), jnp.eye(2)]), jnp.array([-1, -1])
        >>> values = losses.denoising_contrastive(z, labels, temperature=1.0)
        >>> print(values.mean())  # -log(e / (e + 2))
        0.55144465

    References:
        Wu et al.: MMCD, Multimedia Systems 32:57, 2026. Only its abstract is public; this is a
        reconstruction of its denoising contrastive mechanism, not the authors' equation.
    """
    _check_numbers(temperature, intra_modal_weight)
    rows = paired_rows(
        embeddings, present=present, normalize=normalize, labels=labels, weights=weights
    )

    def sets(anchor: Rows, columns: Rows):
        across = columns.present & (anchor.modality != columns.modality)
        partner = anchor.is_pair_of(columns)
        trust = jnp.where(anchor.shares_label_with(columns), anchor.weight * columns.weight, 0.0)
        positive = jnp.where(across, jnp.where(partner, 1.0, trust), 0.0)
        # A row of the same class in another modality is a positive even if its weight is 0.
        distractor = ~anchor.shares_label_with(columns)
        contrast = _contrast_weights(anchor, columns, intra_modal_weight)
        return positive, jnp.where(across | distractor, contrast, 0.0)

    return _mean_log_ratio(sets, rows, temperature, block_size=block_size, axis_name=axis_name)


def _mean_log_ratio(
    sets: Callable[[Rows, Rows], tuple[Array, Array]],
    rows: Rows,
    temperature: ScalarLike,
    *,
    block_size: int | None,
    axis_name: str | None,
) -> Float[Array, "v b"]:
    """`-sum_p w_p log(S_ip / sum_j a_j S_ij) / sum_p w_p`, where `sets` gives `w` and `a`."""

    def value_of(anchor: Rows, columns: Rows) -> Float[Array, ""]:
        positive, contrast = sets(anchor, columns)
        scores = similarities(anchor, columns, temperature)
        total = jnp.sum(positive)
        # Divided before it is summed, so that a single positive keeps its score to the last bit.
        shares = positive / jnp.where(total > 0, total, 1.0)
        ratio = _log_sum(scores, contrast) - jnp.sum(shares * scores)
        return jnp.where(total > 0, ratio, 0.0)

    return map_anchors(value_of, rows, block_size=block_size, axis_name=axis_name)


def _check_numbers(temperature: ScalarLike, intra_modal_weight: ScalarLike = 1.0) -> None:
    guards.check_positive("temperature", temperature)
    guards.check_range("intra_modal_weight", intra_modal_weight, 0.0)


def _contrast_weights(anchor: Rows, columns: Rows, intra_modal_weight: ScalarLike) -> Array:
    """Returns the weights of the columns in the denominator; 0 for the anchor and absent rows."""
    weights = jnp.where(anchor.modality == columns.modality, intra_modal_weight, 1.0)
    return jnp.where(columns.present & ~anchor.is_row(columns), weights, 0.0)


def _log_sum(scores: Array, weights: Array) -> Float[Array, ""]:
    return weighted_logsumexp(scores, weights, axis=(0, 1))
