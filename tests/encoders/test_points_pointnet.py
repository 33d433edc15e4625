"""PointNet against the released network, and what a set function must be."""

import operator

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from recipe import cases, weights
from torch_names import buffer_sums, place

from jaxcmr.encoders.pointnet import pointnet

MODULES = {f"{kind}{i}": f"{kind}{i}" for kind in ("conv", "bn") for i in range(1, 6)}
MODULES["linear1"] = "linear1"


@pytest.mark.parametrize("case", ["pointnet", "pointnet_b4"])
def test_released_network(golden, case):
    meta, arrays = cases(golden / "encoders_pointnet.npz")[case]
    encoder = pointnet(256, widths=(64, 64, 64, 128, 256))
    variables = place(weights(meta), MODULES)
    points = jnp.asarray(arrays["points"].transpose(0, 2, 1))
    apply = jax.jit(encoder.apply, static_argnames="train")
    out, state = apply(variables, points, train=False)
    np.testing.assert_allclose(out, arrays["eval/out"], atol=1e-5)
    assert state.keys() == {"batch_stats"}
    out, state = apply(variables, points, train=True)
    np.testing.assert_allclose(out, arrays["train/out"], atol=1e-4)
    sums = buffer_sums(state, MODULES, meta["bn_buffers"])
    np.testing.assert_allclose(sums[0], arrays["train/bn_sum"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(sums[1], arrays["train/bn_sum_sq"], rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "transforms"])
def small(request):
    encoder = pointnet(8, widths=(16, 8, 32), transforms=request.param)
    points = jax.random.normal(jax.random.key(1), (3, 24, 3))
    variables = jax.jit(encoder.init)(jax.random.key(0), points)
    return variables, points, jax.jit(encoder.apply, static_argnames="train")


@pytest.mark.parametrize("train", [False, True])
def test_the_order_of_the_points_does_not_matter(small, train):
    variables, points, apply = small
    out, state = apply(variables, points, train=train)
    shuffled, other = apply(variables, points[:, ::-1], train=train)
    np.testing.assert_allclose(out, shuffled, atol=1e-5)
    chex.assert_trees_all_close(state, other, atol=1e-5)


def test_clouds_are_independent_in_evaluation_and_of_any_length(small):
    variables, points, apply = small
    out, state = apply(variables, points, train=False)
    np.testing.assert_allclose(apply(variables, points[:2], train=False)[0], out[:2], atol=1e-6)
    repeated = jnp.concatenate([points, points[:, :5]], 1)
    np.testing.assert_allclose(apply(variables, repeated, train=False)[0], out, atol=1e-6)
    chex.assert_trees_all_equal(state, {"batch_stats": variables["batch_stats"]})


def test_the_input_transform_starts_as_the_identity():
    points = jax.random.normal(jax.random.key(1), (3, 24, 3))
    plain, full = (pointnet(8, widths=(16, 8, 32), transforms=t) for t in (False, True))
    variables = jax.jit(full.init)(jax.random.key(0), points)
    train = lambda encoder: jax.jit(lambda v: encoder.apply(v, points, train=True)[0])
    out = train(full)(variables)
    shared = {
        kind: {name: leaf for name, leaf in tree.items() if "transform" not in name}
        for kind, tree in variables.items()
    }
    np.testing.assert_allclose(out, train(plain)(shared), atol=1e-5)


def test_members_under_vmap_equal_members_alone():
    points = jax.random.normal(jax.random.key(1), (3, 24, 3))
    encoder = pointnet(8, widths=(16, 32), dtype=jnp.bfloat16)
    stacked = jax.jit(jax.vmap(encoder.init, in_axes=(0, None)))(
        jax.random.split(jax.random.key(0)), points
    )
    chex.assert_type(jax.tree.leaves(stacked), jnp.float32)
    run = lambda encoder: lambda v: encoder.apply(v, points, train=True)[0]
    together = jax.jit(jax.vmap(run(encoder)))(stacked)
    exact = jax.jit(run(pointnet(8, widths=(16, 32))))
    for member, out in enumerate(together):
        alone = exact(jax.tree.map(operator.itemgetter(member), stacked))
        np.testing.assert_allclose(out, alone, atol=0.1)
    assert together.dtype == jnp.float32
