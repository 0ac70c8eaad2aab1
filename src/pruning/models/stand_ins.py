"""What stands in a network in place of layers that were taken out of it, and of channels."""

import torch
from torch import Tensor, nn


class Nothing(nn.Module):
    """In place of the first layer of a body that is gone: one channel of zeros.

    It has the size that the body's output has, for activations to pass and the last layer to fill.

    Args:
        strides: by which the body makes each side of an image smaller.
    """

    def __init__(self, strides: tuple[int, ...]) -> None:
        super().__init__()
        self.strides = strides

    def forward(self, x: Tensor) -> Tensor:
        """Zeros (N, 1, ...), whatever ``x`` (N, C, ...) is."""
        sides = [-(-n // stride) for n, stride in zip(x.shape[2:], self.strides, strict=True)]
        return x.new_zeros(x.shape[0], 1, *sides)


class Constant(nn.Module):
    """In place of the last layer of a body that is gone: one number per channel.

    Args:
        channels: how many.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("value", torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """The numbers in every place of ``x`` (N, 1, ...); a tensor of its own, to be added to."""
        value = self.value.view(1, -1, *[1] * (x.ndim - 2))
        return value.expand(x.shape[0], -1, *x.shape[2:]).clone()


def select(layer: nn.Module, given: tuple[Tensor]) -> Tensor:
    """A hook before a gated layer: the channels that it reads."""
    if layer.reads.device != given[0].device:
        layer.reads = layer.reads.to(given[0].device)
    return given[0].index_select(1, layer.reads)


def spread(layer: nn.Module, given: tuple[Tensor], made: Tensor) -> Tensor:
    """A hook behind a gated layer: its channels in a wider tensor that is zero elsewhere."""
    if layer.writes.device != made.device:
        layer.writes = layer.writes.to(made.device)
    wide = made.new_zeros(made.shape[0], layer.width, *made.shape[2:])
    return wide.index_copy(1, layer.writes, made)
