"""Accuracies that were published with global sparse momentum SGD (Ding et al. 2019).

They are carried in ``resources/published/gsm.csv``, whose README says where they are from.
"""

from pathlib import Path

import pandas as pd

from pruning.analysis import FOLDER
from pruning.analysis.published import Accuracies

# ``table`` is the number of the paper's table, ``accuracy`` top-1 in percent.
PUBLISHED = (
    "source",
    "table",
    "network",
    "dataset",
    "method",
    "variant",
    "density",
    "accuracy",
    "note",
)
ACCURACIES = Accuracies("gsm", PUBLISHED)
SOURCE = "gsm2019"

SAME_DENSITY = 0.02  # relative; published ratios have one decimal, and a mask a whole count


def published(source: str = SOURCE, folder: Path | str = FOLDER) -> pd.DataFrame:
    """Published accuracies of one source, in percent: :data:`PUBLISHED`.

    Methods have the names of the table ``gsm`` of a study, others those under which the paper cites
    them; the dense network that one of these started from is its row of density 1.

    See :meth:`pruning.analysis.published.Accuracies.read`.
    """
    return ACCURACIES.read(source, folder)


def check_reference(reference: str, folder: Path | str = FOLDER) -> None:
    """Refuse a reference to what was never published.

    See :meth:`pruning.analysis.published.Accuracies.check`.
    """
    ACCURACIES.check(reference, folder)


def published_for(
    reference: str, network: str, dataset: str, folder: Path | str = FOLDER
) -> pd.DataFrame:
    """Published accuracies to hold beside a study's.

    See :meth:`pruning.analysis.published.Accuracies.read_for`.
    """
    return ACCURACIES.read_for(reference, network, dataset, folder)


def same_density(densities: pd.Series, density: pd.Series | float) -> pd.Series:
    """Which densities are the wanted one, but for how a ratio and a count are rounded."""
    return (densities / density - 1).abs() <= SAME_DENSITY + 1e-9
