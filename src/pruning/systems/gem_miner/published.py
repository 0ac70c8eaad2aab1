"""Numbers that were published with searches of random networks (Sreenivasan et al. 2022).

They are carried in ``resources/published/gem_miner.csv`` and ``gem_miner_layers.csv``, whose README
says where they are from. How far a number can be trusted stands beside it: ``paper``, ``development
run`` (a log in the authors' repository, one seed, usually not the published point), ``read from a
picture``, ``authors' repository``.
"""

from pathlib import Path

import pandas as pd

from pruning.analysis import FOLDER
from pruning.analysis.published import Accuracies
from pruning.analysis.tidy import read_table

# ``table`` is where the paper has it, ``accuracy`` top-1 in percent, ``moment`` before or after
# training.
PUBLISHED = (
    "source",
    "table",
    "network",
    "dataset",
    "method",
    "variant",
    "density",
    "moment",
    "accuracy",
    "trust",
    "note",
)
LAYERS = ("source", "network", "dataset", "method", "density", "layer", "kept", "trust")
ACCURACIES = Accuracies("gem_miner", PUBLISHED)
check_reference = ACCURACIES.check
published_for = ACCURACIES.read_for
SAME_DENSITY = 0.02  # relative


def layers_for(
    reference: str, network: str, dataset: str, density: float, folder: Path | str = FOLDER
) -> pd.DataFrame:
    """Published shares of weights that single layers keep.

    Args:
        reference: a source.
        network, dataset: only of these; layers of another network are no counterparts.
        density: of the whole network, met to within 2 %.
        folder: of published numbers.

    Returns:
        ``method``, ``density``, ``position`` (from 0), and ``mean`` in percent.
    """
    table = read_table(Path(folder, "gem_miner_layers.csv"), LAYERS)
    chosen = table["source"] == reference.partition(":")[0]
    chosen &= (table["network"] == network) & (table["dataset"] == dataset)
    chosen &= (table["density"] / density - 1).abs() <= SAME_DENSITY
    rows = table[chosen]
    rows = rows.assign(position=rows["layer"] - 1, mean=rows["kept"])
    return rows[["method", "density", "position", "mean"]]
