"""MeshNet against the released network; padding, permutations and members."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from recipe import cases, weights
from torch_names import buffer_sums, place

from jaxcmr.encoders.meshnet import meshnet

AGGREGATIONS = {
    "meshnet_spread_kernels": "concat",
    "meshnet_max": "max",
    "meshnet_average": "average",
}


def sequential(torch, ours, layers):
    """Names of `layers` times (Conv1d, BatchNorm1d, ReLU) in a Sequential."""
    names = {}
    for layer in range(layers):
        names[f"{torch}.{3 * layer}"] = f"{ours}/linear{layer + 1}"
        names[f"{torch}.{3 * layer + 1}"] = f"{ours}/bn{layer + 1}"
    return names


MODULES = {
    **sequential("spatial_descriptor.spatial_mlp", "spatial_mlp", 2),
    **sequential("structural_descriptor.FRC.rotate_mlp", "face_rotate/rotate_mlp", 2),
    **sequential("structural_descriptor.FRC.fusion_mlp", "face_rotate/fusion_mlp", 2),
    "structural_descriptor.FKC.bn": "face_kernel/bn",
    **sequential("structural_descriptor.structural_mlp", "structural_mlp", 2),
    **sequential("fusion_mlp", "fusion_mlp", 1),
    **sequential("concat_mlp", "concat_mlp", 1),
    "classifier.0": "linear1",
    "classifier.3": "linear2",
}
for conv in ("mesh_conv1", "mesh_conv2"):
    MODULES |= sequential(f"{conv}.combination_mlp", f"{conv}/combination_mlp", 1)
    MODULES |= sequential(f"{conv}.aggregation_mlp", f"{conv}/aggregation_mlp", 1)
    MODULES |= {f"{conv}.concat_mlp.0": f"{conv}/concat_mlp"}
    MODULES |= {f"{conv}.concat_mlp.1": f"{conv}/concat_mlp/bn"}


def mesh_of(arrays):
    mesh = {
        name: jnp.asarray(arrays[name].transpose(0, 2, 1))
        for name in ("centers", "corners", "normals")
    }
    mesh["neighbors"] = jnp.asarray(arrays["neighbors"])
    return mesh | {"mask": jnp.ones(mesh["neighbors"].shape[:2], bool)}


def released(golden, case):
    meta, arrays = cases(golden / "encoders_meshnet.npz")[case]
    torch = weights(meta)
    variables = place(torch, MODULES)
    for angle in ("alpha", "beta"):
        value = torch[f"structural_descriptor.FKC.weight_{angle}"][0]
        variables["params"]["face_kernel"][angle] = value
    return meta, arrays, variables


@pytest.mark.parametrize("case", AGGREGATIONS)
def test_released_network(golden, case):
    meta, arrays, variables = released(golden, case)
    encoder = meshnet(256, aggregation=AGGREGATIONS[case], dropout=0.0)
    apply = jax.jit(encoder.apply, static_argnames="train")
    out, _ = apply(variables, mesh_of(arrays), train=False)
    np.testing.assert_allclose(out, arrays["eval/feature"], atol=1e-5)
    out, state = apply(variables, mesh_of(arrays), train=True)
    np.testing.assert_allclose(out, arrays["train/feature"], atol=1e-4)
    updates = [3 if "rotate_mlp" in name else 1 for name in meta["bn_buffers"]]
    sums = buffer_sums(state, MODULES, meta["bn_buffers"], updates)
    np.testing.assert_allclose(sums[0], arrays["train/bn_sum"], rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(sums[1], arrays["train/bn_sum_sq"], rtol=2e-5, atol=2e-5)


def test_unknown_aggregation(golden):
    _, arrays = cases(golden / "encoders_meshnet.npz")["meshnet_max"]
    with pytest.raises(ValueError, match="aggregation is 'sum'; choose concat, max or average"):
        meshnet(aggregation="sum").init(jax.random.key(0), mesh_of(arrays))


@pytest.fixture(scope="module")
def small(golden):
    """A mesh batch, its network and one jitted training step with gradients."""
    _, arrays, variables = released(golden, "meshnet_spread_kernels")
    encoder = meshnet(256, dropout=0.0)

    def loss(params, mesh):
        out, state = encoder.apply(variables | {"params": params}, mesh, train=True)
        return jnp.square(out - 0.1).sum(), (out, state)

    step = jax.jit(jax.value_and_grad(loss, has_aux=True))
    return variables, mesh_of(arrays), step


def agree(first, second):
    def close(a, b):
        # By norm, because of a near tie between two faces under a maximum: rounding (2e-7 in the
        # inputs) decides it, and moves gradients by 1.3 %; a face that counts, by far more.
        assert np.linalg.norm(a - b) <= 3e-2 * max(1.0, np.linalg.norm(a))

    jax.tree.map(close, first, second)


def test_padded_faces_change_nothing(small):
    variables, mesh, step = small
    batch, faces = mesh["mask"].shape
    junk = jax.random.normal(jax.random.key(0), (batch, 7, 9))
    extra = {"centers": junk[..., :3], "corners": junk, "normals": 0 * junk[..., 3:6]}
    extra["neighbors"] = jnp.full((batch, 7, 3), faces + 2)
    extra["mask"] = jnp.zeros((batch, 7), bool)
    padded = {name: jnp.concatenate([mesh[name], extra[name]], 1) for name in mesh}
    agree(step(variables["params"], mesh), step(variables["params"], padded))


def test_the_order_of_faces_and_corners_does_not_matter(small):
    variables, mesh, step = small
    faces = mesh["mask"].shape[1]
    order = jax.random.permutation(jax.random.key(0), faces)
    moved = {name: value[:, order] for name, value in mesh.items()}
    moved["neighbors"] = jnp.argsort(order)[moved["neighbors"]][..., ::-1]
    loss, _ = step(variables["params"], mesh)
    moved_loss, _ = step(variables["params"], moved)
    agree(loss, moved_loss)
    # The three corner pairs are normalised one after the other, and only their last batch moments
    # leave the same weight: in training the embeddings agree, the running moments need not.
    turned = mesh | {"corners": jnp.roll(mesh["corners"], 3, -1)}
    np.testing.assert_allclose(step(variables["params"], turned)[0][1][0], loss[1][0], atol=1e-4)


def test_members_in_half_precision_under_vmap(golden):
    _, arrays, variables = released(golden, "meshnet_average")
    encoder = meshnet(256, aggregation="average", dropout=0.0, dtype=jnp.bfloat16)
    stacked = jax.tree.map(lambda leaf: jnp.stack([0.9 * leaf, jnp.asarray(leaf)]), variables)
    run = jax.jit(jax.vmap(lambda v: encoder.apply(v, mesh_of(arrays), train=True)))
    out, state = run(stacked)
    chex.assert_type(jax.tree.leaves((out, state)), jnp.float32)
    np.testing.assert_allclose(out[1], arrays["train/feature"], atol=0.15)
