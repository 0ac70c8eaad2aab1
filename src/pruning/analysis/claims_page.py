"""Counted claims as files: a table, and a page in Markdown.

A page begins with its verdicts, says what one test image amounts to where limits are finer, and
ends with the names of the claims that there is nothing to test with. Between lie a table of the
others, how to read it, and what the claims' wing adds.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from pruning.analysis.claims import (
    DESCRIBES,
    MOSTLY,
    NO_CELLS,
    ONE_REPLICATE,
    REPLICATES,
    Claim,
    ClaimSet,
)
from pruning.analysis.score import Step
from pruning.analysis.tidy import write_table
from pruning.files import write_text

Row = Mapping[str, Any]

# Verdicts of claims that were judged, in the order of a page: (one claim, several).
JUDGED = {
    "holds": ("holds", "hold"),
    "holds within noise": ("holds within noise", "hold within noise"),
    "mostly": ("holds mostly", "hold mostly"),
    "fails": ("fails", "fail"),
}
MISSED = ("holds within noise", "mostly", "fails")  # in some cells

REPLICATES_TOLD = (
    "*n* is the number of replicates in each cell, and n=1-3 says that cells have from one to "
    "three. A claim with a cell of one replicate alone gets the verdict *one replicate*, and "
    "counts neither among those that hold nor among those that fail: nothing tells how far chance "
    "carried it."
)


def _share(column: str) -> Callable[[Row], str]:
    return lambda row: f"{row[column]} of {row['cells']}" if row["cells"] else "-"


def _number(value: float) -> str:
    """Two decimals, or as many as show that it is not 0."""
    return f"{value:.1g}" if 0 < abs(value) < 0.005 else f"{value:.2f}"


def _worst(row: Row) -> str:
    margin = row["worst_margin"]
    return f"{'+' * (margin >= 0)}{_number(margin)} {row['unit']}" if row["cells"] else "-"


def _replicates(row: Row) -> str:
    """Like "n=3", or "n=1-3" where cells differ."""
    least, most = row["replicates"], row["most_replicates"]
    if pd.isna(least):
        return "-"
    return f"n={least:g}" if least == most else f"n={least:g}-{most:g}"


# What a page can show of a claim's counts, by the heading of the column.
COLUMNS: dict[str, Callable[[Row], str]] = {
    "claim": lambda row: row["claim"],
    "statement": lambda row: row["statement"],
    "satisfied": _share("satisfied"),
    "within noise": _share("within_tolerance"),
    "worst margin": _worst,
    "replicates": _replicates,
    "verdict": lambda row: row["verdict"],
}


def write_claims(
    claims: ClaimSet,
    evidence: Any,
    title: str,
    *,
    csv: Path | str,
    page: Path | str,
    steps: Mapping[str, Step] | None = None,
) -> None:
    """Test claims and write the counts as CSV and as a page in Markdown.

    Args:
        claims: of a paper.
        evidence: what they are tested on.
        title: of the page.
        csv: file for the table, of all claims.
        page: file for the page.
        steps: by study what one test example changes its score by, where that is known.

    Raises:
        PruningError: a file cannot be written.
    """
    table = claims.counts(evidence)
    write_table(table, csv)
    finer = finer_limits(claims, evidence, steps or {})
    more = claims.appendix(claims, evidence) if claims.appendix else ""
    write_text(page, claims_page(claims, table, title, finer=finer, more=more))


def claims_page(
    claims: ClaimSet, table: pd.DataFrame, title: str, *, finer: Iterable[str] = (), more: str = ""
) -> str:
    """Claims as a page in Markdown.

    Args:
        claims: of a paper.
        table: their counts, see :meth:`pruning.analysis.claims.ClaimSet.counts`.
        title: of the page.
        finer: sentences about limits, see :func:`finer_limits`.
        more: further sections.

    Returns:
        Title, verdicts, a table with one row per claim that has cells, how to read it, the further
        sections, and the names of the claims without cells.
    """
    tolerance = _tolerances(table, claims.tolerance_by_dataset)
    tested = table[table["verdict"] != NO_CELLS]
    rows = [[COLUMNS[c](row) for c in claims.columns] for row in tested.to_dict("records")]
    lines = [f"# {title}", "", *at_a_glance(table)]
    for sentence in finer:
        lines += ["", sentence]
    if rows:
        lines += ["", *table_of(claims.columns, rows)]
    lines += [
        "",
        "## How to read this",
        "",
        claims.reading.format(tolerance=tolerance, mostly=f"{100 * MOSTLY:.0f}"),
        "",
        REPLICATES_TOLD,
    ]
    page = "\n".join(lines) + "\n" + more
    untested = table.loc[table["verdict"] == NO_CELLS, "claim"]
    return page + (f"\nWithout cells here: {', '.join(untested)}.\n" if len(untested) else "")


def at_a_glance(table: pd.DataFrame) -> list[str]:
    """The first lines of a page: how many claims came to what, and which.

    Args:
        table: see :meth:`pruning.analysis.claims.ClaimSet.counts`.
    """
    found = {name: rows.to_dict("records") for name, rows in table.groupby("verdict")}
    untested, single = (len(found.get(name, ())) for name in (NO_CELLS, ONE_REPLICATE))
    counted = [
        _times(len(found.get(verdict, ())), *words)
        for verdict, words in JUDGED.items()
        if verdict in found or verdict in ("holds", "fails")
    ]
    if DESCRIBES in found:
        counted.append(_times(len(found[DESCRIBES]), "only describes", "only describe"))
    counted.append(f"{untested + single} could not be judged")
    claims = "the only claim:" if len(table) == 1 else f"{len(table)} claims,"
    lines = [f"**Of {claims} {', '.join(counted[:-1])} and {counted[-1]}.**", ""]
    for verdict in JUDGED:
        if verdict in found:
            told = [_told(row, verdict in MISSED) for row in found[verdict]]
            lines.append(f"- {verdict.capitalize()}: {', '.join(told)}")
    if DESCRIBES in found:
        told = [f"{row['claim']} ({_share('satisfied')(row)})" for row in found[DESCRIBES]]
        lines.append(f"- Describes, a share of cells and no verdict: {', '.join(told)}")
    if single:
        names = ", ".join(row["claim"] for row in found[ONE_REPLICATE])
        lines.append(f"- Not judged, one replicate: {names}")
    if untested:
        lines.append(f"- Not judged, no cells: {untested}, named at the end of this page")
    return lines


def _times(count: int, one: str, several: str) -> str:
    return f"{count or 'none'} {one if count < 2 else several}"


def _told(row: Row, missed: bool) -> str:
    """Like "3a (by up to 0.84 pp, in 2 of 8 cells)"."""
    if not missed:
        return row["claim"]
    cells, misses = row["cells"], row["cells"] - row["satisfied"]
    where = "its only cell" if cells == 1 else f"{misses} of {cells} cells"
    up_to = "up to " if misses > 1 else ""
    return f"{row['claim']} (by {up_to}{_number(-row['worst_margin'])} {row['unit']}, in {where})"


def finer_limits(claims: ClaimSet, evidence: Any, steps: Mapping[str, Step]) -> list[str]:
    """Sentences about limits, and misses of them, that are finer than one test image.

    Args:
        claims: of a paper.
        evidence: what they are tested on.
        steps: by study what one test example changes its score by; of others nothing is said.
    """
    if not steps:
        return []
    limits: dict[str, list[str]] = {}
    misses: dict[str, list[str]] = {}
    for claim in claims.claims:
        table = claims.margins_of(claim, evidence)
        for study, cells in table.groupby("study"):
            step = steps.get(str(study))
            if step is None or step.unit != claim.unit:
                continue
            fine = [limit for limit in _limits(claims, claim, cells) if limit < step.size - 1e-6]
            if fine:
                told = " and ".join(f"{limit:g}" for limit in fine)
                limits.setdefault(str(study), []).append(f"{claim.name} ({told} {claim.unit})")
            if -step.size + 1e-6 < cells["margin"].min() < 0:
                misses.setdefault(str(study), []).append(claim.name)
    return [
        _finer(study, step, limits.get(study, []), misses.get(study, []))
        for study, step in steps.items()
        if study in limits or study in misses
    ]


def _limits(claims: ClaimSet, claim: Claim, cells: pd.DataFrame) -> list[float]:
    """What a claim's values are held against and what it is granted: those that are a distance."""
    found = {abs(limit) for limit in (claim.least, claim.most) if math.isfinite(limit)}
    found |= set(claims.granted(claim, cells))
    return sorted(found - {0.0})


def _finer(study: str, step: Step, limits: list[str], misses: list[str]) -> str:
    told = []
    if limits:
        told.append(f"finer than that are limits of {', '.join(limits)}")
    if misses:
        told.append(f"by less than that {', '.join(misses)} miss{'es' * (len(misses) == 1)}")
    return (
        f"One of {step.examples} test images is {_number(step.size)} {step.unit} in a replicate of "
        f"{study}: {'; '.join(told)}."
    )


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
        for study, missed in table[table[REPLICATES] != 1].groupby("study"):
            told = [
                f"{where(row)} ({row['margin']:+.2f} {claim.unit})"
                for row in missed.to_dict("records")
            ]
            rows.append((claim.name, str(study), ", ".join(told)))
    return [
        "",
        "## Cells that speak against a claim",
        "",
        "By more than the noise, if any is granted; the number is the margin. Cells of one "
        "replicate speak neither for nor against.",
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
