"""What stages write down as JSON, read and checked: one reader for every kind of file.

Imports no torch: tables and plans are made from these. Each reader returns the plain values as they
were written, once it has seen that what others take from them is there and can be true. What a
system writes besides is read by its own wing, with the same :mod:`pruning.checks`.
"""

import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pruning import checks, registry
from pruning.errors import PruningError
from pruning.seals import AGAIN

_SUMMARY = {
    "network": checks.TEXT,
    "data": checks.MAPPING,
    "seed": checks.COUNT,
    "training_time": checks.AMOUNT,
    "macs": checks.AMOUNT,
    "training_steps": checks.COUNT,
    "training_macs": checks.AMOUNT,
    "scores": checks.MAPPING,
}
_CELL = {
    "metric": checks.TEXT,
    "method": checks.TEXT,
    "variant": checks.NAME,
    "level": checks.COUNT,
    "density": checks.DENSITY,
    "mask_density": checks.SHARE,
    "effective_density": checks.SHARE,
    "collapsed_layers": checks.COUNT,
    "pruned_at": checks.AMOUNT,
    "retrain_time": checks.AMOUNT,
}
_MASK = {
    "density": checks.DENSITY,
    "mask_density": checks.SHARE,
    "kept": checks.COUNT,
    "macs": checks.AMOUNT,
}
_LEFT = {key: _CELL[key] for key in ("effective_density", "collapsed_layers")}
_BY_LAYER = ("effective_by_layer", "kept_by_layer", "prunable_by_layer")
_REPORT = {
    **dict.fromkeys(_BY_LAYER, checks.COUNTS),
    "kind_by_layer": checks.MAPPING,
    "channel_sparsity": checks.HISTOGRAM,
    "density": checks.DENSITY,
    "config": checks.MAPPING,
}


def read_summary(path: Path | str) -> dict[str, Any]:
    """What a training was and came to: ``summary.json``.

    Raises:
        PruningError: as of :func:`pruning.files.read_json`; or a key is missing or of the wrong
            kind, a score is not finite although its split has examples, or lies out of its bounds.
    """
    told = checks.read(path, _SUMMARY, _CELL)
    checks.require(path, told["data"], {"dataset": checks.TEXT}, where="data: ")
    check_scores(told, path)
    return told


def check_scores(summary: Mapping[str, Any], path: Path | str) -> None:
    """Refuse scores that no network has.

    Raises:
        PruningError: see :func:`read_summary`.
    """
    images = summary["data"].get("images")
    images = images if isinstance(images, Mapping) else {}
    for split, scores in summary["scores"].items():
        if not isinstance(scores, Mapping):
            raise checks.wrong(path, f"scores: {split}", scores, checks.MAPPING[0])
        # A split without examples has no scores; where they are not counted, none may have any.
        empty = images[split] == 0 if split in images else all(map(_is_nan, scores.values()))
        for name, value in scores.items():
            if empty and _is_nan(value):
                continue
            low, high = _bounds(name)
            if not checks.is_number(value) or not low <= value <= high:
                within = f" from {low:g} to {high:g}" if low > -math.inf else ""
                raise checks.wrong(
                    path, f"scores: {split}: {name}", value, checks.NUMBER[0] + within
                )


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


@cache
def _bounds(name: str) -> tuple[float, float]:
    """Of a score, also of one that a stage took at another time, like ``start_accuracy``."""
    for metric in registry.known("metric"):
        if name == metric or name.startswith(f"{metric}_") or name.endswith(f"_{metric}"):
            bounds = registry.load(registry.entry("metric", metric)).bounds
            return bounds or (-math.inf, math.inf)
    return -math.inf, math.inf


def read_timing(path: Path | str) -> dict[str, Any]:
    """How long a training took: ``timing.json``."""
    return checks.read(path, {"seconds": checks.AMOUNT})


def read_mask_facts(path: Path | str) -> dict[str, Any]:
    """What trainings ask of a mask: ``mask.json``."""
    return checks.read(path, _MASK, {"tensors": checks.TEXT, "prunable": checks.COUNT})


def read_report(path: Path | str) -> dict[str, Any]:
    """What a mask leaves of a network: ``report.json``."""
    return checks.read(path, _LEFT, _REPORT)


def read_layers(path: Path | str) -> dict[str, Any]:
    """As :func:`read_report`, with all that tables of layers and channels take from it."""
    facts = {key: _SUMMARY[key] for key in ("network", "data", "seed")}
    told = checks.read(path, _REPORT | facts)
    checks.require(path, told["data"], {"dataset": checks.TEXT}, where="data: ")
    layers = told["kept_by_layer"]
    if any(told[key].keys() != layers.keys() for key in (*_BY_LAYER, "kind_by_layer")):
        raise PruningError(f"{path} does not have the same layers throughout. {AGAIN}")
    for layer in layers:
        effective, kept, prunable = (told[key][layer] for key in _BY_LAYER)
        if not effective <= kept <= prunable:
            raise PruningError(f"{path}: {layer} keeps more weights than it has. {AGAIN}")
    return told
