"""Losses against class centers in the common space.

They take

* `embeddings [n, d]`: rows of all modalities, one below the other;
* `labels [n]`: class of each row in `0..K-1`; negative where a row has no label;
* `centers [K, d]`: learnable class centers;

and return `[n]`: 0 for rows without a label, NaN for labelled rows that hold NaN or infinity;
neither sends a gradient back. They raise a `UsageError` if shapes do not fit, labels are no
classes, or a number is out of range.
"""

import jax.numpy as jnp
from jax import lax

from jaxcmr import guards
from jaxcmr.losses.classification import focal
from jaxcmr.numerics import at_least_float32, unit_rows
from jaxcmr.shapes import Array, Float, Integer, ScalarLike


def warmup_ramp(epoch: ScalarLike, warmup_epochs: ScalarLike) -> Float[Array, ""]:
    """Compute RONO's ramp from the warm-up to the robust loss, `v` of `robust_center`.

        v = min(epoch / (warmup_epochs - 1), 1)

    Args:
        epoch: counted from 0; may be a fraction.
        warmup_epochs: length of the warm-up; with one epoch or none the ramp is 1 from the start
            (the released code divides by zero there).

    Returns:
        A scalar in [0, 1].

    Example:
        >>> print([float(losses.warmup_ramp(epoch, 5)) for epoch in (0, 1, 4, 9)])
        [0.0, 0.25, 1.0, 1.0]
    """
    guards.check_range("epoch", epoch)
    guards.check_range("warmup_epochs", warmup_epochs)
    dtype = jnp.result_type(float)
    steps = jnp.asarray(warmup_epochs, dtype) - 1.0
    share = jnp.asarray(epoch, dtype) / jnp.where(steps > 0, steps, 1.0)
    return jnp.where(steps > 0, jnp.clip(share, 0.0, 1.0), 1.0)


def robust_center(
    embeddings: Float[Array, "n d"],
    labels: Integer[Array, "n"],
    centers: Float[Array, "k d"],
    *,
    ramp: ScalarLike,
    tau1: ScalarLike,
    tau2: ScalarLike,
    margin: ScalarLike,
) -> Float[Array, "n"]:
    """Compute RONO's robust discriminative center loss (RDC).

        c_k = centers_k / ||centers_k||,   z_i = embeddings_i / ||embeddings_i||
        m_i = <mean_k c_k, z_i>,           s_i = <c_{y_i}, z_i>
        L1_i = (exp(m_i) - exp((K + 1) / K s_i)) / tau1
        L2_i = -|exp(m_i) - exp(s_i) + margin| / tau2
        RDC_i = (1 - ramp) L1_i + ramp L2_i

    L1 draws every row to the center of its label. L2 draws a row there if it is already close,
    `exp(s_i) > exp(m_i) + margin`, and otherwise takes the label for wrong and pushes it away.

    Args:
        embeddings, labels, centers: rows and centers are normalised here. The mean of the centers
            is neither normalised again nor detached, so classes that are absent from the batch get
            a gradient too.
        ramp: 0 is L1 alone, 1 is L2 alone; see `warmup_ramp`.
        tau1: temperature of L1.
        tau2: temperature of L2.
        margin: how much closer than the mean center a trusted row has to be.

    Returns:
        `[n]`, not bounded below by 0: L1 and L2 are both minimised at negative values. The paper
        takes the mean over the rows.

    Example:
        >>> rows, centers = jnp.eye(2), jnp.eye(2)
        >>> options = dict(ramp=1.0, tau1=0.5, tau2=0.5, margin=0.2)
        >>> print(losses.robust_center(rows, jnp.array([0, -1]), centers, **options))
        [-1.7391211  0.       ]

    References:
        Feng et al.: RONO, robust discriminative learning with noisy labels for 2D-3D cross-modal
        retrieval, CVPR 2023, section 3.3. The two released versions swap the names of the two
        temperatures; here tau1 is always that of L1.
    """
    guards.check_range("ramp", ramp, 0.0, 1.0)
    guards.check_range("margin", margin)
    guards.check_positive("tau1", tau1)
    guards.check_positive("tau2", tau2)
    labels, rows, sound = _labelled(embeddings, labels, centers)
    rows, centers = unit_rows(rows), unit_rows(centers)
    classes = centers.shape[0]
    to_label = jnp.sum(rows * _centers_of(labels, centers), axis=-1)
    to_mean = jnp.matmul(rows, jnp.mean(centers, axis=0), precision=lax.Precision.HIGHEST)
    warm = (jnp.exp(to_mean) - jnp.exp((classes + 1) / classes * to_label)) / tau1
    robust = -jnp.abs(jnp.exp(to_mean) - jnp.exp(to_label) + margin) / tau2
    return _of_labelled((1.0 - ramp) * warm + ramp * robust, labels, sound)


