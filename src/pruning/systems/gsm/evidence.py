"""What the claims of Ding et al. (2019) are tested on: replicates, and published numbers.

GSM starts from the dense network of its replicate, and the tickets of a replicate share their
initial weights. Scores are therefore compared within replicates, and differences summed up.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pruning.analysis.claims import COUNT, ERROR, ClaimSet
from pruning.analysis.claims_page import misses_of, table_of
from pruning.analysis.score import find, signs, units
from pruning.errors import PruningError
from pruning.systems.gsm import published as gsm
from pruning.systems.gsm.claims import CLAIMS, READING, TOLERANCE
from pruning.systems.gsm.tables import AFTER, BEFORE, around_zeroing
from pruning.training.metric import ACCURACY

# What of a replicate is looked at, by name: method, variant and moment in the table `gsm`.
SCORES = {
    "base": ("dense", "", AFTER),
    "gsm": ("gsm", "unmodified", AFTER),
    "gsm_before_zeroing": ("gsm", "unmodified", BEFORE),
    "frozen": ("gsm", "frozen", AFTER),
    "direct": ("magnitude_without_retraining", "unmodified", AFTER),
    "gsm_ticket": ("gsm_ticket", "unmodified", AFTER),
    "magnitude_ticket": ("magnitude_ticket", "unmodified", AFTER),
}

# What claims are about: the first of these minus the second.
DIFFERENCES = {
    "zeroing": ("gsm", "gsm_before_zeroing"),
    "direct": ("gsm", "direct"),  # both lose from the same dense network
    "pruning": ("gsm", "base"),
    "tickets": ("gsm_ticket", "magnitude_ticket"),
    "reselection": ("gsm", "frozen"),
}

CELL = ("study", "network", "dataset", "level")
DASH = "-"


@dataclass(frozen=True)
class Evidence:
    """What claims are tested on, and what the page shows beside it.

    Attributes:
        replicates: a row per study, level and seed: ``density``, ``metric`` and the columns
            :data:`SCORES`, test scores as they are shown, missing where there are none.
        published: see :func:`pruning.systems.gsm.published.published`.
    """

    replicates: pd.DataFrame
    published: pd.DataFrame


def evidence(tidy: pd.DataFrame, resources: Path | str) -> Evidence:
    """What there is in the table ``gsm`` of one or more studies.

    Args:
        tidy: the table, with the columns of :mod:`pruning.analysis.tidy`.
        resources: folder of published numbers.

    Raises:
        PruningError: nothing was pruned by GSM or along with it, or the published numbers cannot be
            read.
    """
    return Evidence(_replicates(tidy), gsm.published(gsm.SOURCE, resources))


def _replicates(tidy: pd.DataFrame) -> pd.DataFrame:
    """Scores of each replicate at each level side by side, as they are shown."""
    rows = around_zeroing(tidy)
    keys = zip(rows["method"], rows["variant"].fillna(""), rows["zeroing"], strict=True)
    names = {key: name for name, key in SCORES.items()}
    rows = rows.assign(score=[names.get(key) for key in keys])
    rows = rows[rows["score"].notna()]
    pruned = rows[rows["score"] != "base"]
    if pruned.empty:
        raise PruningError(
            "The table of GSM holds no test score of a network that was pruned by GSM, nor of "
            "tickets. Give the table `gsm` of a study with a `gsm` section."
        )
    keys = [*CELL, "seed"]
    table = pruned.pivot_table(index=keys, columns="score", values="value", aggfunc="first")
    table = table.reindex(columns=[name for name in SCORES if name != "base"])
    shared = pruned.groupby(list(CELL))[["density", "metric"]].first()
    table = table.join(shared)
    base = rows[rows["score"] == "base"].drop_duplicates(["study", "seed"])
    base = base.set_index(["study", "seed"])["value"].rename("base")
    return table.reset_index().join(base, on=["study", "seed"])


def differences(evidence: Evidence) -> pd.DataFrame:
    """What the claims are about, a row per study and level.

    Returns:
        :data:`CELL`, ``density``, ``unit``, and for each of :data:`DIFFERENCES` and for ``growth``
        (of the tickets' difference, from the next larger density that has one) the mean over
        replicates and, in columns with ERROR and COUNT of :mod:`pruning.analysis.claims` appended,
        its standard error, missing where there is one replicate, and their number. In ``unit``,
        that of a change of the study's score, and positive where the first score is the better one.
    """
    table = evidence.replicates
    table = table.assign(unit=units(table["metric"]))
    for name, (first, second) in DIFFERENCES.items():
        table[name] = signs(table["metric"]) * (table[first] - table[second])
    tickets = table.dropna(subset="tickets").sort_values("level")
    table["growth"] = tickets.groupby(["study", "seed"])["tickets"].diff()
    names = [*DIFFERENCES, "growth"]
    groups = table.groupby(list(CELL), sort=False)
    counts = groups[names].count()
    errors = (groups[names].std() / np.sqrt(counts)).add_suffix(ERROR)
    shared = groups[["density", "unit"]].first()
    table = groups[names].mean().join(errors).join(counts.add_suffix(COUNT)).join(shared)
    return table.reset_index()


# ----- what the page says besides


def _appendix(claims: ClaimSet, evidence: Evidence) -> str:
    """Which cells speak against claims, and the paper's scores beside a study's own."""
    lines = [
        *misses_of(claims, evidence, lambda row: _ratio(row["density"])),
        "",
        "## Published beside ours",
        "",
        f"{_told(evidence)}; ours as mean ± standard deviation over replicates, whose "
        "number is in the last column. Density is the share of the kernels that is kept, the "
        "weights of convolution and linear layers; biases and normalization parameters are neither "
        "pruned nor counted. Compression ratio is one over it; what the paper calls 6.6x is 15 %. "
        "A dash: not published, or not measured. How many replicates the published numbers are "
        "from is not known.",
        "",
        "### Networks (Tables 1 to 3)",
        "",
        *table_of(_NETWORK_COLUMNS, _networks(evidence)),
        "",
        "### Winning tickets (Table 4)",
        "",
        "Trained from the initial weights of the dense network, under the mask of GSM or of "
        "magnitude pruning after training; the gap is GSM minus magnitude.",
        "",
        *table_of(_TICKET_COLUMNS, _tickets(evidence)),
    ]
    return "\n".join(lines) + "\n"


_NETWORK_COLUMNS = (
    "study",
    "network",
    "ratio",
    "density",
    "dense, published",
    "dense, ours",
    "pruned, published",
    "pruned, ours",
    "ours before zeroing",
    "replicates",
)
_TICKET_COLUMNS = (
    "study",
    "network",
    "ratio",
    "GSM, published",
    "GSM, ours",
    "magnitude, published",
    "magnitude, ours",
    "gap, published",
    "gap, ours",
    "replicates",
)


def _told(evidence: Evidence) -> str:
    """What the numbers are, like "Test accuracies in percent"."""
    names = evidence.replicates["metric"].unique()
    if set(names) <= {ACCURACY.name}:
        return "Test accuracies in percent"
    told = "; ".join(find(name).axis for name in names)
    return f"{told}; published accuracies in percent"


def _networks(evidence: Evidence) -> list[tuple[str, ...]]:
    """A line per study and density with a network that GSM pruned."""
    rows = []
    for cell, group in _by_cell(evidence, ["gsm"]):
        published = _counterparts(evidence.published, cell)
        ours = [_ours(group[name]) for name in ("base", "gsm", "gsm_before_zeroing")]
        theirs = [_number(published.get(name, math.nan)) for name in ("dense", "gsm")]
        rows.append(
            (
                *_heading(cell),
                f"{100 * cell['density']:.4g} %",
                theirs[0],
                ours[0],
                theirs[1],
                *ours[1:],
                str(len(group)),
            )
        )
    return rows or [(DASH,) * len(_NETWORK_COLUMNS)]


def _tickets(evidence: Evidence) -> list[tuple[str, ...]]:
    """A line per study and density with tickets."""
    rows = []
    names = ["gsm_ticket", "magnitude_ticket"]
    for cell, group in _by_cell(evidence, names):
        published = _counterparts(evidence.published, cell)
        theirs = [published.get(name, math.nan) for name in names]
        ours = [group[name] for name in names]
        sides = [(*theirs, theirs[0] - theirs[1]), (*ours, ours[0] - ours[1])]
        pairs = [text for t, o in zip(*sides, strict=True) for text in (_number(t), _ours(o))]
        rows.append((*_heading(cell), *pairs, str(len(group))))
    return rows or [(DASH,) * len(_TICKET_COLUMNS)]


def _by_cell(evidence: Evidence, scores: list[str]) -> list[tuple[Mapping[str, Any], pd.DataFrame]]:
    """The replicates that have one of the scores, by cell, by study and falling density."""
    table = evidence.replicates.dropna(subset=scores, how="all")
    return [(group.iloc[0].to_dict(), group) for _, group in table.groupby(["study", "level"])]


def _counterparts(published: pd.DataFrame, cell: Mapping[str, Any]) -> dict[str, float]:
    """Published accuracies of a cell's network by method, of its density and of dense ones.

    None beside other scores.
    """
    if cell["metric"] != ACCURACY.name:
        return {}
    rows = published[published["network"] == cell["network"]]
    rows = rows[rows["dataset"] == cell["dataset"]]
    rows = rows[(rows["method"] == "dense") | gsm.same_density(rows["density"], cell["density"])]
    return dict(zip(rows["method"], rows["accuracy"], strict=True))


def _heading(cell: Mapping[str, Any]) -> tuple[str, str, str]:
    return cell["study"], f"{cell['network']}, {cell['dataset']}", _ratio(cell["density"])


def _ratio(density: float) -> str:
    """Like "6.667x"."""
    return f"{1 / density:.4g}x"


def _number(value: float) -> str:
    return DASH if math.isnan(value) else f"{round(value, 2) + 0.0:.2f}"


def _ours(values: pd.Series) -> str:
    """Like "98.18 ± 0.05"; a single replicate has no deviation."""
    mean, deviation = values.mean(), values.std()
    return _number(mean) + ("" if math.isnan(deviation) else f" ± {deviation:.2f}")


GSM2019 = ClaimSet(
    claims=CLAIMS,
    evidence=evidence,
    layouts={"differences": differences},
    cell=(*CELL, "density"),
    tolerance=TOLERANCE,
    reading=READING,
    columns=(
        "claim",
        "statement",
        "satisfied",
        "within noise",
        "worst margin",
        "replicates",
        "verdict",
    ),
    appendix=_appendix,
)
