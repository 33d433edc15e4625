"""The shared classification head against the released one."""

import jax
import jax.numpy as jnp
import numpy as np
from recipe import cases, weights
from torch_names import place

from jaxcmr.encoders.head import head


def test_released_head_serves_both_modalities(golden):
    meta, arrays = cases(golden / "encoders_rono_headnet.npz")["headnet"]
    variables = place(weights(meta), {"head.0": "linear1", "head.2": "linear2"})
    shared = head(10)
    for modality in ("img", "pt"):
        logits, state = shared.apply(variables, arrays[f"{modality}_feat"], train=True)
        np.testing.assert_allclose(logits, arrays[f"eval/{modality}_pred"], atol=1e-5)
        assert state == {}
    both = np.stack([arrays["img_feat"], arrays["pt_feat"]])
    logits, _ = shared.apply(variables, both, train=False)
    np.testing.assert_allclose(logits[1], arrays["eval/pt_pred"], atol=1e-5)


def test_linear_head_without_bias_is_one_matrix():
    linear = head(3, hidden=(), use_bias=False)
    variables = jax.jit(linear.init)(jax.random.key(0), jnp.zeros((1, 5)))
    (kernel,) = jax.tree.leaves(variables)
    x = jax.random.normal(jax.random.key(1), (4, 5))
    np.testing.assert_allclose(linear.apply(variables, x, train=False)[0], x @ kernel, rtol=1e-6)


def test_initial_weights_are_drawn_as_pytorch_draws_them():
    variables = jax.jit(head(64, hidden=(512,)).init)(jax.random.key(0), jnp.zeros((1, 100)))
    for leaf, fan_in in (
        (variables["params"]["linear1"], 100),
        (variables["params"]["linear2"], 512),
    ):
        for name in ("kernel", "bias"):
            bound = fan_in**-0.5
            assert np.abs(leaf[name]).max() <= bound
            np.testing.assert_allclose(leaf[name].std(), bound / 3**0.5, rtol=0.15)
