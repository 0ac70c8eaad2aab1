"""What Renda et al. (2020) claim about re-training methods, tested cell by cell.

A claim holds a *value* of every cell it is about, like the change under learning-rate rewinding
minus that under fine-tuning, against limits. The distance to the nearer limit is the cell's
*margin*: zero or more is satisfied. Claims are counted over all studies of a table together; where
a study has nothing to test a claim with, the claim says so.

Source: Renda, Frankle, Carbin (ICLR 2020), arXiv 2003.02389. The limits are those that the
authors' own cells (:func:`pruning.analysis.published.read_cells`) keep to.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pruning.analysis.cells import SAFE_ZONE, best_validated, in_safe_zone, pruned, single_rule
from pruning.analysis.published import LITERATURE
from pruning.analysis.tidy import write_table
from pruning.files import write_text

COLUMNS = (
    "claim",
    "statement",
    "satisfied",
    "cells",
    "worst_margin",
    "unit",
    "tolerance",
    "within_tolerance",
    "verdict",
)
MARGINS = ("claim", "study", "network", "variant", "level", "retrain_time", "value", "margin")

METHODS = ("lr_rewind", "weight_rewind", "fine_tune", "low_lr_weight_rewind", "reinit")
MODES = ("iterative", "one_shot")
STRUCTURED = ("structured_a", "structured_b")
IMAGENET = ("resnet34", "resnet50")  # cells do not name their data set; CIFAR is the rest of vision

RANK = "rank correlation"
# What chance may do to a margin. Replicates of a cell have a standard deviation of about 0.2 pp
# (CIFAR), 0.15 pp (ImageNet) or 0.2 BLEU, so the difference of two medians of three has nearly as
# much; a rank correlation over ten times in no order has 0.33.
TOLERANCE = {"pp": 0.3, "BLEU": 0.3, RANK: 0.3}
MOSTLY = 0.8
SLACK = 0.01  # of a compression ratio: published densities are rounded, 9.31x is within "9.3x"
FEWEST_TIMES = 3  # over two, a rank correlation is 1 or -1 whatever happens

SETTING = ("study", "network", "variant", "level")


@dataclass(frozen=True)
class Evidence:
    """What claims are tested on.

    Attributes:
        cells: without the dense networks.
        literature: results of other papers, :data:`pruning.analysis.published.LITERATURE`.
        last_drop: by study the retrain time up to which the learning rate is at its last value.
    """

    cells: pd.DataFrame
    literature: pd.DataFrame
    last_drop: Mapping[str, float]

    @classmethod
    def of(
        cls,
        cells: pd.DataFrame,
        literature: pd.DataFrame | None = None,
        last_drop: Mapping[str, float] | None = None,
    ) -> "Evidence":
        """What there is, in the form that claims expect; arguments as for :func:`margins`."""
        if literature is None:
            literature = pd.DataFrame(columns=list(LITERATURE))
        # Tables of several studies may come with an index that repeats.
        return cls(pruned(cells).reset_index(drop=True), literature, last_drop or {})


@dataclass(frozen=True)
class Claim:
    """One claim, and which rows of which table it is about.

    Attributes:
        name: number in the reference and a letter, like ``1a``.
        statement: one sentence.
        source: the function that lays out the evidence, one row per cell.
        first: column with the value; ``second`` is subtracted where there is one.
        least: the smallest value that satisfies the claim.
        most: the largest.
        unit: of the value; cells in other units are left out.
        variants: pruning modes; None for all.
        ratios: smallest and largest compression ratio; None for all.
        first_level: the first level that counts.
        imagenet: True for the ImageNet networks only, False for all but them, None for both.
    """

    name: str
    statement: str
    source: Callable[[Evidence], pd.DataFrame]
    first: str
    second: str | None = None
    least: float = 0.0
    most: float = math.inf
    unit: str = "pp"
    variants: tuple[str, ...] | None = MODES
    ratios: tuple[float, float] | None = None
    first_level: int | None = None
    imagenet: bool | None = None

    def margins(self, evidence: Evidence) -> pd.DataFrame:
        """Value and margin of every cell that this claim is about: :data:`MARGINS`."""
        table = self._choose(self.source(evidence))
        value = table[self.first]
        if self.second is not None:
            value = value - table[self.second]
        value = value.astype(float)
        # Beyond six places there is only rounding noise, which must not decide about a tie.
        margin = np.minimum(value - self.least, self.most - value).round(6) + 0.0
        table = table.assign(claim=self.name, value=value, margin=margin)
        return table[table["margin"].notna()].reindex(columns=list(MARGINS))

    def count(self, evidence: Evidence) -> dict[str, Any]:
        """The row of :func:`claims`."""
        margin = self.margins(evidence)["margin"]
        tolerance = TOLERANCE[self.unit]
        satisfied = int((margin >= 0).sum())
        within = int((margin >= -tolerance).sum())
        return {
            "claim": self.name,
            "statement": self.statement,
            "satisfied": satisfied,
            "cells": len(margin),
            "worst_margin": float(margin.min()) if len(margin) else math.nan,
            "unit": self.unit,
            "tolerance": tolerance,
            "within_tolerance": within,
            "verdict": _verdict(satisfied, within, len(margin)),
        }

    def _choose(self, table: pd.DataFrame) -> pd.DataFrame:
        chosen = table["unit"] == self.unit
        if self.variants is not None:
            chosen &= table["variant"].isin(self.variants)
        if self.ratios is not None:
            low, high = self.ratios[0] * (1 - SLACK), self.ratios[1] * (1 + SLACK)
            chosen &= table["compression_ratio"].between(low, high)
        if self.first_level is not None:
            chosen &= table["level"] >= self.first_level
        if self.imagenet is not None:
            chosen &= table["network"].isin(IMAGENET) == self.imagenet
        return table[chosen]


def margins(
    cells: pd.DataFrame,
    literature: pd.DataFrame | None = None,
    last_drop: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """The cells behind every claim.

    Args:
        cells: of one or more studies, see :func:`pruning.analysis.cells.cells`.
        literature: results of other papers, see
            :func:`pruning.analysis.published.read_literature`; without them claim 11 has no cells.
        last_drop: by study the longest retrain time that lies wholly after the last drop of the
            learning rate, so that rewinding the rate changes nothing: 46 epochs for CIFAR, 10 for
            ImageNet. Without it claim 9 has no cells.

    Returns:
        The columns :data:`MARGINS`: the value that a claim is about and its distance to the limit,
        zero or more where the claim is satisfied. ``level`` and ``retrain_time`` are empty where a
        claim sums up over them.
    """
    evidence = Evidence.of(cells, literature, last_drop)
    tables = [claim.margins(evidence) for claim in CLAIMS]
    found = [table for table in tables if not table.empty]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=list(MARGINS))


def claims(
    cells: pd.DataFrame,
    literature: pd.DataFrame | None = None,
    last_drop: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """Count for every claim the cells that satisfy it.

    Args:
        cells: as for :func:`margins`.
        literature: as for :func:`margins`.
        last_drop: as for :func:`margins`.

    Returns:
        The columns :data:`COLUMNS`, one row per claim whether or not it can be tested.
        ``worst_margin`` is the smallest margin, in ``unit``; ``within_tolerance`` counts the cells
        that satisfy the claim or miss it by no more than ``tolerance``; ``verdict`` is

        * "holds": in every cell,
        * "holds within noise": in every cell, granted the tolerance,
        * "mostly": in at least 80 % of the cells,
        * "fails": in fewer,
        * "no cells": there is nothing to test it on.
    """
    evidence = Evidence.of(cells, literature, last_drop)
    return pd.DataFrame([claim.count(evidence) for claim in CLAIMS], columns=list(COLUMNS))


def _verdict(satisfied: int, within: int, cells: int) -> str:
    if not cells:
        return "no cells"
    if satisfied == cells:
        return "holds"
    if within == cells:
        return "holds within noise"
    return "mostly" if satisfied >= MOSTLY * cells else "fails"


# ----- the evidence, laid out: one row per cell, what is compared side by side


def _side_by_side(
    table: pd.DataFrame, label: str, values: Sequence[str], keys: Sequence[str] = SETTING
) -> pd.DataFrame:
    """Medians with one column for each of ``values`` of the column ``label``, empty if missing."""
    first = table.drop_duplicates([*keys, label])
    wide = first.set_index([*keys, label])["median"].unstack(label).reindex(columns=list(values))
    shared = table.drop_duplicates(list(keys)).set_index(list(keys))[["unit", "compression_ratio"]]
    return wide.join(shared).reset_index()


def _by_rule(evidence: Evidence) -> pd.DataFrame:
    """Methods, each at the retrain time of the single rule."""
    return _side_by_side(single_rule(evidence.cells), "method", METHODS)


def _by_validation(evidence: Evidence) -> pd.DataFrame:
    """Methods, each at its best validated retrain time."""
    return _side_by_side(best_validated(_validated(evidence.cells)), "method", METHODS)


def _epoch_for_epoch(evidence: Evidence) -> pd.DataFrame:
    """Methods at equal retrain times in the rewinding safe zone."""
    cells = evidence.cells[in_safe_zone(evidence.cells)]
    return _side_by_side(cells, "method", METHODS, [*SETTING, "retrain_time"])


def _by_time(evidence: Evidence, method: str) -> pd.DataFrame:
    """One method at several retrain times.

    ``full`` is T, ``safe`` the longest within the safe zone's 0.9 T, ``shortest`` the shortest,
    ``validated`` the best validated of at least two.
    """
    cells = evidence.cells[evidence.cells["method"] == method]
    fraction = cells["retrain_time"] / cells["training_time"]
    full = fraction > 1 - 1e-9
    choices = {
        "full": cells[full],
        "safe": _extreme(cells[fraction <= SAFE_ZONE[1] + 1e-9], "max"),
        "shortest": _extreme(cells, "min", but=full),
        "validated": best_validated(_validated(cells[cells.duplicated(list(SETTING), keep=False)])),
    }
    table = pd.concat([rows.assign(time=name) for name, rows in choices.items()])
    return _side_by_side(table, "time", list(choices))


def _by_mode(evidence: Evidence, method: str) -> pd.DataFrame:
    """One method by the single rule, iterative and one-shot at the same level and retrain time.

    Within a study a level has the same density in both modes.
    """
    cells = single_rule(evidence.cells, [method])
    keys = ["study", "network", "level", "retrain_time"]
    table = _side_by_side(cells[cells["variant"].isin(MODES)], "variant", MODES, keys)
    return table.assign(variant="iterative")


def _trend(evidence: Evidence) -> pd.DataFrame:
    """How fine-tuning's result goes with the retrain time: one row per study and mode.

    That is the rank correlation at each level, and of the levels the median.
    """
    cells = evidence.cells
    cells = cells[(cells["method"] == "fine_tune") & (cells["unit"] == "pp")]
    rows = []
    for (study, network, variant), group in cells.groupby(["study", "network", "variant"]):
        levels = [_rank_correlation(level) for _, level in group.groupby("level")]
        correlation = pd.Series(levels, dtype=float).median()
        rows.append((study, network, variant, RANK, correlation))
    return pd.DataFrame(rows, columns=["study", "network", "variant", "unit", "correlation"])


def _rank_correlation(level: pd.DataFrame) -> float:
    level = level.dropna(subset=["retrain_time", "median"])
    # Where every time gives the same score there is no order to speak of.
    if level["retrain_time"].nunique() < FEWEST_TIMES or level["median"].nunique() < 2:
        return math.nan
    return level["retrain_time"].corr(level["median"], method="spearman")


def _at_last_rate(evidence: Evidence) -> pd.DataFrame:
    """Mean differences at retrain times after the last drop, up to 9.3x: a row per study and time.

    Methods that become the same there differ by chance alone, of which a mean over levels and modes
    keeps little; beyond 9.3x single cells scatter too widely to help.
    """
    cells = evidence.cells
    early = cells["retrain_time"] <= cells["study"].map(dict(evidence.last_drop)).astype(float)
    early &= cells["compression_ratio"] <= 9.3 * (1 + SLACK)
    table = _side_by_side(cells[early], "method", METHODS, [*SETTING, "retrain_time"])
    table["of_weights_kept"] = table["lr_rewind"] - table["fine_tune"]
    table["of_weights_rewound"] = table["weight_rewind"] - table["low_lr_weight_rewind"]
    groups = table.groupby(["study", "network", "unit", "retrain_time"])
    return groups[["of_weights_kept", "of_weights_rewound"]].mean().reset_index()


def _against_literature(evidence: Evidence) -> pd.DataFrame:
    """Learning-rate rewinding by the single rule at the densities of other papers' results.

    Between two levels it is interpolated linearly in the logarithm of the density; beyond the first
    and the last nothing is said.
    """
    ours = single_rule(evidence.cells, ["lr_rewind"]).dropna(subset=["density", "median"])
    ours = ours[ours["variant"] == "iterative"].sort_values("density")
    theirs = evidence.literature[evidence.literature["variant"] == "iterative"]
    rows = []
    for point in theirs.to_dict("records"):
        same = ours[(ours["network"] == point["network"]) & (ours["unit"] == point["unit"])]
        for study, line in same.groupby("study"):
            if line["density"].min() <= point["density"] <= line["density"].max():
                change = np.interp(
                    np.log(point["density"]), np.log(line["density"]), line["median"]
                )
                kept = [point[key] for key in ("network", "variant", "unit", "change")]
                rows.append((study, change, *kept))
    columns = ["study", "ours", "network", "variant", "unit", "theirs"]
    return pd.DataFrame(rows, columns=columns)


def _validated(cells: pd.DataFrame) -> pd.DataFrame:
    """Cells that a retrain time can be chosen from: those with a validation score."""
    return cells[cells["validation"].notna()]


def _extreme(cells: pd.DataFrame, which: str, but: pd.Series | None = None) -> pd.DataFrame:
    """Cells at the longest ("max") or shortest ("min") retrain time of their study and mode."""
    time = cells.groupby(["study", "variant"])["retrain_time"].transform(which)
    chosen = cells["retrain_time"] == time
    return cells[chosen if but is None else chosen & ~but]


# ----- the claims

CLAIMS = (
    Claim(
        "1a",
        "By the single rule, learning-rate rewinding is at least as good as fine-tuning for "
        "unstructured vision from 3x compression.",
        _by_rule,
        "lr_rewind",
        "fine_tune",
        ratios=(3, math.inf),
    ),
    Claim(
        "1b",
        "By the single rule, learning-rate rewinding is at least as good as fine-tuning for "
        "iteratively pruned vision from 5x compression.",
        _by_rule,
        "lr_rewind",
        "fine_tune",
        variants=("iterative",),
        ratios=(5, math.inf),
    ),
    Claim(
        "1c",
        "By the single rule, learning-rate rewinding is at least as good as fine-tuning at every "
        "level of structured pruning.",
        _by_rule,
        "lr_rewind",
        "fine_tune",
        variants=STRUCTURED,
    ),
    Claim(
        "2a",
        "By the single rule, weight rewinding is at least as good as fine-tuning for unstructured "
        "vision from 3x compression.",
        _by_rule,
        "weight_rewind",
        "fine_tune",
        ratios=(3, math.inf),
    ),
    Claim(
        "3a",
        "By the single rule, learning-rate rewinding is at least as good as weight rewinding for "
        "iteratively pruned vision at every level.",
        _by_rule,
        "lr_rewind",
        "weight_rewind",
        variants=("iterative",),
    ),
    Claim(
        "3b",
        "By the single rule, learning-rate rewinding is at least as good as weight rewinding for "
        "vision pruned in one shot at every level (a tie: true of half the published cells).",
        _by_rule,
        "lr_rewind",
        "weight_rewind",
        variants=("one_shot",),
    ),
    Claim(
        "3c",
        "By the single rule, learning-rate rewinding is at most 0.5 pp behind weight rewinding for "
        "unstructured vision at every level.",
        _by_rule,
        "lr_rewind",
        "weight_rewind",
        least=-0.5,
    ),
    Claim(
        "3d",
        "By the single rule, learning-rate rewinding is at most 0.7 pp behind weight rewinding at "
        "every level of structured pruning.",
        _by_rule,
        "lr_rewind",
        "weight_rewind",
        least=-0.7,
        variants=STRUCTURED,
    ),
    Claim(
        "4a",
        "At equal retrain times in the safe zone, weight rewinding is at least as good as "
        "fine-tuning for unstructured vision from 3x to 9.3x (true of 92 % of the published "
        "cells).",
        _epoch_for_epoch,
        "weight_rewind",
        "fine_tune",
        ratios=(3, 9.3),
    ),
    Claim(
        "4b",
        "At equal retrain times in the safe zone, learning-rate rewinding is at least as good as "
        "fine-tuning for unstructured vision from 3x to 9.3x (true of 93 % of the published "
        "cells).",
        _epoch_for_epoch,
        "lr_rewind",
        "fine_tune",
        ratios=(3, 9.3),
    ),
    Claim(
        "4c",
        "At equal retrain times in the safe zone, learning-rate rewinding is at least as good as "
        "weight rewinding for unstructured vision from 3x to 9.3x (true of only 61 % of the "
        "published cells).",
        _epoch_for_epoch,
        "lr_rewind",
        "weight_rewind",
        ratios=(3, 9.3),
    ),
    Claim(
        "4d",
        "At equal retrain times in the safe zone, learning-rate rewinding is at least as good as "
        "weight rewinding for iteratively pruned ImageNet networks at every level (true of only "
        "37 % of the published cells: there it needs a retrain time near T).",
        _epoch_for_epoch,
        "lr_rewind",
        "weight_rewind",
        variants=("iterative",),
        imagenet=True,
    ),
    Claim(
        "5a",
        "Rewinding weights to the very beginning loses at least 0.7 pp against rewinding within "
        "0.9 T for unstructured vision from 3x to 9.3x.",
        partial(_by_time, method="weight_rewind"),
        "safe",
        "full",
        least=0.7,
        ratios=(3, 9.3),
    ),
    Claim(
        "5b",
        "Rewinding weights to the very beginning loses at least 1.5 BLEU against rewinding within "
        "0.9 T for unstructured translation from 3x to 9.3x.",
        partial(_by_time, method="weight_rewind"),
        "safe",
        "full",
        least=1.5,
        unit="BLEU",
        ratios=(3, 9.3),
    ),
    Claim(
        "5c",
        "Rewinding the learning rate to the very beginning changes at most 0.51 pp against "
        "rewinding within 0.9 T for unstructured vision from 3x to 9.3x (but for one published "
        "cell).",
        partial(_by_time, method="lr_rewind"),
        "full",
        "safe",
        least=-0.51,
        most=0.51,
        ratios=(3, 9.3),
    ),
    Claim(
        "5d",
        "Rewinding the learning rate to the very beginning changes at most 0.51 BLEU against "
        "rewinding within 0.9 T for unstructured translation from 3x to 9.3x.",
        partial(_by_time, method="lr_rewind"),
        "full",
        "safe",
        least=-0.51,
        most=0.51,
        unit="BLEU",
        ratios=(3, 9.3),
    ),
    Claim(
        "6a",
        "Learning-rate rewinding for T is at least as good as for the shortest retrain time for "
        "vision from 3x to 9.3x in every mode.",
        partial(_by_time, method="lr_rewind"),
        "full",
        "shortest",
        variants=None,
        ratios=(3, 9.3),
    ),
    Claim(
        "6b",
        "Learning-rate rewinding for T is at least as good as for the shortest retrain time for "
        "translation from 3x to 9.3x.",
        partial(_by_time, method="lr_rewind"),
        "full",
        "shortest",
        unit="BLEU",
        variants=None,
        ratios=(3, 9.3),
    ),
    Claim(
        "6c",
        "Learning-rate rewinding for T is at most 0.3 pp behind its best validated retrain time "
        "for unstructured vision at every level.",
        partial(_by_time, method="lr_rewind"),
        "full",
        "validated",
        least=-0.3,
    ),
    Claim(
        "6d",
        "Learning-rate rewinding for T is at most 0.5 pp behind its best validated retrain time at "
        "every level of structured pruning.",
        partial(_by_time, method="lr_rewind"),
        "full",
        "validated",
        least=-0.5,
        variants=STRUCTURED,
    ),
    Claim(
        "7a",
        "By the single rule, learning-rate rewinding is at least as good after iterative as after "
        "one-shot pruning for vision from 3x compression.",
        partial(_by_mode, method="lr_rewind"),
        "iterative",
        "one_shot",
        ratios=(3, math.inf),
    ),
    Claim(
        "7b",
        "By the single rule, weight rewinding is at least as good after iterative as after "
        "one-shot pruning for vision from 3x compression.",
        partial(_by_mode, method="weight_rewind"),
        "iterative",
        "one_shot",
        ratios=(3, math.inf),
    ),
    Claim(
        "7c",
        "By the single rule, fine-tuning is no better after iterative than after one-shot pruning "
        "for vision other than the ImageNet networks from 3x compression.",
        partial(_by_mode, method="fine_tune"),
        "one_shot",
        "iterative",
        ratios=(3, math.inf),
        imagenet=False,
    ),
    Claim(
        "8a",
        "After one-shot pruning longer fine-tuning helps: over the levels of a vision network "
        "other than the ImageNet ones, the median rank correlation of retrain time and score is at "
        "least 0.5.",
        _trend,
        "correlation",
        least=0.5,
        unit=RANK,
        variants=("one_shot",),
        imagenet=False,
    ),
    Claim(
        "8b",
        "After iterative pruning longer fine-tuning does not help: over the levels of a vision "
        "network other than the ImageNet ones, the median rank correlation of retrain time and "
        "score is at most 0.1.",
        _trend,
        "correlation",
        least=-math.inf,
        most=0.1,
        unit=RANK,
        variants=("iterative",),
        imagenet=False,
    ),
    Claim(
        "9a",
        "At retrain times after the last drop of the rate, learning-rate rewinding is fine-tuning: "
        "up to 9.3x, the mean over a vision network's levels and modes differs by at most 0.2 pp.",
        _at_last_rate,
        "of_weights_kept",
        least=-0.2,
        most=0.2,
        variants=None,
    ),
    Claim(
        "9b",
        "At retrain times after the last drop of the rate, weight rewinding is low-LR weight "
        "rewinding: up to 9.3x, the mean over a vision network's levels and modes differs by at "
        "most 0.2 pp.",
        _at_last_rate,
        "of_weights_rewound",
        least=-0.2,
        most=0.2,
        variants=None,
    ),
    Claim(
        "10a",
        "Best validated, fine-tuning is at least as good as re-initialization for vision pruned in "
        "one shot at every level.",
        _by_validation,
        "fine_tune",
        "reinit",
        variants=("one_shot",),
    ),
    Claim(
        "10b",
        "Best validated, learning-rate rewinding is at least as good as re-initialization for "
        "vision pruned in one shot at every level.",
        _by_validation,
        "lr_rewind",
        "reinit",
        variants=("one_shot",),
    ),
    Claim(
        "10c",
        "Best validated, fine-tuning is at least as good as re-initialization for translation "
        "pruned in one shot up to 11.6x.",
        _by_validation,
        "fine_tune",
        "reinit",
        unit="BLEU",
        variants=("one_shot",),
        ratios=(1, 11.6),
    ),
    Claim(
        "10d",
        "Best validated, re-initialization is at least as good as fine-tuning at every level of "
        "structured pruning.",
        _by_validation,
        "reinit",
        "fine_tune",
        variants=STRUCTURED,
    ),
    Claim(
        "10e",
        "Best validated, re-initialization is at least as good as fine-tuning from level 3 of "
        "structured pruning.",
        _by_validation,
        "reinit",
        "fine_tune",
        variants=STRUCTURED,
        first_level=3,
    ),
    Claim(
        "10f",
        "Best validated, re-initialization is within 0.65 pp of learning-rate rewinding from level "
        "3 of structured pruning.",
        _by_validation,
        "reinit",
        "lr_rewind",
        least=-0.65,
        most=0.65,
        variants=STRUCTURED,
        first_level=3,
    ),
    Claim(
        "10g",
        "Best validated, re-initialization is at least as good as learning-rate rewinding from "
        "level 3 of structured pruning (true of only 28 % of the published cells).",
        _by_validation,
        "reinit",
        "lr_rewind",
        variants=STRUCTURED,
        first_level=3,
    ),
    Claim(
        "11a",
        "By the single rule, iterative learning-rate rewinding is at most 0.35 pp behind methods "
        "made for vision in the literature.",
        _against_literature,
        "ours",
        "theirs",
        least=-0.35,
    ),
    Claim(
        "11b",
        "By the single rule, iterative learning-rate rewinding is at most 0.35 BLEU behind methods "
        "made for translation in the literature.",
        _against_literature,
        "ours",
        "theirs",
        least=-0.35,
        unit="BLEU",
    ),
)


# ----- the page

READING = (
    "Each row is a claim of Renda, Frankle and Carbin (ICLR 2020) and counts the cells, each a "
    "median over replicates, that satisfy it. T is the length of the dense training. By the "
    "single rule, learning-rate rewinding and fine-tuning retrain for T, weight rewinding for the "
    "longest time within 0.9 T; the safe zone is 0.25 T to 0.9 T; best validated is the retrain "
    "time with the best validation score. The worst margin is that of the cell furthest from "
    "satisfying the claim: a negative one misses it. A claim *holds* in every cell, *holds within "
    "noise* if no cell misses it by more than {tolerance}, holds *mostly* in at least {mostly:.0f} "
    "% of the cells, and else *fails*. Where a statement quotes a share of the published cells, "
    "compare with that share. *No cells* means that there is nothing here to test the claim on."
)


def claims_page(table: pd.DataFrame, title: str) -> str:
    """Claims as a page in Markdown.

    Args:
        table: from :func:`claims`.
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
    """Like "0.3 pp, 0.3 BLEU"."""
    pairs = table[["tolerance", "unit"]].drop_duplicates().itertuples(index=False)
    return ", ".join(f"{tolerance:g} {unit}" for tolerance, unit in pairs)


def write_claims(
    cells: pd.DataFrame,
    title: str,
    *,
    csv: Path | str,
    page: Path | str,
    literature: pd.DataFrame | None = None,
    last_drop: Mapping[str, float] | None = None,
) -> None:
    """Test the claims and write the counts as CSV and as a page in Markdown.

    Args:
        cells: as for :func:`margins`.
        title: of the page.
        csv: file for the table.
        page: file for the page.
        literature: as for :func:`margins`.
        last_drop: as for :func:`margins`.

    Raises:
        PruningError: a file cannot be written.
    """
    table = claims(cells, literature, last_drop)
    write_table(table, csv)
    write_text(page, claims_page(table, title))
