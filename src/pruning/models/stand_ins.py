"""What stands in a network in place of layers that were taken out of it."""

import torch
from torch import Tensor, nn


class Nothing(nn.Module):
    """In place of the first layer of a body that is gone: one number, for activations to pass."""

    def forward(self, x: Tensor) -> Tensor:
        """Zero, in as many dimensions as ``x`` has."""
        return x.new_zeros([1] * x.ndim)


class Constant(nn.Module):
    """In place of the last layer of a body that is gone: one number per channel.

    Args:
        channels: how many.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("value", torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """The numbers, (1, channels, 1, ...), whatever ``x`` is."""
        return self.value.view(1, -1, *[1] * (x.ndim - 2))
