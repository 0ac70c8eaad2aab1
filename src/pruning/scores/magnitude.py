"""Magnitude: keep the weights furthest from zero (Han et al. 2015)."""

from torch import Tensor

from pruning.scores.context import ScoreContext


def magnitude(context: ScoreContext) -> dict[str, Tensor]:
    """|w|."""
    return {name: weight.abs() for name, weight in context.weights.items()}
