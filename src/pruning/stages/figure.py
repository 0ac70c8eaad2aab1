"""Stage: tidy tables -> a figure, as PDF, PNG and the CSV of what it shows."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from pruning import registry
from pruning.analysis import FOLDER
from pruning.analysis.tables import columns
from pruning.analysis.tidy import read_table, write_table
from pruning.errors import PruningError
from pruning.figures import pages, style
from pruning.figures.context import Context


def figure(
    tables: Mapping[str, Iterable[Path | str]],
    *,
    draw: str,
    settings: Mapping[str, Any],
    titles: Mapping[str, str],
    options: Mapping[str, Mapping[str, Any]],
    resources: Path | str = FOLDER,
    pdf: Path | str,
    png: Path | str,
    csv: Path | str,
    cells: Mapping[str, int] | None = None,
) -> None:
    """Draw one figure.

    Args:
        tables: files by the name of their table, see :mod:`pruning.analysis.tables`. The figure
            is drawn from the first; the others are in its context.
        draw: ``module:function`` of the figure.
        settings: what the function is told, see :mod:`pruning.figures.catalog`.
        titles: of the studies to show, by name; rows of other studies are left out.
        options: per study, the ``figure`` section of its file.
        resources: folder of published numbers.
        pdf, png, csv: where the figure and the numbers it draws go.
        cells: how many cells of a study each table is of, by file.

    Raises:
        PruningError: a table is missing or not tidy, or has nothing to show.
    """
    first, *others = (_read(name, paths, titles, cells or {}) for name, paths in tables.items())
    style.use()
    more = dict(zip(list(tables)[1:], others, strict=True))
    context = Context(titles, options, settings, resources, more)
    drawn = registry.load(draw)(first, context)
    write_table(drawn.table, csv)
    pages.save(drawn.pages, pdf, png)


def _read(
    name: str, paths: Iterable[Path | str], titles: Mapping[str, str], cells: Mapping[str, int]
) -> pd.DataFrame:
    read = [read_table(path, columns(name), cells.get(str(path))) for path in paths]
    table = pd.concat(read, ignore_index=True)
    table = table[table["study"].isin(titles)]
    if table.empty:
        raise PruningError(f"There is nothing of {', '.join(titles)} to draw in the tidy tables.")
    return table
