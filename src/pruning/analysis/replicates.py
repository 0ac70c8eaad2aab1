"""Replicates of a cell summed up by mean and standard deviation.

A *cell* is study, method, variant, the epoch of the dense training whose weights were scored
(``pruned_at``; missing where that is its end or a retraining), level and density.
"""

from collections.abc import Sequence

import pandas as pd

KEYS = ("study", "method", "variant", "pruned_at", "level", "density")


def summed_up(rows: pd.DataFrame, value: str, keys: Sequence[str] = KEYS) -> pd.DataFrame:
    """Mean, sample standard deviation and number of a value's replicates, in order of appearance.

    Rounded to six places, beyond which there is only rounding noise.
    """
    table = rows.groupby(list(keys), dropna=False, sort=False)[value].agg(["mean", "std", "count"])
    return table.rename(columns={"count": "n"}).round(6).reset_index()


def pruned(table: pd.DataFrame) -> pd.DataFrame:
    """The rows without the dense networks."""
    return table[table["method"] != "dense"]


def layer_shares(layers: pd.DataFrame, kind: str = "kernel") -> pd.DataFrame:
    """Share of each layer's weights that is kept, in percent.

    Args:
        layers: a table of layers, see :mod:`pruning.analysis.mask_tables`.
        kind: of the weights.

    Returns:
        :data:`KEYS`, ``position``, ``layer``; ``mean``, ``std`` and ``n``; ``empty``, the number
        of replicates that keep none.
    """
    rows = layers[layers["kind"] == kind]
    rows = rows.assign(share=100 * rows["kept"] / rows["prunable"], empty=rows["kept"] == 0)
    keys = [*KEYS, "position", "layer"]
    empty = rows.groupby(keys, dropna=False, sort=False)["empty"].sum()
    table = summed_up(rows, "share", keys).assign(empty=empty.to_numpy())
    return table.sort_values(["position"], kind="stable")
