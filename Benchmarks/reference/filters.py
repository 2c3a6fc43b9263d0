"""Convolutions whose filters are normalized where they are used: WeightAlign (Shi et al., 2020), spectral norm (Miyato et al., 2018)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from osnet import AggregationGate

FLOOR = 1e-5


class NormalizedConvolution(nn.Conv2d):
    """In the place of a plain one."""

    def __init__(self, plain: nn.Conv2d) -> None:
        super().__init__(
            plain.in_channels, plain.out_channels, plain.kernel_size, plain.stride, plain.padding,
            bias=plain.bias is not None)

    def used(self) -> Tensor:
        """The filters as they are used (O, I, k, k)."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.used(), self.bias)


class AlignedConvolution(NormalizedConvolution):
    """Filters g·(W − mean) / (√(variance + 1e-5)·√(n/2)) of n = I·k² weights each; what is trained is W and g."""

    def __init__(self, plain: nn.Conv2d) -> None:
        super().__init__(plain)
        self.gain = nn.Parameter(torch.ones(plain.out_channels))

    def used(self) -> Tensor:
        variance, mean = torch.var_mean(self.weight, dim=(1, 2, 3), correction=0, keepdim=True)
        scale = math.sqrt(self.weight[0].numel() / 2)
        return self.gain[:, None, None, None] * (self.weight - mean) / ((variance + FLOOR).sqrt() * scale)


class SpectralConvolution(NormalizedConvolution):
    """W/σ, W as a matrix of a row a filter; σ = uᵀWv after ten rounds of v ← unit(Wᵀu), u ← unit(Wv) from u_o = cos o, not derived."""

    def used(self) -> Tensor:
        matrix = self.weight.flatten(1)
        with torch.no_grad():
            u = torch.cos(torch.arange(matrix.shape[0], dtype=matrix.dtype))
            for _ in range(10):
                v = nn.functional.normalize(matrix.T @ u, dim=0)
                u = nn.functional.normalize(matrix @ v, dim=0)
        return self.weight / (u @ matrix @ v)


FILTERS = {"aligned": AlignedConvolution, "spectral": SpectralConvolution}


def replace(module: nn.Module, kind: type[NormalizedConvolution]) -> None:
    """Puts one of this kind in the place of every convolution of maps within, but for those of each channel by itself."""
    if isinstance(module, AggregationGate):
        return
    for name, child in module.named_children():
        if isinstance(child, nn.Conv2d) and child.groups == 1:
            setattr(module, name, kind(child))
        else:
            replace(child, kind)


def used(convolution: nn.Conv2d) -> Tensor:
    """The weights that a convolution multiplies by."""
    return convolution.used() if isinstance(convolution, NormalizedConvolution) else convolution.weight


class ChannelBias(nn.Module):
    """What stands in the place of a norm: a shift a channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bias[:, None, None]


def bias_for_norms(module: nn.Module) -> None:
    """Every batch norm of a trunk becomes a bias."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, ChannelBias(child.num_features))
        else:
            bias_for_norms(child)
