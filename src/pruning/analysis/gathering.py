"""From CSV files of single cells to one table."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from pruning.analysis.records import read_summary
from pruning.analysis.tidy import read_table
from pruning.errors import PruningError
from pruning.seals import AGAIN


def gather(
    study: str, cells: Iterable[tuple[Path | str, Path | str]], columns: Iterable[str]
) -> pd.DataFrame:
    """The rows of all CSV files, each with what its summary says of the cell.

    Args:
        study: its name.
        cells: (summary, CSV) of each cell.
        columns: of the table; empty where neither the summary nor the CSV has one.

    Tables of several tasks have the same columns: what is called after a task's metric, like
    ``test_accuracy``, is called ``test_score`` here, and ``metric`` says which score it is.

    Raises:
        PruningError: there are no cells, or a file is missing or damaged.
    """
    columns = list(columns)
    tables = []
    for summary, rows in cells:
        told = read_summary(summary)
        metric = told.get("metric")
        if metric is None:
            raise PruningError(f"{summary} names no metric. {AGAIN}")
        cell = {
            "study": study,
            "network": told["network"],
            "dataset": told["data"]["dataset"],
            "seed": told["seed"],
            "method": told.get("method", "dense"),
            "variant": told.get("variant", ""),
            "level": told.get("level", 0),
            "density": told.get("density", 1.0),
            "metric": metric,
        }
        table = _by_role(read_table(rows, ()), metric)
        own = [column for column in columns if column not in cell and column not in told]
        if own and not set(own) & set(table):
            raise PruningError(
                f"The table {rows} has none of the columns {', '.join(own)}. {AGAIN}"
            )
        for column in columns:
            if column in cell:
                table[column] = cell[column]
            elif column in told and column not in table:  # what a system says of its own cells
                table[column] = told[column]
        tables.append(table.reindex(columns=columns))
    if not tables:
        raise PruningError(f"Study {study!r} has no cells to gather.")
    return pd.concat([table.astype(object) for table in tables], ignore_index=True)


def _by_role(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """With columns that are called after the metric named by what they are of any task."""
    named = [name for name in table if name == metric or name.endswith(f"_{metric}")]
    return table.rename(columns={name: f"{name.removesuffix(metric)}score" for name in named})
