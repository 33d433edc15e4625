"""Encoders, a loss and an update as one would write them in PyTorch, to compare speed with.

Importing this file needs PyTorch, which jaxcmr itself never does.
"""

import itertools

import torch
import torch.nn.functional as F
from torch import nn


def update(optimizer, loss):
    """Takes one step against the gradient of `loss`."""
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def pair_contrast(z, temperature=0.22):
    """Returns the mean of `-log(exp(s_pair) / sum_j exp(s_j))` over `z [2 B, d]`, pairs B apart."""
    scores = (z @ z.t() / temperature).exp()
    scores = scores - torch.diag(scores.diag())
    batch = len(z) // 2
    partners = torch.cat([scores.diagonal(batch), scores.diagonal(-batch)])
    return -(partners / scores.sum(1)).log().mean()


class Rono(nn.Module):
    """RONO's losses (center, pair contrast, classification) on two networks of 256 features."""

    def __init__(self, images, points, classes):
        super().__init__()
        self.images, self.points = images, points
        self.head = nn.Sequential(nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, classes))
        self.centers = nn.Parameter(torch.randn(classes, 256))

    def center_loss(self, z, labels, ramp=0.5, tau=0.05, margin=0.3):
        unit, classes = F.normalize(self.centers), len(self.centers)
        labelled, mean = (unit[labels] * z).sum(1), z @ unit.mean(0)
        apart = (mean.exp() - ((classes + 1) / classes * labelled).exp()).mean() / tau
        pull = -(mean.exp() - labelled.exp() + margin).abs().mean() / tau
        return (1 - ramp) * apart + ramp * pull

    def class_loss(self, logits, labels):
        return 5 * (1 - logits.softmax(1).gather(1, labels[:, None])).mean()

    def forward(self, images, points, labels):
        embeddings = self.images(images), self.points(points)
        z = F.normalize(torch.cat(embeddings))
        loss = self.center_loss(z, torch.cat([labels, labels])) + 2 * pair_contrast(z)
        return loss + sum(self.class_loss(self.head(part), labels) for part in embeddings)


def mlp(kind, norm, *widths):
    """(pointwise layer, batch norm, ReLU) per step from one width to the next."""
    layers = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [kind(inputs, outputs, 1), norm(outputs), nn.ReLU()]
    return nn.Sequential(*layers)


class MnistCNN(nn.Module):
    def __init__(self):
        super().__init__()
        block = lambda i, o: [nn.Conv2d(i, o, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        dense = [nn.Linear(3136, 1024), nn.ReLU(), nn.Linear(1024, 512), nn.ReLU()]
        self.net = nn.Sequential(
            *block(1, 96), *block(96, 64), nn.Flatten(), *dense, nn.Linear(512, 256)
        )

    def forward(self, x):
        return self.net(x)


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        conv = lambda i, s: nn.Conv2d(i, outputs, 3, s, padding=1, bias=False)
        self.conv1, self.bn1 = conv(inputs, stride), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = conv(outputs, 1), nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity()
        if inputs != outputs:
            projection = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x))


