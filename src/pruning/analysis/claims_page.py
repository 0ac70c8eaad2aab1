"""Claims of Renda et al. (2020) as a page in Markdown."""

import pandas as pd

from pruning.analysis.claims_renda2020 import MOSTLY, TOLERANCE_BY_DATASET

READING = (
    "Each row is a claim of Renda, Frankle and Carbin (ICLR 2020) and counts the cells, each a "
    "median over replicates, that satisfy it. T is the length of the dense training. By the "
    "single rule, learning-rate rewinding and fine-tuning retrain for T (without a cell at T they "
    "are not compared), weight rewinding for the longest time within 0.9 T; the safe zone is "
    "0.25 T to 0.9 T; best validated is the retrain time with the best validation score. The worst "
    "margin is that of the cell furthest from satisfying the claim: a negative one misses it. A "
    "claim *holds* in every cell, *holds within noise* if no cell misses it by more than "
    "{tolerance}, holds *mostly* in at least {mostly:.0f} % of the cells, and else *fails*. Claims "
    "whose limit is itself a tolerance are granted no other. A row that *describes* is a share to "
    "compare with that of the published cells and no claim. Where another statement quotes such a "
    "share, compare with it too. *No cells* means that there is nothing here to test the claim on."
)


def claims_page(table: pd.DataFrame, title: str) -> str:
    """Claims as a page in Markdown.

    Args:
        table: from :func:`pruning.analysis.claims.claims`.
        title: of the page.

    Returns:
        Title, how to read it, and a table with one row per claim.
    """
    lines = [
        f"# {title}",
        "",
        READING.format(tolerance=_tolerances(table), mostly=100 * MOSTLY),
        "",
        "| claim | statement | satisfied | worst margin | verdict |",
        "|---|---|---|---|---|",
    ]
    for row in table.to_dict("records"):
        tested = row["cells"] > 0
        satisfied = f"{row['satisfied']} of {row['cells']}" if tested else "-"
        margin = f"{row['worst_margin']:+.2f} {row['unit']}" if tested else "-"
        entries = (row["claim"], row["statement"], satisfied, margin, row["verdict"])
        lines.append(f"| {' | '.join(entries)} |")
    return "\n".join(lines) + "\n"


def _tolerances(table: pd.DataFrame) -> str:
    """Like "0.3 pp, 0.3 BLEU (imagenet: 0.2 pp)"."""
    granted = table.loc[table["tolerance"] > 0, ["tolerance", "unit"]].drop_duplicates()
    general = ", ".join(f"{tolerance:g} {unit}" for tolerance, unit in granted.to_numpy())
    special = ", ".join(f"{name}: {value:g} pp" for name, value in TOLERANCE_BY_DATASET.items())
    return f"{general} ({special})"
