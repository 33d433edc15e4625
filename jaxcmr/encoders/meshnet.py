"""MeshNet: an encoder of triangle meshes that looks at faces and their three neighbors."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcmr.encoders.base import Backbone, builder
from jaxcmr.encoders.edge_conv import edge_conv
from jaxcmr.encoders.linear import Linear, torch_kernel
from jaxcmr.encoders.neighbors import neighbor_max, neighbor_sum
from jaxcmr.encoders.norm import BatchNorm
from jaxcmr.encoders.pool import max_over


class FaceMLP(nn.Module):
    """(Linear, BN, ReLU) per width, on each face separately; padded faces enter no moment."""

    widths: tuple[int, ...]
    dtype: Any

    @nn.compact
    def __call__(self, x, mask, *, train: bool):
        for layer, width in enumerate(self.widths, start=1):
            x = Linear(width, dtype=self.dtype, name=f"linear{layer}")(x)
            x = nn.relu(BatchNorm(name=f"bn{layer}")(x, train=train, mask=mask))
        return x


class FaceRotate(nn.Module):
    """Describes a face by its corners, independent of which corner comes first."""

    dtype: Any

    @nn.compact
    def __call__(self, corners, mask, *, train: bool):
        rotate = FaceMLP((32, 32), self.dtype, name="rotate_mlp")
        first, second, third = jnp.split(corners, 3, -1)
        # Three calls: each takes its own batch moments and updates the running ones, as released.
        pairs = ((first, second), (second, third), (third, first))
        mean = sum(rotate(jnp.concatenate(pair, -1), mask, train=train) for pair in pairs) / 3
        return FaceMLP((64, 64), self.dtype, name="fusion_mlp")(mean, mask, train=train)


class FaceKernel(nn.Module):
    """Correlates the normals of a face and its neighbors with learned sets of directions.

    `K_m = mean_n mean_w exp(-|n - w|^2 / (2 sigma^2))`, n of the four normals, w of the four unit
    directions of kernel m. The inner mean is taken once per face, before the neighbors are read.
    """

    kernels: int
    sigma: float
    dtype: Any

    @nn.compact
    def __call__(self, normals, neighbors, mask, *, train: bool):
        angles = lambda key, shape: jnp.pi * jax.random.uniform(key, shape)
        alpha = self.param("alpha", angles, (self.kernels, 4))
        beta = self.param("beta", lambda key, shape: 2 * angles(key, shape), (self.kernels, 4))
        directions = jnp.stack(
            [jnp.sin(alpha) * jnp.cos(beta), jnp.sin(alpha) * jnp.sin(beta), jnp.cos(alpha)]
        )
        # |n - w|^2 with |w| = 1. Padded faces may carry a zero normal.
        product = normals @ directions.reshape(3, -1)
        square = jnp.square(normals).sum(-1, keepdims=True) + 1.0 - 2.0 * product
        near = jnp.exp(square / (-2.0 * self.sigma**2))
        face = near.reshape(*normals.shape[:-1], self.kernels, 4).mean(-1)
        correlation = (face + neighbor_sum(face, neighbors)) / (1 + neighbors.shape[-1])
        normed = BatchNorm(name="bn")(correlation, train=train, mask=mask)
        return nn.relu(normed).astype(self.dtype)


class MeshConv(nn.Module):
    """Combines the two features of each face, and aggregates the structural one over neighbors."""

    spatial: int
    structural: int
    aggregation: str
    dtype: Any

    @nn.compact
    def __call__(self, spatial, structural, neighbors, mask, *, train: bool):
        both = jnp.concatenate([spatial, structural], -1)
        combine = FaceMLP((self.spatial,), self.dtype, name="combination_mlp")
        if self.aggregation == "concat":
            pooled = NeighborConcat(name="concat_mlp")(structural, neighbors, mask, train=train)
        elif self.aggregation == "max":
            pooled = jnp.maximum(structural, neighbor_max(structural, neighbors))
        elif self.aggregation == "average":
            pooled = (structural + neighbor_sum(structural, neighbors)) / (1 + neighbors.shape[-1])
        else:
            raise ValueError(f"aggregation is {self.aggregation!r}; choose concat, max or average")
        mlp = FaceMLP((self.structural,), self.dtype, name="aggregation_mlp")
        return combine(both, mask, train=train), mlp(pooled, mask, train=train)


class NeighborConcat(nn.Module):
    """Computes `max_j ReLU(BN(W [x_i, x_j] + bias))` over the neighbors j of face i."""

    @nn.compact
    def __call__(self, x, neighbors, mask, *, train: bool):
        channels = x.shape[-1]
        kernel = self.param("kernel", torch_kernel, (2 * channels, channels))
        bias = self.param("bias", nn.initializers.zeros, (channels,))
        center, neighbor = kernel[:channels], kernel[channels:]
        norm = BatchNorm(name="bn")
        return edge_conv(x, neighbors, neighbor, center, norm, train=train, bias=bias, mask=mask)


class MeshNet(Backbone):
    """Embeds meshes: spatial and structural features of faces, two mesh convolutions, maximum.

    Takes a dict: `centers [B, F, 3]`; `corners [B, F, 9]`, three corners relative to the center;
    `normals [B, F, 3]`, unit; `neighbors [B, F, 3]` int32, a face itself where it has no neighbor;
    `mask [B, F]` bool, False for padded faces, which change neither outputs nor moments. Embeddings
    are not negative, and invariant under permutations of the faces (with `neighbors` renumbered)
    and under the choice of each face's first corner.

    Attributes:
        kernels: number of kernels of the face kernel correlation, four directions each.
        sigma: width of the kernels, as a distance of unit normals.
        aggregation: of a face with its neighbors: "concat" (a layer over each pair, then the
            maximum), "max" or "average".
        dropout: share of units after the first fully connected layer set to zero in training.

    Raises:
        ValueError: for an unknown aggregation.

    Source: Feng et al., MeshNet, AAAI 2019, as released with Li et al., RoMo, TIP 2024. The
    embedding is the input of the released classifier's last layer, before its dropout. The
    released division of the features by the norm of the whole batch matrix is left out, because
    an embedding must not depend on the batch, and so is the random masking of faces.
    """

    kernels: int = 64
    sigma: float = 0.2
    aggregation: str = "concat"
    dropout: float = 0.5

    @nn.compact
    def __call__(self, mesh, *, train: bool):
        mask, neighbors = mesh["mask"], mesh["neighbors"]
        mlp = lambda name, *widths: FaceMLP(widths, self.dtype, name=name)
        spatial = mlp("spatial_mlp", 64, 64)(mesh["centers"], mask, train=train)
        rotate = FaceRotate(self.dtype, name="face_rotate")(mesh["corners"], mask, train=train)
        with jax.default_matmul_precision("float32"):  # small distances of unit vectors
            kernel = FaceKernel(self.kernels, self.sigma, self.dtype, name="face_kernel")(
                mesh["normals"], neighbors, mask, train=train
            )
        normals = mesh["normals"].astype(rotate.dtype)
        structural = jnp.concatenate([rotate, kernel, normals], -1)
        width = structural.shape[-1]
        structural = mlp("structural_mlp", width, width)(structural, mask, train=train)
        layers = []
        for layer, width in enumerate((256, 512), start=1):
            conv = MeshConv(width, width, self.aggregation, self.dtype, name=f"mesh_conv{layer}")
            spatial, structural = conv(spatial, structural, neighbors, mask, train=train)
            layers.append(spatial)
        both = jnp.concatenate([spatial, structural], -1)
        layers.append(mlp("fusion_mlp", 1024)(both, mask, train=train))
        x = mlp("concat_mlp", 1024)(jnp.concatenate(layers, -1), mask, train=train)
        # Behind a ReLU zero is the least value, so padded faces never win.
        x = max_over(x * mask[..., None].astype(x.dtype), 1)
        for layer, width in enumerate((512, self.embedding_size), start=1):
            x = nn.relu(Linear(width, dtype=self.dtype, name=f"linear{layer}")(x))
            if layer == 1:
                x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return x.astype(jnp.float32)


meshnet = builder(MeshNet)