class ResNet18(nn.Module):
    def __init__(self, width=64):
        super().__init__()
        stem = [nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        blocks, inputs = [], width
        for outputs, stride in ((width, 1), (2 * width, 2), (4 * width, 2), (8 * width, 2)):
            blocks += [Block(inputs, outputs, stride), Block(outputs, outputs, 1)]
            inputs = outputs
        self.net = nn.Sequential(*stem, nn.MaxPool2d(3, 2, 1), *blocks)
        self.head = nn.Sequential(
            nn.Linear(inputs, 256, bias=False), nn.BatchNorm1d(256), nn.ReLU()
        )

    def forward(self, x):
        return self.head(self.net(x).mean((2, 3)))


class PointNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = mlp(nn.Conv1d, nn.BatchNorm1d, 3, 64, 64, 64, 128, 1024)
        self.linear = nn.Linear(1024, 256, bias=False)

    def forward(self, points):
        return self.linear(self.net(points).amax(2))


class DGCNN(nn.Module):
    def __init__(self, k=20, width=64):
        super().__init__()
        self.k, w = k, width
        conv = lambda i, o: nn.Sequential(
            nn.Conv2d(2 * i, o, 1, bias=False), nn.BatchNorm2d(o), nn.LeakyReLU(0.2)
        )
        self.convs = nn.ModuleList([conv(3, w), conv(w, w), conv(w, 2 * w), conv(2 * w, 4 * w)])
        self.project = nn.Sequential(
            nn.Conv1d(8 * w, 256, 1, bias=False), nn.BatchNorm1d(256), nn.LeakyReLU(0.2)
        )
        self.head = nn.Sequential(
            nn.Linear(512, 256, bias=False), nn.BatchNorm1d(256), nn.LeakyReLU(0.01)
        )

    def edges(self, x):
        """Returns `[B, 2C, N, k]`: neighbor minus center, center."""
        square = x.square().sum(1)
        distance = square[:, :, None] - 2 * x.transpose(1, 2) @ x + square[:, None, :]
        rows = distance.topk(self.k, dim=2, largest=False)[1]
        batch, points, _ = rows.shape
        offset = torch.arange(batch, device=x.device)[:, None, None] * points
        flat = x.transpose(1, 2).reshape(batch * points, -1)
        near = flat[(rows + offset).reshape(-1)].view(batch, points, self.k, -1)
        center = x.transpose(1, 2)[:, :, None].expand_as(near)
        return torch.cat([near - center, center], 3).permute(0, 3, 1, 2).contiguous()

    def forward(self, x):
        layers = []
        for conv in self.convs:
            x = conv(self.edges(x)).amax(3)
            layers.append(x)
        x = self.project(torch.cat(layers, 1))
        return self.head(torch.cat([x.amax(2), x.mean(2)], 1))


def neighbors_of(x, rows):
    """Takes `[B, C, F, 3]`: the features of the neighbors `rows [B, F, 3]` of each face."""
    batch, channels, faces = x.shape
    index = rows.reshape(batch, 1, -1).expand(-1, channels, -1)
    return x.gather(2, index).view(batch, channels, faces, -1)


class MeshConv(nn.Module):
    def __init__(self, spatial_in, structural_in, spatial, structural):
        super().__init__()
        self.combine = mlp(nn.Conv1d, nn.BatchNorm1d, spatial_in + structural_in, spatial)
        self.pair = mlp(nn.Conv2d, nn.BatchNorm2d, 2 * structural_in, structural_in)
        self.aggregate = mlp(nn.Conv1d, nn.BatchNorm1d, structural_in, structural)

    def forward(self, spatial, structural, rows):
        near = neighbors_of(structural, rows)
        pair = torch.cat([structural[..., None].expand_as(near), near], 1)
        both = torch.cat([spatial, structural], 1)
        return self.combine(both), self.aggregate(self.pair(pair).amax(3))


class MeshNet(nn.Module):
    def __init__(self, kernels=64, sigma=0.2):
        super().__init__()
        point = lambda *widths: mlp(nn.Conv1d, nn.BatchNorm1d, *widths)
        self.sigma = sigma
        self.alpha = nn.Parameter(torch.rand(kernels, 4) * torch.pi)
        self.beta = nn.Parameter(torch.rand(kernels, 4) * 2 * torch.pi)
        self.kernel_norm = nn.BatchNorm1d(kernels)
        self.spatial = point(3, 64, 64)
        self.rotate, self.fuse = point(6, 32, 32), point(32, 64, 64)
        self.structural = point(131, 131, 131)
        self.conv1 = MeshConv(64, 131, 256, 256)
        self.conv2 = MeshConv(256, 256, 512, 512)
        self.fusion, self.concat = point(1024, 1024), point(1792, 1024)
        self.head = nn.Sequential(
            nn.Linear(1024, 512), nn.ReLU(), nn.Dropout(0.5), nn.Linear(512, 256), nn.ReLU()
        )

    def correlate(self, normals, rows):
        alpha, beta = self.alpha, self.beta
        parts = [alpha.sin() * beta.cos(), alpha.sin() * beta.sin(), alpha.cos()]
        directions = torch.stack(parts)[None, :, :, None, None, :]  # [1, 3, K, 1, 1, 4]
        all_normals = torch.cat([normals[..., None], neighbors_of(normals, rows)], 3)
        difference = all_normals[:, :, None, :, :, None] - directions  # [B, 3, K, F, 4, 4]
        near = torch.exp(difference.square().sum(1) / (-2 * self.sigma**2))
        return F.relu(self.kernel_norm(near.mean((3, 4))))

    def forward(self, mesh):
        centers, corners, normals, rows = mesh
        first, second, third = corners.chunk(3, 1)
        pairs = ((first, second), (second, third), (third, first))
        turned = sum(self.rotate(torch.cat(pair, 1)) for pair in pairs) / 3
        parts = [self.fuse(turned), self.correlate(normals, rows), normals]
        spatial, structural = self.spatial(centers), self.structural(torch.cat(parts, 1))
        spatial1, structural = self.conv1(spatial, structural, rows)
        spatial2, structural = self.conv2(spatial1, structural, rows)
        fused = self.fusion(torch.cat([spatial2, structural], 1))
        return self.head(self.concat(torch.cat([spatial1, spatial2, fused], 1)).amax(2))
