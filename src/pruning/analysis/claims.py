"""Claims of papers, tested cell by cell.

A claim holds a *value* of every cell it is about, like the change under learning-rate rewinding
minus that under fine-tuning, against limits. Where the lower score is the better one, layouts turn
the sign round, so that a larger value is always the better one. The distance to the nearer limit is
the cell's *margin*: zero or more is satisfied. Claims are counted over all studies of a table
together; a claim that there is nothing to test with says so, and so does one of single replicates,
of which nothing tells how far chance carries them.

What a paper claims is a table of its own (``claims`` in its wing), and so is how its cells are laid
out (``evidence``).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from pruning.errors import PruningError

COLUMNS = (
    "claim",
    "statement",
    "satisfied",
    "cells",
    "replicates",
    "most_replicates",
    "worst_margin",
    "unit",
    "tolerance",
    "within_tolerance",
    "verdict",
)

MOSTLY = 0.8
ERRORS = 2  # standard errors of a difference that replicates may make by chance
# Layouts name columns of standard errors and of numbers of replicates after those of what they
# belong to; a column REPLICATES is of the whole row.
ERROR = " error"
COUNT = " replicates"
REPLICATES = "replicates"

NO_CELLS = "no cells"
ONE_REPLICATE = "one replicate"
DESCRIBES = "describes"


@dataclass(frozen=True)
class Claim:
    """One claim, and which rows of which table it is about.

    Attributes:
        name: number in the reference and a letter, like ``1a``.
        statement: one sentence.
        layout: how the evidence is laid out, a name of :attr:`ClaimSet.layouts`.
        first: column with the value; ``second`` is subtracted where there is one.
        least: the smallest value that satisfies the claim.
        most: the largest.
        unit: of the value; cells in other units are left out.
        tolerance: what chance may do to a margin, None for :attr:`ClaimSet.tolerance`. It is 0
            where the limit itself is a tolerance: another would be stacked on it.
        descriptive: the paper does not claim this, its cells are divided about it too. What tells
            is the share of cells that satisfy it, against that of the published cells.
    """

    name: str
    statement: str
    layout: str
    first: str
    second: str | None = None
    least: float = 0.0
    most: float = math.inf
    unit: str = field(kw_only=True)
    tolerance: float | None = None
    descriptive: bool = False

    def selects(self, table: pd.DataFrame) -> pd.Series:
        """Which rows of the layout the claim is about."""
        return table["unit"] == self.unit

    def noise(self, table: pd.DataFrame) -> pd.Series:
        """What chance may do to the margin of each row, where the layout knows; 0 if not."""
        return pd.Series(0.0, table.index)


@dataclass(frozen=True)
class ClaimSet:
    """What a paper claims, and how it is tested.

    Attributes:
        claims: in the order of the page.
        evidence: what layouts are made from, by a function of a tidy table, the folder of
            published numbers, and keywords.
        layouts: by name, from the evidence to a table with one row per cell, what is compared side
            by side, the columns ``dataset`` and ``unit``, and the number of replicates in the
            column ``replicates`` or, with :data:`COUNT` appended, for each column that claims name.
        cell: columns of the layouts that say which cell a row is.
        tolerance: what chance may do to a margin, by unit.
        tolerance_by_dataset: the same by data set and unit, where that is less.
        reading: how to read the page; ``{tolerance}`` and ``{mostly}`` are filled in.
        columns: of the page's table, see :data:`pruning.analysis.claims_page.COLUMNS`.
        appendix: more of the page, in Markdown, from this and the evidence.
    """

    claims: tuple[Claim, ...]
    evidence: Callable[..., Any]
    layouts: Mapping[str, Callable[[Any], pd.DataFrame]]
    cell: tuple[str, ...]
    tolerance: Mapping[str, float]
    reading: str
    tolerance_by_dataset: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    columns: tuple[str, ...] = (
        "claim",
        "statement",
        "satisfied",
        "worst margin",
        "replicates",
        "verdict",
    )
    appendix: Callable[["ClaimSet", Any], str] | None = None

    @property
    def margin_columns(self) -> list[str]:
        """Columns of :meth:`margins`."""
        return ["claim", *self.cell, "value", "margin", "allowance", REPLICATES]

    def margins(self, evidence: Any) -> pd.DataFrame:
        """The cells behind every claim.

        Args:
            evidence: what the layouts are made from.

        Returns:
            The columns :attr:`margin_columns`: the value that a claim is about, its distance to
            the limit, zero or more where the claim is satisfied, what chance may do to it, and from
            how many replicates it is, the least of what is compared; missing where nobody knows.
            Columns of the cell are empty where a claim sums up over them.
        """
        tables = [self.margins_of(claim, evidence) for claim in self.claims]
        found = [table for table in tables if not table.empty]
        if not found:
            return pd.DataFrame(columns=self.margin_columns)
        return pd.concat(found, ignore_index=True)

    def counts(self, evidence: Any) -> pd.DataFrame:
        """Count for every claim the cells that satisfy it.

        Args:
            evidence: what the layouts are made from.

        Returns:
            The columns :data:`COLUMNS`, one row per claim whether or not it can be tested.
            ``replicates`` is their number in the cell that has least, ``most_replicates`` in the
            one that has most.
            ``worst_margin`` is the smallest margin, in ``unit``; ``within_tolerance`` counts the
            cells that satisfy the claim or miss it by no more than ``tolerance``, or than that of
            their data set where it is less, or than their own noise where it is more; ``verdict``
            is

            * "holds": in every cell,
            * "holds within noise": in every cell, granted the tolerance,
            * "mostly": in at least 80 % of the cells,
            * "fails": in fewer,
            * "describes": no claim but a share of cells, to compare with that of the published
              ones,
            * "one replicate": a cell has no more, so that the claim neither holds nor fails,
            * "no cells": there is nothing to test it on.
        """
        rows = [self.count(claim, evidence) for claim in self.claims]
        whole = {"replicates": "Int64", "most_replicates": "Int64"}  # also where some have none
        return pd.DataFrame(rows, columns=list(COLUMNS)).astype(whole)

    def margins_of(self, claim: Claim, evidence: Any) -> pd.DataFrame:
        """Value and margin of every cell that a claim is about, as in :meth:`margins`."""
        table = self.layouts[claim.layout](evidence)
        table = table[claim.selects(table)]
        value = table[claim.first]
        if claim.second is not None:
            value = value - table[claim.second]
        value = value.astype(float)
        # Beyond six places there is only rounding noise, which must not decide about a tie.
        margin = np.minimum(value - claim.least, claim.most - value).round(6) + 0.0
        table = table.assign(
            claim=claim.name,
            value=value,
            margin=margin,
            allowance=self._allowance(claim, table),
            **{REPLICATES: _replicates(claim, table)},
        )
        return table[table["margin"].notna()].reindex(columns=self.margin_columns)

    def count(self, claim: Claim, evidence: Any) -> dict[str, Any]:
        """A claim's row of :meth:`counts`."""
        table = self.margins_of(claim, evidence)
        margin = table["margin"]
        satisfied = int((margin >= 0).sum())
        within = int((margin >= -table["allowance"]).sum())
        known = table[REPLICATES].dropna()
        least, most = (int(known.min()), int(known.max())) if len(known) else (None, None)
        return {
            "claim": claim.name,
            "statement": claim.statement,
            "satisfied": satisfied,
            "cells": len(margin),
            "replicates": least,
            "most_replicates": most,
            "worst_margin": float(margin.min()) if len(margin) else math.nan,
            "unit": claim.unit,
            "tolerance": self._tolerance(claim),
            "within_tolerance": within,
            "verdict": _verdict(satisfied, within, len(margin), claim.descriptive, least),
        }

    def _tolerance(self, claim: Claim) -> float:
        if claim.tolerance is not None:
            return float(claim.tolerance)
        if claim.unit not in self.tolerance:
            raise PruningError(
                f"Claim {claim.name} is in {claim.unit}, in which its claim set has no tolerance: "
                f"only in {', '.join(self.tolerance)}. Give one, 0 if limits are tolerances."
            )
        return float(self.tolerance[claim.unit])

    def granted(self, claim: Claim, table: pd.DataFrame) -> pd.Series:
        """The tolerance of each cell of a claim, its noise not counted.

        Args:
            claim: of the set.
            table: with the column ``dataset``.
        """
        tolerance = self._tolerance(claim)
        by_dataset = {
            dataset: by_unit.get(claim.unit, tolerance)
            for dataset, by_unit in self.tolerance_by_dataset.items()
        }
        special = table["dataset"].map(by_dataset).astype(float)
        return special.fillna(tolerance).clip(upper=tolerance)

    def _allowance(self, claim: Claim, table: pd.DataFrame) -> pd.Series:
        return np.maximum(self.granted(claim, table), claim.noise(table))


def _replicates(claim: Claim, table: pd.DataFrame) -> pd.Series:
    """The least number of replicates of what a claim compares in each row of its layout."""
    if REPLICATES in table:
        return table[REPLICATES].astype(float)
    sides = [f"{name}{COUNT}" for name in (claim.first, claim.second) if name is not None]
    missing = [name for name in sides if name not in table]
    if missing:
        raise PruningError(
            f"The layout {claim.layout} of claim {claim.name} does not say how many replicates its "
            f"cells have. Give it a column {REPLICATES!r}, or {' and '.join(map(repr, missing))}."
        )
    return table[sides].astype(float).min(axis=1)


def _verdict(satisfied: int, within: int, cells: int, descriptive: bool, least: int | None) -> str:
    if not cells:
        return NO_CELLS
    if least == 1:
        return ONE_REPLICATE
    if descriptive:
        return DESCRIBES
    if satisfied == cells:
        return "holds"
    if within == cells:
        return "holds within noise"
    return "mostly" if satisfied >= MOSTLY * cells else "fails"
