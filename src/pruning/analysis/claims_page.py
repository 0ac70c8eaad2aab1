"""Counted claims as files: a table, and a page in Markdown."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from pruning.analysis.claims import MOSTLY, ClaimSet
from pruning.analysis.tidy import write_table
from pruning.files import write_text

Row = Mapping[str, Any]


def _share(column: str) -> Callable[[Row], str]:
    return lambda row: f"{row[column]} of {row['cells']}" if row["cells"] else "-"


def _worst(row: Row) -> str:
    return f"{row['worst_margin']:+.2f} {row['unit']}" if row["cells"] else "-"


# What a page can show of a claim's counts, by the heading of the column.
COLUMNS: dict[str, Callable[[Row], str]] = {
    "claim": lambda row: row["claim"],
    "statement": lambda row: row["statement"],
    "satisfied": _share("satisfied"),
    "within noise": _share("within_tolerance"),
    "worst margin": _worst,
    "verdict": lambda row: row["verdict"],
}


def write_claims(
    claims: ClaimSet, evidence: Any, title: str, *, csv: Path | str, page: Path | str
) -> None:
    """Test claims and write the counts as CSV and as a page in Markdown.

    Args:
        claims: of a paper.
        evidence: what they are tested on.
        title: of the page.
        csv: file for the table.
        page: file for the page.

    Raises:
        PruningError: a file cannot be written.
    """
    table = claims.counts(evidence)
    write_table(table, csv)
    more = claims.appendix(claims, evidence) if claims.appendix else ""
    write_text(page, claims_page(claims, table, title) + more)


def claims_page(claims: ClaimSet, table: pd.DataFrame, title: str) -> str:
    """Claims as a page in Markdown.

    Args:
        claims: of a paper.
        table: their counts, see :meth:`pruning.analysis.claims.ClaimSet.counts`.
        title: of the page.

    Returns:
        Title, how to read it, and a table with one row per claim.
    """
    tolerance = _tolerances(table, claims.tolerance_by_dataset)
    rows = [[COLUMNS[c](row) for c in claims.columns] for row in table.to_dict("records")]
    lines = [
        f"# {title}",
        "",
        claims.reading.format(tolerance=tolerance, mostly=f"{100 * MOSTLY:.0f}"),
        "",
        *table_of(claims.columns, rows),
    ]
    return "\n".join(lines) + "\n"


def table_of(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """Lines of a table in Markdown."""
    columns = list(columns)
    head = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    return head + [f"| {' | '.join(row)} |" for row in rows]


def misses_of(claims: ClaimSet, evidence: Any, where: Callable[[Row], str]) -> list[str]:
    """Lines of a section that lists the cells that speak against claims.

    Args:
        claims: of a paper.
        evidence: what they are tested on.
        where: names a cell within its study, from its row of
            :meth:`pruning.analysis.claims.ClaimSet.margins`.
    """
    rows = []
    for claim in claims.claims:
        table = claims.margins_of(claim, evidence)
        table = table[(table["margin"] < -table["allowance"]) & (not claim.descriptive)]
        for study, missed in table.groupby("study"):
            told = [
                f"{where(row)} ({row['margin']:+.2f} {claim.unit})"
                for row in missed.to_dict("records")
            ]
            rows.append((claim.name, str(study), ", ".join(told)))
    return [
        "",
        "## Cells that speak against a claim",
        "",
        "By more than the noise, if any is granted; the number is the margin.",
        "",
        *table_of(("claim", "study", "cells"), rows or [("none", "-", "-")]),
    ]


def _tolerances(table: pd.DataFrame, by_dataset: Mapping[str, Mapping[str, float]]) -> str:
    """Like "0.3 pp, 0.3 BLEU (imagenet: 0.2 pp)"."""
    granted = table.loc[table["tolerance"] > 0, ["tolerance", "unit"]].drop_duplicates()
    general = ", ".join(f"{tolerance:g} {unit}" for tolerance, unit in granted.to_numpy())
    special = ", ".join(
        f"{name}: {value:g} {unit}"
        for name, by_unit in by_dataset.items()
        for unit, value in by_unit.items()
    )
    return f"{general} ({special})" if special else general
