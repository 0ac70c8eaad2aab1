"""One tidy table for all systems: a row per study, cell, seed, split and metric."""

import io
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from pruning.analysis.records import read_report, read_summary, read_timing
from pruning.errors import PruningError
from pruning.files import read_csv, write_csv

COLUMNS = (
    "study",
    "network",
    "dataset",
    "seed",
    "method",
    "variant",
    "level",
    "density",
    "mask_density",
    "effective_density",
    "collapsed_layers",
    "pruned_at",
    "retrain_time",
    "training_time",
    "split",
    "metric",
    "value",
    "macs",
    "training_steps",
    "training_macs",
    "seconds",
)
_NOTHING_MASKED = {"effective_density": 1.0, "collapsed_layers": 0}


def collect(study: str, trainings: Iterable[tuple[Path | str, Path | str | None]]) -> pd.DataFrame:
    """The tidy table of a study from its trainings' summaries and the reports of their masks.

    Dense trainings are ``method`` "dense", level 0, density 1. ``density`` is as the method counts
    it and figures show it, ``mask_density`` the kept share of the prunable weights: they differ
    where whole filters go and take the inputs of the next layer with them. ``effective_density`` is
    the share on a path from input to output (:mod:`pruning.models.paths`), ``collapsed_layers``
    counts layers that keep nothing. ``pruned_at`` is the epoch of the dense training whose weights
    were scored, where pruning is not at its end or after a retraining. ``training_time`` is T,
    the epochs of the dense training. ``macs`` are the multiply-accumulates of one example with
    masked weights skipped; ``training_steps`` and ``training_macs`` count everything spent to get
    there, dense training included; ``seconds`` is this stage's own training time. Of the metrics,
    the one that the task is judged by comes first, see :mod:`pruning.analysis.score`.

    Args:
        study: its name.
        trainings: folder of each, and the report of the mask it is under; None for a network that
            was not pruned.

    Raises:
        PruningError: a summary or report is missing or damaged.
    """
    rows = []
    for folder, report in trainings:
        folder = Path(folder)
        summary = read_summary(folder / "summary.json")
        # A summary may say itself what is left, of a network without a mask's report.
        masks = {**_NOTHING_MASKED, **summary} if report is None else read_report(report)
        cell = {
            "study": study,
            "network": summary["network"],
            "dataset": summary["data"]["dataset"],
            "seed": summary["seed"],
            "method": summary.get("method", "dense"),
            "variant": summary.get("variant", ""),
            "level": summary.get("level", 0),
            "density": summary.get("density", 1.0),
            "mask_density": summary.get("mask_density", 1.0),
            "effective_density": masks["effective_density"],
            "collapsed_layers": masks["collapsed_layers"],
            "pruned_at": summary.get("pruned_at"),
            "retrain_time": summary.get("retrain_time"),
            "training_time": summary["training_time"],
            "macs": summary["macs"],
            "training_steps": summary["training_steps"],
            "training_macs": summary["training_macs"],
            "seconds": read_timing(folder / "timing.json")["seconds"],
        }
        first = summary.get("metric")
        for split, scores in summary["scores"].items():
            names = sorted(scores, key=lambda name: name != first)
            rows += [cell | {"split": split, "metric": m, "value": scores[m]} for m in names]
    if not rows:
        raise PruningError(f"Study {study!r} has no trainings to collect.")
    return pd.DataFrame(rows, columns=list(COLUMNS))


def write_table(table: pd.DataFrame, path: Path | str, cells: int | None = None) -> None:
    """Write a table as CSV, atomically; ``cells`` as of :func:`pruning.files.write_csv`."""
    write_csv(path, table.to_csv(index=False, lineterminator="\n"), cells)


def read_table(
    path: Path | str, columns: Iterable[str] = COLUMNS, cells: int | None = None
) -> pd.DataFrame:
    """Read a table and check its columns; ``cells`` as of :func:`pruning.files.read_csv`.

    Raises:
        PruningError: missing, not CSV, or without a column that is needed.
    """
    try:
        table = pd.read_csv(io.StringIO(read_csv(path, cells)), keep_default_na=True)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
        raise PruningError(f"The table {path} cannot be read ({error}).") from None
    missing = [column for column in columns if column not in table]
    if missing:
        raise PruningError(f"The table {path} lacks the columns {', '.join(missing)}.")
    return table
