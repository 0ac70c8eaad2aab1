"""Stage: tables -> what a paper claims, held against them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pruning import registry
from pruning.analysis import FOLDER
from pruning.analysis.claims_page import write_claims
from pruning.analysis.records import read_summary
from pruning.analysis.score import TEST, steps
from pruning.analysis.tables import columns
from pruning.analysis.tidy import read_table


def claims(
    table: Path | str,
    *,
    claims: str,
    title: str,
    options: Mapping[str, Any],
    beside: Mapping[str, Path | str] | None = None,
    summaries: Mapping[str, Path | str] | None = None,
    resources: Path | str = FOLDER,
    csv: Path | str,
    page: Path | str,
    cells: Mapping[str, int] | None = None,
) -> None:
    """Write the claims of a paper as counted over a study's cells.

    Args:
        table: a tidy table.
        claims: ``module:attribute`` of the set of claims.
        title: of the page.
        options: what the evidence takes besides, see :mod:`pruning.analysis.claims_catalog`.
        beside: files of further tables that the evidence takes, by their names.
        summaries: by study that of a training, which says how many test images there are; of
            studies without one nothing is said of single images.
        resources: folder of published numbers.
        csv, page: where the table and the readable page go.
        cells: how many cells of a study each table is of, by file.

    Raises:
        PruningError: a table or a summary is missing or lacks something.
    """
    claim_set = registry.load(claims)
    cells = cells or {}
    more = {
        name: read_table(path, columns(name), cells.get(str(path)))
        for name, path in (beside or {}).items()
    }
    tidy = read_table(table, cells=cells.get(str(table)))
    found = claim_set.evidence(tidy, resources, **more, **options)
    images = {study: _test_images(path) for study, path in (summaries or {}).items()}
    by_image = steps(tidy, {study: number for study, number in images.items() if number})
    write_claims(claim_set, found, title, csv=csv, page=page, steps=by_image)


def _test_images(summary: Path | str) -> int | None:
    """How many test images a training's summary counts; None for tasks that have others."""
    images = read_summary(summary)["data"].get("images")
    return images.get(TEST) if isinstance(images, Mapping) else None
