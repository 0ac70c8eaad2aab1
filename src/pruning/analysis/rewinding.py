"""What the rewind-versus-fine-tune figure draws (Renda et al. 2020, F1 of the reference)."""

import pandas as pd

DRAWN = (
    "study",
    "variant",
    "method",
    "level",
    "density",
    "compression_ratio",
    "retrain_time",
    "median",
    "min",
    "max",
    "n",
)


def accuracy_change(tidy: pd.DataFrame) -> pd.DataFrame:
    """Change of test accuracy against the dense networks, by cell.

    Per cell the change is in percentage points against the *mean* test accuracy of the study's
    dense networks; over seeds the median, minimum and maximum are given, as in the paper. Where a
    method has several retrain times, the one with the highest median *validation* accuracy is
    taken at each level (ties: the shortest), so that test data select nothing.

    Args:
        tidy: tidy table of one or more studies.

    Returns:
        One row per study, variant, method and level with the columns :data:`DRAWN`; rows of the
        dense networks have method "dense", level 0 and an empty variant.
    """
    accuracy = tidy[tidy["metric"] == "accuracy"]
    tables = [_one_study(name, group) for name, group in accuracy.groupby("study", sort=False)]
    return pd.concat(tables, ignore_index=True)[list(DRAWN)]


def _one_study(name: str, accuracy: pd.DataFrame) -> pd.DataFrame:
    test = accuracy[accuracy["split"] == "test"].copy()
    dense = test["method"] == "dense"
    test["change"] = 100 * (test["value"] - test.loc[dense, "value"].mean())
    test["variant"] = test["variant"].fillna("")
    keys = ["variant", "method", "level", "density"]
    cells = test.groupby([*keys, "retrain_time"], dropna=False, sort=False)["change"]
    table = cells.agg(["median", "min", "max", "size"]).rename(columns={"size": "n"}).reset_index()
    table = _best_validated(table, accuracy[accuracy["split"] == "validation"], keys)
    # A change is a multiple of 1/images; beyond six places there is only rounding noise.
    table[["median", "min", "max"]] = table[["median", "min", "max"]].round(6) + 0.0
    table["study"] = name
    table["compression_ratio"] = 1 / table["density"]
    return table.sort_values(["variant", "method", "level"], kind="stable")


def _best_validated(table: pd.DataFrame, validation: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Of each cell's retrain times, the row with the highest median validation accuracy."""
    validation = validation.assign(variant=validation["variant"].fillna(""))
    scores = (
        validation.groupby([*keys, "retrain_time"], dropna=False)["value"]
        .median()
        .rename("validation")
        .reset_index()
    )
    table = table.merge(scores, on=[*keys, "retrain_time"], how="left")
    ranked = table.sort_values(["validation", "retrain_time"], ascending=[False, True])
    best = ranked.drop_duplicates(keys).index
    return table.loc[sorted(best)].drop(columns="validation")