def center_logits(
    embeddings: Float[Array, "*rows d"], centers: Float[Array, "k d"], *, temperature: ScalarLike
) -> Float[Array, "*rows k"]:
    """Compute the logits `cos(embeddings_i, centers_k) / temperature` of a center classifier.

    Args:
        embeddings: normalised here.
        centers: one a class; normalised here.
        temperature: positive.

    Returns:
        `[..., K]`; a row or a center that is zero gives 0, a row that holds NaN or infinity NaN.

    Example:
        >>> rows, centers = jnp.array([[3.0, 4.0]]), jnp.eye(2)
        >>> print(losses.center_logits(rows, centers, temperature=0.5))
        [[1.2 1.6]]
    """
    guards.check_positive("temperature", temperature)
    embeddings = guards.check_shape("embeddings", embeddings, "...", "d")
    centers = guards.check_shape("centers", centers, "K", embeddings.shape[-1])
    embeddings = at_least_float32(embeddings)
    # NaN times a gradient of 0 would still be NaN in the gradient of the centers.
    sound = jnp.all(jnp.isfinite(embeddings), axis=-1, keepdims=True)
    rows, centers = unit_rows(jnp.where(sound, embeddings, 0.0)), unit_rows(centers)
    logits = jnp.matmul(rows, centers.T, precision=lax.Precision.HIGHEST) / temperature
    return jnp.where(sound, logits, jnp.nan)


def center_classification(
    embeddings: Float[Array, "n d"],
    labels: Integer[Array, "n"],
    centers: Float[Array, "k d"],
    *,
    temperature: ScalarLike = 0.4,
    gamma: ScalarLike = 1.0,
) -> Float[Array, "n"]:
    """Compute NRCL's center loss: the focal loss of the cosines to the class centers.

        q_i = softmax_k(cos(x_i, c_k) / temperature),   (1 - q_iy)^gamma (-log q_iy)

    Args:
        embeddings, labels, centers: rows and centers are normalised here.
        temperature: positive.
        gamma: focusing exponent; 0 is cross-entropy.

    Returns:
        `[n]`. NRCL multiplies by a weight a row and takes the mean.

    Example:
        >>> rows, centers = jnp.eye(2), jnp.eye(2)
        >>> print(losses.center_classification(rows, jnp.array([0, -1]), centers))
        [0.00598443 0.        ]

    References:
        NRCL (noise-robust 2D-3D retrieval, 2025), its released center loss.
    """
    labels, rows, sound = _labelled(embeddings, labels, centers)
    logits = center_logits(rows, centers, temperature=temperature)
    return _of_labelled(focal(logits, labels, gamma=gamma), labels, sound)


def center_distance(
    embeddings: Float[Array, "n d"], labels: Integer[Array, "n"], centers: Float[Array, "k d"]
) -> Float[Array, "n"]:
    """Compute the center loss `||x_i - c_{y_i}||^2`; nothing is normalised.

    Example:
        >>> rows, centers = jnp.array([[3.0, 4.0], [1.0, 1.0]]), jnp.eye(2)
        >>> print(losses.center_distance(rows, jnp.array([0, -1]), centers))  # 2^2 + 4^2
        [20.  0.]

    References:
        Wen et al.: A discriminative feature learning approach for deep face recognition, ECCV
        2016. Jing et al.: Cross-modal center loss for 3D cross-modal retrieval, CVPR 2021, eq. 1.
        Both papers halve the value; the released code of the latter does not, nor do we.
    """
    labels, rows, sound = _labelled(embeddings, labels, centers)
    difference = rows - _centers_of(labels, at_least_float32(centers))
    difference = jnp.where(sound[:, None], difference, 0.0)
    return _of_labelled(jnp.sum(jnp.square(difference), axis=-1), labels, sound)


def _labelled(embeddings, labels, centers):
    """Returns labels, float32 embeddings (0 in rows that give no value), and which rows do.

    A row gives no value where it has no label, or holds NaN or infinity.
    """
    embeddings = guards.check_shape("embeddings", embeddings, "n", "d")
    centers = guards.check_shape("centers", centers, "K", embeddings.shape[1])
    labels = guards.class_labels(labels, centers.shape[0], embeddings.shape[:1])
    embeddings = at_least_float32(embeddings)
    sound = (labels >= 0) & jnp.all(jnp.isfinite(embeddings), axis=-1)
    return labels, jnp.where(sound[:, None], embeddings, 0.0), sound


def _centers_of(labels, centers):
    """Returns the center of each row's label, zero where there is none."""
    found = jnp.take(centers, jnp.maximum(labels, 0), axis=0)
    return jnp.where((labels >= 0)[:, None], found, 0.0)


def _of_labelled(values, labels, sound):
    """Returns the values, 0 where there is no label, NaN where a labelled row holds no numbers."""
    return jnp.where(labels >= 0, jnp.where(sound, values, jnp.nan), 0.0)
