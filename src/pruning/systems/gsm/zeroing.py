"""What is left when the smallest weights are set to zero: what GSM is trained for.

Ding et al. 2019 (arXiv 1909.12778): after the training the weights outside the global top Q by
magnitude are set to zero, once, with nothing trained afterwards.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pruning.masks import mask as masking
from pruning.masks.threshold_rules import select_by
from pruning.systems.gsm.threshold import gsm
from pruning.training.callback import Callback, EpochEnd, Row
from pruning.training.evaluate import evaluate_split, evaluate_splits
from pruning.training.state import State, load_into
from pruning.training.task import Task

SMALL = (1e-3, 1e-4)  # |w| below which the paper's momentum study counts weights
# Edges of the histogram of |w|: ten bins per decade; the first holds everything below, and zero.
EDGES = (0.0, *(10 ** (exponent / 10) for exponent in range(-120, 21)))


def keep_largest(weights: Mapping[str, Tensor], density: float) -> masking.Masks:
    """Masks of the globally largest weights, counted as in the authors' code."""
    magnitudes = {name: weight.detach().abs() for name, weight in weights.items()}
    return select_by(gsm, magnitudes, density, masking.dense(magnitudes, list(magnitudes)))


class Zeroing(Callback):
    """What is written down at the end of every epoch of a training by GSM.

    The task's scores if the network were zeroed now, as ``zeroed_test_accuracy`` and so on, and the
    share of its prunable weights below each of :data:`SMALL`.

    Args:
        task: data, and which weights are prunable.
        density: that the network is to have.
    """

    def __init__(self, task: Task, density: float) -> None:
        self.task, self.density, self.names = task, density, task.prunable()

    def end_epoch(self, module: nn.Module, optimizer: torch.optim.Optimizer) -> EpochEnd:
        """The columns; the network is as it was afterwards."""
        parameters = dict(module.named_parameters())
        weights = {name: parameters[name] for name in self.names}
        with _zeroed(weights, keep_largest(weights, self.density)):
            scores = evaluate_splits(module, self.task)
        found: Row = {
            f"zeroed_{split}_{metric}": value
            for split, values in scores.items()
            for metric, value in values.items()
        }
        return EpochEnd(found | {f"share_below_{s:g}": share_below(weights, s) for s in SMALL})


def share_below(weights: Mapping[str, Tensor], limit: float) -> float:
    """The share of all weights whose magnitude is below a limit."""
    below = sum(int((weight.detach().abs() < limit).sum()) for weight in weights.values())
    return below / sum(weight.numel() for weight in weights.values())


def histogram(weights: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> list[dict[str, Any]]:
    """How many weights have which magnitude, and the gap that zeroing cuts through.

    Args:
        weights: before zeroing.
        masks: what is kept of them.

    Returns:
        A row per bin between two :data:`EDGES` from the smallest to the largest that is not empty:
        ``low`` <= |w| < ``high`` and the ``count``; ``smallest_kept`` and ``largest_dropped``
        magnitude are the same in all rows (0 where nothing is dropped).
    """
    magnitudes = torch.cat([weight.abs().flatten() for weight in weights.values()]).double()
    kept = torch.cat([masks[name].flatten() for name in weights])
    edges = torch.tensor(EDGES, dtype=torch.float64)
    bins = torch.bucketize(magnitudes, edges, right=True).clamp_(max=len(EDGES) - 1) - 1
    counts = torch.bincount(bins, minlength=len(EDGES) - 1).tolist()
    filled = [place for place, count in enumerate(counts) if count]
    gap = {
        "smallest_kept": float(magnitudes[kept].min()),
        "largest_dropped": 0.0 if kept.all() else float(magnitudes[~kept].max()),
    }
    return [
        {"low": EDGES[place], "high": EDGES[place + 1], "count": counts[place], **gap}
        for place in range(filled[0], filled[-1] + 1)
    ]


def sensitivity(task: Task, state: State, densities: Sequence[float]) -> list[dict[str, Any]]:
    """Test score when one layer alone is pruned by magnitude (the paper's figure 2).

    Args:
        task: data and network.
        state: the trained network.
        densities: that every layer is pruned to in turn.

    Returns:
        A row per layer and density: ``layer``, its ``position`` from the input, ``layer_density``
        and the score, under the name of the task's metric and in its own unit.

    Raises:
        PruningError: a density that keeps none of a layer's weights.
    """
    module, rows = task.build().to(task.device), []
    for position, name in enumerate(task.prunable()):
        magnitude = {name: state.weights[name].abs()}
        for density in densities:
            load_into(module, state.masked(masking.select(magnitude, density)))
            scores = evaluate_split(module, task, "test")
            place = {"layer": name, "position": position, "layer_density": density}
            rows.append(place | {task.metric.name: scores[task.metric.name]})
    return rows


@contextlib.contextmanager
def _zeroed(weights: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> Iterator[None]:
    """Set what is not kept to zero, and put it back."""
    before = {name: weight.detach().clone() for name, weight in weights.items()}
    with torch.no_grad():
        for name, weight in weights.items():
            weight.mul_(masks[name])
    try:
        yield
    finally:
        with torch.no_grad():
            for name, weight in weights.items():
                weight.copy_(before[name])
