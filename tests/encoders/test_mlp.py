"""The fully connected encoders against the released networks, and under vmap over members."""

import operator

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from recipe import cases, weights
from torch_names import buffer_sums, place

from jaxcmr.encoders.mlp import fc, feature_mlp

POINT_HEADS = {"pt_fc": (512,), "modelnet_pt_head": ()}
MODULES = {"linear1": "linear1", "bn6": "bn1", "linear2": "linear2", "bn7": "bn2"}


@pytest.mark.parametrize("case", POINT_HEADS)
def test_rono_point_heads(golden, case):
    meta, arrays = cases(golden / "encoders_rono_pt_fc.npz")[case]
    hidden = POINT_HEADS[case]
    modules = {torch: ours for torch, ours in MODULES.items() if int(ours[-1]) <= 1 + len(hidden)}
    encoder = feature_mlp(256, hidden=hidden, dropout=0.0)
    variables = place(weights(meta), modules)
    points = jnp.asarray(arrays["points"])
    apply = jax.jit(encoder.apply, static_argnames="train")
    out, _ = apply(variables, points, train=False)
    np.testing.assert_allclose(out, arrays["eval/out"], atol=1e-5)
    out, state = apply(variables, points, train=True)
    np.testing.assert_allclose(out, arrays["train/out"], atol=1e-4)
    # The released ModelNet head carries a second batch norm that it never uses.
    used = [i for i, name in enumerate(meta["bn_buffers"]) if name.split(".")[0] in modules]
    buffers = [name for name in meta["bn_buffers"] if name.split(".")[0] in modules]
    sums = buffer_sums(state, modules, buffers)
    np.testing.assert_allclose(sums[0], arrays["train/bn_sum"][used], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(sums[1], arrays["train/bn_sum_sq"][used], rtol=1e-5, atol=1e-5)


def test_mrl_net(golden):
    meta, arrays = cases(golden / "encoders_mrl_nets.npz")["image_net"]
    variables = place(weights(meta), {f"fc{i}": f"fc{i}" for i in (1, 2, 3)})
    out, state = fc(512).apply(variables, jnp.asarray(arrays["features"]), train=True)
    np.testing.assert_allclose(out, arrays["eval/out"], atol=1e-6)
    assert state == {}


def test_fc_rows_have_norm_one_and_zero_rows_a_finite_gradient():
    encoder = fc(8, hidden=(16,))
    variables = jax.jit(encoder.init)(jax.random.key(0), jnp.zeros((1, 4)))
    out, _ = encoder.apply(variables, jax.random.normal(jax.random.key(1), (5, 4)), train=False)
    np.testing.assert_allclose(np.linalg.norm(out, axis=-1), 1.0, rtol=1e-6)
    zeros = jax.tree.map(jnp.zeros_like, variables)
    loss = lambda v: encoder.apply(v, jnp.ones((2, 4)), train=True)[0].sum()
    gradient = jax.jit(jax.grad(loss))(zeros)
    chex.assert_tree_all_finite(gradient)


def test_dropout_needs_a_key_acts_in_training_alone_and_follows_its_key():
    encoder = feature_mlp(4, hidden=(256,), dropout=0.4)
    x = jax.random.normal(jax.random.key(1), (6, 8))
    variables = jax.jit(encoder.init)(jax.random.key(0), x)
    apply = lambda key: encoder.apply(variables, x, train=True, key=key)[0]
    run = jax.jit(chex.assert_max_traces(apply, n=1))  # another key compiles nothing
    first, again, other = run(jax.random.key(2)), run(jax.random.key(2)), run(jax.random.key(3))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3
    quiet = encoder.apply(variables, x, train=False, key=jax.random.key(2))[0]
    np.testing.assert_array_equal(quiet, encoder.apply(variables, x, train=False)[0])


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("builder", [feature_mlp, fc])
def test_members_under_vmap_equal_members_alone(builder, dtype):
    encoder = builder(4, hidden=(16,), dropout=0.0, dtype=dtype)
    x = jax.random.normal(jax.random.key(1), (6, 8))
    keys = jax.random.split(jax.random.key(0), 3)
    stacked = jax.jit(jax.vmap(encoder.init, in_axes=(0, None)))(keys, x)
    chex.assert_type(jax.tree.leaves(stacked), jnp.float32)
    run = jax.jit(lambda v: encoder.apply(v, x, train=True)[0])
    together = jax.jit(jax.vmap(run))(stacked)
    assert together.dtype == jnp.float32
    tolerance = 1e-5 if dtype is jnp.float32 else 0.1
    for member, out in enumerate(together):
        alone = run(jax.tree.map(operator.itemgetter(member), stacked))
        np.testing.assert_allclose(out, alone, atol=tolerance)
