"""MRL: its objective is the released one, and its centers are unit rows."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import paired_batch

from jaxcmr.methods import Outputs, mrl

GOLDEN = Path(__file__).parents[1] / "golden" / "losses_mrl.npz"


def test_the_objective_of_the_released_code():
    """Unit features, labels that differ by modality: RC is their sum, the contrast their mean."""
    with np.load(GOLDEN) as file:
        case = {name.split("/")[1]: file[name] for name in file.files if "total_" in name}
    features = jnp.stack([case[f"features_{v}"] for v in (0, 1)]).astype(jnp.float32)
    centers = jnp.asarray(case["centers"], jnp.float32)
    outputs = Outputs(features, features @ centers, centers)
    labels = jnp.stack([case[f"labels_{v}"] for v in (0, 1)])
    batch = paired_batch.batch(case["labels_0"]).replace(labels=labels)
    terms = mrl.objective(outputs, batch, None, paired_batch.progress(), paired_batch.hp("mrl"))
    np.testing.assert_allclose(
        terms["rc"].mean(), 0.7 * case["part_rc_per_modality"].sum(), rtol=1e-5
    )
    np.testing.assert_allclose(terms["pair"].mean(), 0.3 * case["part_mc"], rtol=1e-5)
    np.testing.assert_allclose(sum(terms.values()).mean(), case["loss"], rtol=1e-5)


def test_logits_are_cosines_with_centers_that_start_orthogonal():
    method, hp = paired_batch.build("mrl"), paired_batch.hp("mrl", tau=0.5)
    inputs = {name: jax.random.normal(jax.random.key(1), (6, 3)) for name in paired_batch.NAMES}
    variables = method.init(jax.random.key(0), inputs, 4)
    outputs, _ = method.apply(variables, inputs, hp, key=None, train=False)
    np.testing.assert_allclose(outputs.centers @ outputs.centers.T, np.eye(4), atol=1e-5)
    unit = outputs.embeddings / jnp.linalg.norm(outputs.embeddings, axis=-1, keepdims=True)
    np.testing.assert_allclose(outputs.logits, 2 * unit @ outputs.centers.T, atol=1e-5)
    assert jnp.abs(outputs.logits).max() <= 2.0 + 1e-5
