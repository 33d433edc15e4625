"""DGCNN against the released network, and its parts against plain loops over edges."""

import operator
import os

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from recipe import cases, weights
from torch_names import buffer_sums, place

from jaxcmr.encoders.dgcnn import dgcnn
from jaxcmr.encoders.neighbors import nearest

MODULES = {
    **{f"conv{i}.0": f"conv{i}" for i in range(1, 6)},
    **{f"conv{i}.1": f"conv{i}/bn" for i in range(1, 5)},
    "conv5.1": "bn5",
    "bn1": "bn_linear1",
    "linear1": "linear1",
}
# The released network registers these a second time, under the name on the left.
TWICE = {f"bn{i}": f"conv{i}/bn" for i in range(2, 5)} | {"bn5": "bn5"}


@pytest.mark.parametrize("case", ["dgcnn_k10", "dgcnn_b4_k20"])
def test_released_network(golden, case):
    meta, arrays = cases(golden / "encoders_dgcnn.npz")[case]
    encoder = dgcnn(256, k=meta["hp"]["k"])
    variables = place(weights(meta), MODULES)
    points = jnp.asarray(arrays["points"].transpose(0, 2, 1))
    apply = jax.jit(encoder.apply, static_argnames="train")
    out, _ = apply(variables, points, train=False)
    np.testing.assert_allclose(out, arrays["eval/out"], atol=1e-5)
    out, state = apply(variables, points, train=True)
    np.testing.assert_allclose(out, arrays["train/out"], atol=5e-4 if len(points) > 2 else 5e-3)
    sums = buffer_sums(state, MODULES | TWICE, meta["bn_buffers"])
    np.testing.assert_allclose(sums[0], arrays["train/bn_sum"], rtol=1e-5, atol=2e-5)
    np.testing.assert_allclose(sums[1], arrays["train/bn_sum_sq"], rtol=1e-5, atol=2e-5)


def test_graphs_are_the_released_graphs(golden):
    meta, arrays = cases(golden / "encoders_dgcnn.npz")["dgcnn_k10"]
    found = nearest(jnp.asarray(arrays["points"].transpose(0, 2, 1)), meta["hp"]["k"])
    np.testing.assert_array_equal(np.sort(found, -1), arrays["eval/knn_sets_layer1"])


SMALL = {"embedding_size": 8, "k": 4, "widths": (8, 16)}


@pytest.fixture(scope="module")
def small():
    encoder = dgcnn(**SMALL)
    points = jax.random.normal(jax.random.key(1), (6, 24, 3))
    variables = jax.jit(encoder.init)(jax.random.key(0), points)

    def gradient(encoder):
        def loss(params, points):
            out, state = encoder.apply(variables | {"params": params}, points, train=True)
            return jnp.square(out - 0.1).sum(), (out, state)

        # As for users: XLA's older emitters compute a value anew in every fusion, round otherwise,
        # and then no neighbor is found to have the maximum.
        flag = "xla_cpu_use_fusion_emitters"
        options = {flag: True} if flag in os.environ.get("XLA_FLAGS", "") else None
        return jax.jit(jax.value_and_grad(loss, has_aux=True), compiler_options=options)

    return variables, points, gradient(encoder), gradient


def test_the_order_of_the_points_does_not_matter(small):
    variables, points, step, _ = small
    first, second = (step(variables["params"], p) for p in (points, points[:, ::-1]))
    chex.assert_trees_all_close(first, second, rtol=1e-3, atol=1e-3)


def test_rematerialisation_changes_nothing(small):
    variables, points, step, gradient = small
    kept = step(variables["params"], points)
    again = gradient(dgcnn(**SMALL, remat=True))(variables["params"], points)
    chex.assert_trees_all_close(kept, again, rtol=1e-4, atol=1e-4)


def test_fewer_points_than_neighbors(small):
    variables, points, step, _ = small
    chex.assert_tree_all_finite(step(variables["params"], points[:, :3]))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_members_under_vmap_equal_members_alone(small, dtype):
    _, points, _, _ = small
    encoder = dgcnn(**SMALL, dtype=dtype)
    stacked = jax.jit(jax.vmap(encoder.init, in_axes=(0, None)))(
        jax.random.split(jax.random.key(0)), points
    )
    chex.assert_type(jax.tree.leaves(stacked), jnp.float32)
    run = lambda v: encoder.apply(v, points, train=True)[0]
    together = jax.jit(jax.vmap(run))(stacked)
    assert together.dtype == jnp.float32
    alone = jax.jit(run)(jax.tree.map(operator.itemgetter(1), stacked))
    tolerance = 1e-4 if dtype is jnp.float32 else 0.3
    np.testing.assert_allclose(together[1], alone, atol=tolerance)
