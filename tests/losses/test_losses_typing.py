"""The shapes and dtypes in the signatures are true: checked at run time by jaxtyping."""

import subprocess
import sys
import textwrap

CHECKED = """
    import jaxtyping
    with jaxtyping.install_import_hook("jaxcmr.losses", "beartype.beartype"):
        from jaxcmr import losses
    import jax, jax.numpy as jnp

    z = jax.random.normal(jax.random.key(0), (2, 4, 3))
    y, logits = jnp.array([0, 1, 2, -1]), z[0]
    pairwise = {"temperature": 0.5, "present": jnp.ones((2, 4), bool)}
    # Traced only: the checks see shapes and dtypes, and nothing has to be compiled.
    calls = lambda z, logits: [
        losses.warmup_ramp(3, 25.0),
        losses.warmup_ramp(jnp.int32(3), jnp.float32(25)),
        losses.robust_center(z[0], y, z[1], ramp=jnp.float32(1), tau1=1, tau2=1.0, margin=0.2),
        losses.center_classification(z[0], y, z[1]),
        losses.center_distance(z[0], y, z[1]),
        losses.cross_entropy(logits, y),
        losses.cross_entropy(logits[0], y[0]),
        losses.mean_absolute_error(z, jnp.stack([y, y])),
        losses.generalized_cross_entropy(logits.astype("bfloat16"), y),
        losses.symmetric_cross_entropy(logits, y),
        losses.focal(logits, y),
        losses.soft_focal(logits, jax.nn.softmax(logits)),
        losses.label_smoothing(logits, y),
        losses.robust_clustering(logits, y),
        losses.robust_concentrating(logits, y, clip=0.1),
        losses.early_learning_regularization(logits, jax.nn.softmax(logits)),
        losses.class_prior_penalty(logits, mask=y >= 0),
        losses.multimodal_contrastive(z, **pairwise),
        losses.supervised_contrastive(z, y, **pairwise),
        losses.cross_modal_supervised_contrastive(z, y, block_size=3, **pairwise),
        losses.denoising_contrastive(z, y, jnp.ones(4), **pairwise),
        losses.cross_modal_margin(z),
        losses.modality_distance(z),
        losses.consensus(z),
        losses.pure_label_loss(z, y),
        losses.hard_label_loss(z, y),
        losses.noisy_label_loss(z),
        losses.masked_mean(z, jnp.ones((2, 4, 3), bool)),
        losses.masked_mean(z[0], y[:3] >= 0),
    ]
    jax.eval_shape(calls, z, logits)
    for wrong in (
        lambda: losses.cross_entropy(logits, y.astype("float32")),
        lambda: losses.multimodal_contrastive(z[0], temperature=1.0),
        lambda: losses.robust_center(z[0], y, z[1], ramp=z[0], tau1=1, tau2=1, margin=1),
    ):
        try:
            wrong()
        except jaxtyping.TypeCheckError:
            pass
        else:
            raise AssertionError("a wrong argument passed the check")
    print("true")
"""


def test_signatures():
    program = [sys.executable, "-c", textwrap.dedent(CHECKED)]
    done = subprocess.run(program, capture_output=True, text=True)
    assert done.stdout.strip() == "true", done.stderr
