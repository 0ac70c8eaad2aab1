"""Where the scores of a search start."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from pruning.errors import look_up

Shape = tuple[int, ...]


def uniform(shape: Shape, source: torch.Generator) -> Tensor:
    """Uniform in [0, 1): about half of the weights are active at first."""
    return torch.rand(shape, generator=source)


def half(shape: Shape, source: torch.Generator) -> Tensor:
    """0.5 throughout, which rounds to 0; no random draw."""
    return torch.full(shape, 0.5)


def bernoulli(shape: Shape, source: torch.Generator) -> Tensor:
    """0 or 1, each with probability one half."""
    return torch.randint(2, shape, generator=source).float()


def bimodal(shape: Shape, source: torch.Generator) -> Tensor:
    """Beta(0.1, 0.1): close to 0 or close to 1."""
    return _beta(0.1, 0.1, shape, source)


def skewed(shape: Shape, source: torch.Generator) -> Tensor:
    """Beta(1, 5): most are close to 0."""
    return _beta(1.0, 5.0, shape, source)


def kaiming_uniform(shape: Shape, source: torch.Generator) -> Tensor:
    """Uniform within 1/sqrt(fan_in), as PyTorch draws kernels; of either sign."""
    return nn.init.kaiming_uniform_(torch.empty(shape), a=math.sqrt(5), generator=source)


INITIALIZATIONS: Mapping[str, Callable[[Shape, torch.Generator], Tensor]] = {
    "uniform": uniform,
    "half": half,
    "bernoulli": bernoulli,
    "bimodal": bimodal,
    "skewed": skewed,
    "kaiming_uniform": kaiming_uniform,
}


def draw(initialization: str, shape: Shape, source: torch.Generator) -> Tensor:
    """Fresh scores, float32.

    Args:
        initialization: a key of :data:`INITIALIZATIONS`.
        shape: of the weights.
        source: of this tensor alone.

    Raises:
        PruningError: no such initialization.
    """
    return look_up("initialization of scores", initialization, INITIALIZATIONS)(shape, source)


def _beta(a: float, b: float, shape: Shape, source: torch.Generator) -> Tensor:
    """By the inverse of the distribution function: torch draws none from a generator."""
    from scipy.special import betaincinv  # here, as few searches start from it

    draws = torch.rand(shape, generator=source, dtype=torch.float64)
    return torch.from_numpy(betaincinv(a, b, draws.numpy())).float()
