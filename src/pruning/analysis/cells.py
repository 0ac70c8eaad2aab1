"""What every figure and claim about re-training methods starts from: one row per cell.

A *cell* is study, pruning mode, method, level and retrain time; its replicates are summed up by
median, minimum and maximum, as in Renda et al. (2020). Published results come in the same columns,
so that they can be drawn over a study's own and held to the same claims.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from pruning.analysis import SAFE_ZONE
from pruning.analysis.score import only, scored, signs
from pruning.errors import PruningError

COLUMNS = (
    "study",
    "network",
    "dataset",
    "variant",
    "method",
    "level",
    "density",
    "compression_ratio",
    "retrain_time",
    "training_time",
    "metric",
    "unit",
    "n",
    "median",
    "min",
    "max",
    "validation",
    "n_macs",
    "macs",
    "macs_min",
    "macs_max",
    "dense_macs",
)


def cells(tidy: pd.DataFrame) -> pd.DataFrame:
    """Sum up the replicates of every cell.

    Args:
        tidy: tidy table of one or more studies, see :mod:`pruning.analysis.tidy`.

    Returns:
        The columns :data:`COLUMNS`. ``median``, ``min`` and ``max`` are changes of the test score
        against the *mean* of the study's dense networks, in ``unit``: that of a change of the
        study's score, ``metric``; ``validation`` is the median validation score in the metric's own
        unit; ``n_macs`` counts the replicates with a cost, ``macs`` is its median. Rows of the
        dense networks have method "dense", level 0 and an empty variant.

    Raises:
        PruningError: a study without dense networks, or with no score that is known.
    """
    rows = scored(tidy, split=None)
    tables = [_one_study(str(name), group) for name, group in rows.groupby("study", sort=False)]
    return pd.concat(tables, ignore_index=True)[list(COLUMNS)]


def _one_study(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    metric = only(rows["metric"])
    rows = rows.assign(variant=rows["variant"].fillna(""))
    test = rows[rows["split"] == "test"].copy()
    dense = test[test["method"] == "dense"]
    if dense.empty:
        raise PruningError(f"Study {name!r} has no dense networks to compare with.")
    test["change"] = metric.factor * (test["value"] - dense["value"].mean())
    keys = ["variant", "method", "level", "retrain_time"]
    table = test.groupby(keys, dropna=False, sort=False).agg(
        network=("network", "first"),
        dataset=("dataset", "first"),
        density=("density", "first"),
        training_time=("training_time", "first"),
        n=("change", "size"),
        median=("change", "median"),
        min=("change", "min"),
        max=("change", "max"),
        n_macs=("macs", "count"),
        macs=("macs", "median"),
        macs_min=("macs", "min"),
        macs_max=("macs", "max"),
    )
    validation = rows[rows["split"] == "validation"]
    medians = validation.groupby(keys, dropna=False)["value"].median()
    table["validation"] = medians.reindex(table.index)
    # Beyond six places there is only rounding noise, which must not decide between cells that tie.
    numbers = ["median", "min", "max", "validation"]
    table[numbers] = table[numbers].round(6) + 0.0
    table["dense_macs"] = dense["macs"].median()
    table = table.reset_index().assign(study=name, metric=metric.name, unit=metric.change_unit)
    table["compression_ratio"] = 1 / table["density"]
    return table.sort_values(["variant", "method", "level", "retrain_time"], kind="stable")


def pruned(table: pd.DataFrame) -> pd.DataFrame:
    """The cells without the dense networks."""
    return table[table["method"] != "dense"]


def best_validated(table: pd.DataFrame) -> pd.DataFrame:
    """Per study, mode, method and level the retrain time that validates best.

    That is the one with the best median *validation* score, the highest or the lowest as the metric
    has it; ties go to the shortest time. Test data select nothing. Dense networks stay.

    Raises:
        PruningError: a choice has to be made, and nothing was validated.
    """
    keys = ["study", "variant", "method", "level"]
    blind = table[table["validation"].isna()]
    if blind.duplicated(keys).any():
        raise PruningError(
            f"Study {blind['study'].iloc[0]!r} has several retrain times but no validation score "
            "to choose one by. Give it a `validation` fraction above 0."
        )
    gain = table["validation"] * signs(table["metric"])
    ranked = table.assign(gain=gain).sort_values(
        ["gain", "retrain_time"], ascending=[False, True], kind="stable"
    )
    best = ranked.drop_duplicates(keys).index
    return table.loc[table.index.isin(best)]


def single_rule(table: pd.DataFrame, methods: Iterable[str]) -> pd.DataFrame:
    """One retrain time per method, chosen without looking at any result (Renda et al., F2 and F3).

    Weight rewinding retrains for the longest time of the grid within 0.9 T, as rewinding to the
    very beginning is not safe; every other method for T, with no cell where the grid lacks T.
    """
    chosen = []
    for method in methods:
        rows = table[table["method"] == method]
        fraction = rows["retrain_time"] / rows["training_time"]
        if method == "weight_rewind":
            safe = rows[fraction <= SAFE_ZONE[1] + 1e-9]
            longest = safe.groupby(["study", "variant"])["retrain_time"].transform("max")
            chosen.append(safe[safe["retrain_time"] == longest])
        else:
            chosen.append(rows[fraction >= 1 - 1e-9])
    dense = table[table["method"] == "dense"]
    return pd.concat([dense, *chosen]).sort_index(kind="stable")


def in_safe_zone(table: pd.DataFrame) -> pd.Series:
    """Whether each cell's retrain time lies in the rewinding safe zone."""
    fraction = table["retrain_time"] / table["training_time"]
    return fraction.between(SAFE_ZONE[0] - 1e-9, SAFE_ZONE[1] + 1e-9)


def speedup(table: pd.DataFrame) -> pd.DataFrame:
    """Theoretical speed-ups: dense over pruned multiply-accumulates, median, minimum, maximum."""
    return pd.DataFrame(
        {
            "speedup": table["dense_macs"] / table["macs"],
            "speedup_min": table["dense_macs"] / table["macs_max"],
            "speedup_max": table["dense_macs"] / table["macs_min"],
        }
    ).replace(np.inf, np.nan)
