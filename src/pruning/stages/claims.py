"""Stage: a tidy table -> what the paper claims, held against it."""

from collections.abc import Mapping
from pathlib import Path

from pruning.analysis.claims_page import write_claims
from pruning.analysis.evidence_renda2020 import RENDA2020, evidence
from pruning.analysis.tidy import read_table


def claims(
    table: Path | str,
    literature: Path | str,
    *,
    title: str,
    last_drop: Mapping[str, float],
    csv: Path | str,
    page: Path | str,
) -> None:
    """Write the claims of Renda et al. (2020) as counted over a study's cells.

    Args:
        table: a tidy table.
        literature: the file of other papers' points.
        title: of the page.
        last_drop: per study, the retrain time up to which the learning rate never changes.
        csv, page: where the table and the readable page go.

    Raises:
        PruningError: a table is missing or not tidy.
    """
    found = evidence(read_table(table), Path(literature).parent, last_drop=last_drop)
    write_claims(RENDA2020, found, title, csv=csv, page=page)
