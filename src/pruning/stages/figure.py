"""Stage: tidy tables -> a figure, as PDF, PNG and the CSV of what it shows."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from pruning import registry
from pruning.analysis.published import FOLDER
from pruning.analysis.tidy import read_table, write_table
from pruning.errors import PruningError
from pruning.figures import style
from pruning.figures.context import Context


def figure(
    tables: Iterable[Path | str],
    *,
    draw: str,
    settings: Mapping[str, Any],
    titles: Mapping[str, str],
    options: Mapping[str, Mapping[str, Any]],
    resources: Path | str = FOLDER,
    pdf: Path | str,
    png: Path | str,
    csv: Path | str,
) -> None:
    """Draw one figure.

    Args:
        tables: tidy tables.
        draw: ``module:function`` of the figure.
        settings: what the function is told, see :mod:`pruning.figures.catalog`.
        titles: of the studies to show, by name; rows of other studies are left out.
        options: per study, the ``figure`` section of its file.
        resources: folder of published numbers.
        pdf, png, csv: where the figure and the numbers it draws go.

    Raises:
        PruningError: a table is missing or not tidy, or has nothing to show.
    """
    tidy = pd.concat([read_table(table) for table in tables], ignore_index=True)
    tidy = tidy[tidy["study"].isin(titles)]
    if tidy.empty:
        raise PruningError(f"There is nothing of {', '.join(titles)} to draw in the tidy tables.")
    style.use()
    context = Context(titles, options, settings, resources)
    drawn = registry.load(draw)(tidy, context)
    write_table(drawn.table, csv)
    style.save(drawn.figure, pdf, png)
