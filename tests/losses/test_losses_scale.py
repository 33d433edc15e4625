"""Pairwise losses in blocks of anchors and over sharded batches: same value, bounded memory."""

import functools
import os
import subprocess
import sys
import textwrap

import chex
import jax
import jax.numpy as jnp

from jaxcmr import losses

PAIRWISE = {
    "multimodal_contrastive": lambda z, y, w, **o: losses.multimodal_contrastive(
        z, temperature=0.2, **o
    ),
    "supervised_contrastive": lambda z, y, w, **o: losses.supervised_contrastive(
        z, y, temperature=0.2, **o
    ),
    "denoising_contrastive": lambda z, y, w, **o: losses.denoising_contrastive(
        z, y, w, temperature=0.2, **o
    ),
    "cross_modal_margin": lambda z, y, w, **o: losses.cross_modal_margin(z, **o),
}


def _all(z, labels, weights, **options):
    return {name: loss(z, labels, weights, **options) for name, loss in PAIRWISE.items()}


def test_blocks_equal_the_direct_form():
    z = jax.random.normal(jax.random.key(0), (3, 11, 8))
    labels, weights = jnp.arange(11) % 4 - 1, jnp.linspace(0, 1, 11)
    present = jax.random.bernoulli(jax.random.key(1), 0.8, (3, 11))

    @functools.partial(jax.jit, static_argnums=1)
    def values_and_gradients(z, block_size):
        options = {"present": present, "block_size": block_size}
        values, backward = jax.vjp(lambda z: _all(z, labels, weights, **options), z)
        zero = jax.tree.map(jnp.zeros_like, values)
        return values, {name: backward({**zero, name: jnp.cos(values[name])}) for name in values}

    direct = values_and_gradients(z, None)
    assert all(jnp.any(values > 0) for values in direct[0].values())
    for block_size in (8, 100):  # 33 anchors: four blocks and a rest, less than one block
        blocked = values_and_gradients(z, block_size)
        chex.assert_trees_all_close(blocked, direct, rtol=1e-5, atol=1e-5)


def temporary_bytes(instances, block_size):
    """Memory that values and gradients need beside their arguments and results."""
    z = jax.ShapeDtypeStruct((2, instances, 32), jnp.float32)
    labels = jax.ShapeDtypeStruct((instances,), jnp.int32)
    weights = jax.ShapeDtypeStruct((instances,), jnp.float32)

    def total(*batch):
        values = _all(*batch, block_size=block_size)
        return sum(each.mean() for each in values.values())

    compiled = jax.jit(jax.value_and_grad(total)).lower(z, labels, weights).compile()
    return compiled.memory_analysis().temp_size_in_bytes


def test_memory_of_blocks_is_linear_in_the_batch():
    all_pairs = 4 * (2 * 4096) ** 2  # bytes of one float32 matrix of all similarities
    small, large = (temporary_bytes(instances, 32) for instances in (2048, 4096))
    assert large < all_pairs / 8
    assert large < 2.2 * small
    # The check would see a quadratic form: the direct one keeps whole matrices.
    assert temporary_bytes(1024, None) > 4 * (2 * 1024) ** 2


SHARDED = """
    import functools
    import jax, jax.numpy as jnp, numpy as np
    from jax.sharding import NamedSharding, PartitionSpec as P
    from jaxcmr import losses

    assert jax.device_count() == 8
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    key = jax.random.key(0)
    z = jax.random.normal(key, (2, 32, 8))
    labels, weights = jnp.arange(32) % 5 - 1, jnp.linspace(0.1, 1, 32)
    present = jax.random.bernoulli(key, 0.9, (2, 32))
    by_instance = P(None, "data"), P("data"), P("data"), P(None, "data")

    def loss(z, labels, weights, present, **options):
        return losses.denoising_contrastive(
            z, labels, weights, temperature=0.2, present=present, **options)

    def total(values_of):
        return jax.value_and_grad(
            lambda *batch: (lambda values: (jnp.sin(values).mean(), values))(values_of(*batch)),
            has_aux=True)

    batch = z, labels, weights, present
    (_, expected), gradient = jax.jit(total(loss))(*batch)

    def check(what, values_of, shardings):
        sharded = [jax.device_put(x, NamedSharding(mesh, s)) for x, s in zip(batch, shardings)]
        compiled = jax.jit(total(values_of)).lower(*sharded).compile()
        (_, values), slope = compiled(*sharded)
        np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-5, err_msg=what)
        np.testing.assert_allclose(slope, gradient, rtol=1e-5, atol=1e-6, err_msg=what)
        return compiled

    # Under jit the plain call sees the global batch, and no device holds all pairs.
    program = check("jit", loss, by_instance).as_text()
    assert "f32[2,4,2,32]" in program and "f32[2,32,2,32]" not in program
    local = functools.partial(loss, axis_name="data", block_size=3)
    check("shard_map",
          jax.shard_map(local, mesh=mesh, in_specs=by_instance, out_specs=P(None, "data")),
          by_instance)
    print("equal")
"""


def test_a_sharded_batch_has_the_value_of_one_device():
    program = [sys.executable, "-c", textwrap.dedent(SHARDED)]
    done = subprocess.run(program, capture_output=True, text=True, env=_eight_devices())
    assert done.stdout.strip() == "equal", done.stderr


def _eight_devices():
    return {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8",
    }
