"""Accuracies that were published with global sparse momentum SGD (Ding et al. 2019).

They are carried in ``resources/published/gsm.csv``, whose README says where they are from.
"""

import pandas as pd

from pruning.analysis.published import Accuracies

# ``table`` is the number of the paper's table, ``accuracy`` top-1 in percent. Methods have the
# names of the table ``gsm`` of a study, others those under which the paper cites them; the dense
# network that one of these started from is its row of density 1.
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
published = ACCURACIES.read
check_reference = ACCURACIES.check
published_for = ACCURACIES.read_for
SOURCE = "gsm2019"

SAME_DENSITY = 0.02  # relative; published ratios have one decimal, and a mask a whole count


def same_density(densities: pd.Series, density: pd.Series | float) -> pd.Series:
    """Which densities are the wanted one, but for how a ratio and a count are rounded."""
    return (densities / density - 1).abs() <= SAME_DENSITY + 1e-9
