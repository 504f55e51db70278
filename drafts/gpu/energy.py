"""The energy by denoising score matching, in PyTorch as it ran; pictures 32x32 in [-1, 1]."""

import math
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

LOW, HIGH, SPREAD = 0.03, 5.0, 0.6  # noise levels; rough deviation of the pixels


class Energy(nn.Module):
    """E(x, s) = x² / (2 (s² + SPREAD²)) + 10 SPREAD / s * body: its slope times s² is the noise."""

    def __init__(self, widths=(32, 64, 96)):
        super().__init__()
        sizes = list(zip((1, *widths), widths, strict=False))
        self.first = nn.ModuleList([nn.Conv2d(a, b, 3, padding=1) for a, b in sizes])
        self.second = nn.ModuleList([nn.Conv2d(b, b, 3, padding=1) for _, b in sizes])
        self.levels = nn.ModuleList([nn.Linear(16, b) for _, b in sizes])
        self.dense, self.last = nn.Linear(16 * widths[-1], 64), nn.Linear(64, 1, bias=False)
        self.register_buffer("waves", 0.5 * torch.arange(1, 9).float())

    def body(self, x, sigma):
        angles = sigma.log()[:, None] * self.waves
        told = torch.cat([angles.sin(), angles.cos()], 1)
        for first, second, level in zip(self.first, self.second, self.levels, strict=True):
            x = F.silu(first(x) + level(told)[:, :, None, None])
            x = F.avg_pool2d(F.silu(second(x)), 2)
        return self.last(F.silu(self.dense(x.flatten(1))))[:, 0]

    def forward(self, x, sigma):
        total = sigma**2 + SPREAD**2
        bowl = x.square().sum((1, 2, 3)) / (2 * total)
        scaled = x * total.rsqrt()[:, None, None, None]
        return bowl + SPREAD / sigma * 10 * self.body(scaled, sigma)


def slope(energy, x, sigma, create_graph=False):
    with torch.enable_grad():
        x = x.detach().requires_grad_(True)
        return torch.autograd.grad(energy(x, sigma).sum(), x, create_graph=create_graph)[0]


def loss(energy, clean):
    """Adam 1e-3 falling to 0 as a cosine, gradients clipped to norm 1, average .999, batch 128."""
    sigma = LOW * torch.exp(torch.rand(len(clean)) * math.log(HIGH / LOW))
    wide, noise = sigma[:, None, None, None], torch.randn_like(clean)
    missed = noise - wide * slope(energy, clean + wide * noise, sigma, create_graph=True)
    return (missed * (1 + (wide / SPREAD) ** 2).sqrt()).square().mean()


def langevin(energy, count, levels=20, steps=10, size=0.3):
    """Annealed Langevin from wide noise; ends with the mean of the clean pictures."""
    x = HIGH * torch.randn(count, 1, 32, 32)
    for sigma in np.geomspace(HIGH, LOW, levels):
        s = torch.full((count,), float(sigma))
        for _ in range(steps):
            kick = math.sqrt(2 * size) * sigma * torch.randn_like(x)
            x = x - size * sigma**2 * slope(energy, x, s) + kick
    return x - sigma**2 * slope(energy, x, s)


def jump(energy, count, levels=100, fresh=1.0):
    """Level by level: to the mean of the clean pictures, then part of the way back with noise."""
    sigmas = np.append(np.geomspace(HIGH, LOW, levels), 0.0)
    x = HIGH * torch.randn(count, 1, 32, 32)
    for now, after in pairwise(sigmas):
        clean = x - now**2 * slope(energy, x, torch.full((count,), float(now)))
        new = fresh * after * math.sqrt(1 - (after / now) ** 2)
        kept = math.sqrt(max(after**2 - new**2, 0))
        x = clean + kept / now * (x - clean) + new * torch.randn_like(x)
    return x
