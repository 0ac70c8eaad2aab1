"""What a training that shrinks leaves besides metrics: tables of layers, channels and seconds."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pruning.systems.prunetrain.cost import LayerCost, layers
from pruning.systems.prunetrain.method import Result
from pruning.systems.prunetrain.reconfiguration import pair_sizes

MATRICES = 6  # convolutions whose filters are written down one by one

FILTER = ("layer", "position", "input", "output", "size")  # columns; a network may have none

Row = dict[str, Any]


def layer_rows(before: nn.Module, after: nn.Module, example: tuple[Tensor, ...]) -> list[Row]:
    """Channels and costs of every layer before training and after.

    Args:
        before: the network as built.
        after: in the shape it has at the end.
        example: what both take, a batch of one.
    """
    left = {layer.name: layer for layer in layers(after, example)}
    return [
        {
            "layer": layer.name,
            "position": position,
            **_named(layer, "_before"),
            **_named(left.get(layer.name), ""),
        }
        for position, layer in enumerate(layers(before, example))
    ]


def _named(layer: LayerCost | None, suffix: str) -> Row:
    names = ("inputs", "outputs", "inference_macs", "training_macs")
    return {f"{name}{suffix}": getattr(layer, name) if layer else 0 for name in names}


def channel_rows(result: Result) -> list[Row]:
    """Largest |w| of every output channel whenever a reconfiguration was due."""
    return [
        {
            "epoch": epoch,
            "layer": name,
            "position": position,
            "channel": int(channel),
            "size": float(size),
        }
        for epoch, by_layer in sorted(result.sizes.items())
        for position, (name, found) in enumerate(by_layer.items())
        for channel, size in zip(result.history[epoch][name], found, strict=True)
    ]


def filter_rows(result: Result) -> list[Row]:
    """Largest |w| of every pair of channels before the last reconfiguration, of some layers.

    These are :data:`MATRICES` convolutions, evenly spaced from the first to the last.
    """
    weights = _matrices(result.last.weights)
    if not weights:
        return []
    chosen = sorted({round(i) for i in torch.linspace(0, len(weights) - 1, MATRICES).tolist()})
    names = list(weights)
    return [
        {
            "layer": names[position].removesuffix(".weight"),
            "position": position,
            "input": column,
            "output": row,
            "size": float(sizes[row, column]),
        }
        for position in chosen
        for sizes in [weights[names[position]]]
        for row in range(len(sizes))
        for column in range(sizes.shape[1])
    ]


def _matrices(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: pair_sizes(weight) for name, weight in weights.items() if weight.ndim > 2}


def second_rows(result: Result) -> Iterator[Row]:
    """What the steps of each epoch took, beside what decides it."""
    step = 0
    for row, seconds in zip(result.trained.metrics, result.trained.epoch_seconds, strict=True):
        yield {
            "epoch": row["epoch"],
            "steps": row["step"] - step,
            "batch": row["batch"],
            "parameters": row["parameters"],
            "seconds": round(seconds, 4),
        }
        step = row["step"]
