"""What masks keep of each layer, and how sparse output channels are: two tables of a study."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from pruning.analysis.records import read_layers
from pruning.errors import PruningError

CELL = ("study", "network", "dataset", "seed", "method", "variant", "pruned_at", "level", "density")
LAYERS = (*CELL, "layer", "position", "kind", "prunable", "kept", "effective")
CHANNELS = (*CELL, "sparsity", "channels")


def mask_tables(study: str, files: Iterable[Path | str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both tables from the reports of the masks of a family.

    A row of the first is a layer of a mask: how many weights it has (``prunable``), how many are
    ``kept`` and how many of those on a path from input to output (``effective``); ``kind`` is
    ``kernel``, or ``norm_scale`` where a method ranked batch-norm scales too. A row of the second
    is a bin of channel sparsity: ``channels`` output channels have lost ``sparsity`` to
    ``sparsity`` + 0.01 of their weights; 1 are those that have lost all.

    Raises:
        PruningError: a file is missing, damaged, or of another kind of mask.
    """
    layers, channels = [], []
    for file in files:
        told = read_layers(file)
        cell = _cell(study, told, str(file))
        for position, (name, kept) in enumerate(told["kept_by_layer"].items()):
            layers.append(
                {
                    **cell,
                    "layer": name,
                    "position": position,
                    "kind": told["kind_by_layer"][name],
                    "prunable": told["prunable_by_layer"][name],
                    "kept": kept,
                    "effective": told["effective_by_layer"][name],
                }
            )
        counts = told["channel_sparsity"]
        channels += [
            {**cell, "sparsity": place / (len(counts) - 1), "channels": count}
            for place, count in enumerate(counts)
            if count
        ]
    return pd.DataFrame(layers, columns=list(LAYERS)), pd.DataFrame(
        channels, columns=list(CHANNELS)
    )


def _cell(study: str, told: dict[str, Any], file: str) -> dict[str, Any]:
    try:
        _, method, variant, *epoch = told["config"]["chain"].split("/")
        return {
            "study": study,
            "network": told["network"],
            "dataset": told["data"]["dataset"],
            "seed": told["seed"],
            "method": method,
            "variant": variant,
            "pruned_at": float(epoch[0].removeprefix("e")) if epoch else None,
            "level": told["config"]["level"],
            "density": told["density"],
        }
    except (KeyError, ValueError):
        raise PruningError(
            f"{file} does not say which method's mask it describes. Delete it; the next run makes "
            "it anew."
        ) from None
