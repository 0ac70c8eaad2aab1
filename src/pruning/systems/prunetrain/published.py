"""Numbers that were published with PruneTrain (Lym et al. 2019).

They are carried in ``resources/published/prunetrain.csv``, ``prunetrain_intervals.csv`` and
``prunetrain_abstracts.csv``, whose README says where they are from. How far a number can be trusted
stands beside it: ``authors' README``, ``authors' log`` (costs worked out anew from its shapes),
``computed from authors' shapes``, ``abstract``. Costs are percentages of the dense network's that
are left, named as in :mod:`pruning.systems.prunetrain.cost`.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from pruning.analysis import FOLDER
from pruning.analysis.published import Accuracies
from pruning.analysis.tidy import read_table
from pruning.errors import unknown

COSTS = (
    "training_macs",  # of the whole training
    "step_macs",  # of a training step of the last network
    "inference_macs",
    "norm_traffic",
    "activations",
    "out_channels",
    "model_elements",
    "parameters",
)
# ``accuracy`` is top-1 in percent, ``ratio`` the share of the penalty in the loss at the start (NaN
# where not stated), ``channels`` those of the convolutions, as 64-128-... ("" where not carried).
PUBLISHED = (
    "source",
    "network",
    "dataset",
    "method",
    "variant",
    "ratio",
    "accuracy",
    *COSTS,
    "channels",
    "trust",
    "note",
)
# An epoch's cost, of those from ``first_epoch`` to ``last_epoch``; epochs count from 1.
INTERVALS = (
    "source",
    "network",
    "dataset",
    "ratio",
    "first_epoch",
    "last_epoch",
    "training_macs",
    "trust",
)
# What is left of a quantity, from ``least`` to ``most`` percent; ``text`` is the paper's version.
ABSTRACTS = ("source", "text", "network", "dataset", "quantity", "least", "most", "trust")
ACCURACIES = Accuracies("prunetrain", PUBLISHED)
check_reference = ACCURACIES.check
SOURCE = "prunetrain2019"


def published(source: str, folder: Path | str = FOLDER) -> pd.DataFrame:
    """All networks that a source has; texts are never missing.

    Args:
        source: as the file's column ``source`` has it.
        folder: of published numbers.

    Raises:
        PruningError: no such source, or the file cannot be read.
    """
    return _said(ACCURACIES.read(source, folder))


def published_for(
    reference: str, network: str, dataset: str, folder: Path | str = FOLDER
) -> pd.DataFrame:
    """The networks to hold beside a study's; see
    :meth:`pruning.analysis.published.Accuracies.read_for`.
    """
    return _said(ACCURACIES.read_for(reference, network, dataset, folder))


def intervals_for(
    reference: str, network: str, dataset: str, folder: Path | str = FOLDER
) -> pd.DataFrame:
    """What an epoch of training cost, from one pruning to the next.

    Args:
        reference: a source, or one of its networks.
        network, dataset: only of these; another network's training is no counterpart.
        folder: of published numbers.

    Returns:
        :data:`INTERVALS`, in the order of ratios and epochs; no rows where none were published.

    Raises:
        PruningError: the file cannot be read.
    """
    table = read_table(Path(folder, "prunetrain_intervals.csv"), INTERVALS)
    chosen = table["source"] == reference.partition(":")[0]
    chosen &= (table["network"] == network) & (table["dataset"] == dataset)
    return table[chosen].sort_values(["ratio", "first_epoch"], ignore_index=True)


def abstracts(source: str, folder: Path | str = FOLDER) -> pd.DataFrame:
    """What abstracts say, by version of the text; a network is "" where none is known to be meant.

    Args:
        source: as the file's column ``source`` has it.
        folder: of published numbers.

    Raises:
        PruningError: no such source, or the file cannot be read.
    """
    table = read_table(Path(folder, "prunetrain_abstracts.csv"), ABSTRACTS)
    if source not in set(table["source"]):
        raise unknown("source of published abstracts", source, set(table["source"]))
    return _filled(table[table["source"] == source], ("network", "dataset"))


def _said(table: pd.DataFrame) -> pd.DataFrame:
    return _filled(table, ("channels", "note"))


def _filled(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """The table with "" for texts that are missing."""
    filled = {column: table[column].astype(object).fillna("") for column in columns}
    return table.assign(**filled).reset_index(drop=True)
