"""Critic and losses of the search, in PyTorch as they ran: the recipe to rebuild in Keras."""

import math

import torch
import torch.nn.functional as F
from torch import nn


def bend(x):
    return F.leaky_relu(x, 0.2)


def he(layer, gain=1.4):
    """Normal weights of deviation gain / sqrt(inputs); gain .3 for the generator's colours."""
    nn.init.normal_(layer.weight, std=gain / math.sqrt(layer.weight[0].numel()))
    nn.init.zeros_(layer.bias)
    return layer


def pixel_norm(x):
    """After each convolution of the generator: every place's maps get a mean square of one."""
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-6)


class Critic(nn.Module):
    """Strided 4x4 convolutions and two dense layers, without normalisation."""

    def __init__(self, widths=(32, 64, 128)):
        super().__init__()
        sizes = zip((3, *widths), widths, strict=False)
        self.convs = nn.ModuleList([he(nn.Conv2d(a, b, 4, 2, 1)) for a, b in sizes])
        self.dense, self.last = he(nn.Linear(16 * widths[-1], 128)), he(nn.Linear(128, 1), 1.0)

    def forward(self, x):
        for conv in self.convs:
            x = bend(conv(x))
        return self.last(bend(self.dense(x.flatten(1))))[:, 0]


def critic_loss(critic, real, fake, penalised, gamma=0.1, every=4):
    """Pairs of real and generated pictures; every fourth time with both penalties, times four."""
    real, fake = real.detach().requires_grad_(True), fake.detach().requires_grad_(True)
    of_real, of_fake = critic(real), critic(fake)
    loss = F.softplus(of_fake - of_real).mean()
    if penalised:
        for x, score in [(real, of_real), (fake, of_fake)]:
            slope = torch.autograd.grad(score.sum(), x, create_graph=True)[0]
            loss = loss + gamma * every / 2 * slope.square().sum((1, 2, 3)).mean()
    return loss


def generator_loss(critic, real, fake):
    """real: a fresh batch. Then the average's keep is min(.999, (1 + n) / (10 + n))."""
    with torch.no_grad():
        of_real = critic(real)
    return F.softplus(of_real - critic(fake)).mean()
