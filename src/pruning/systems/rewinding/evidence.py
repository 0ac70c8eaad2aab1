"""What the claims of Renda et al. (2020) are tested on: cells, laid out for each kind of claim."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from pruning.analysis.cells import (
    SAFE_ZONE,
    best_validated,
    cells,
    in_safe_zone,
    pruned,
    single_rule,
)
from pruning.analysis.claims import COUNT, REPLICATES, ClaimSet
from pruning.analysis.published import LITERATURE, read_literature
from pruning.analysis.score import signs
from pruning.systems.rewinding.claims import (
    CLAIMS,
    MODES,
    RANK,
    READING,
    SLACK,
    TOLERANCE,
    TOLERANCE_BY_DATASET,
)
from pruning.systems.rewinding.rules import CORE
from pruning.training.metric import ACCURACY

METHODS = ("lr_rewind", "weight_rewind", "fine_tune", "low_lr_weight_rewind", "reinit")

SAME_DENSITY = 0.005  # relative: densities of one-shot pruning are published in whole 0.01 %
FEWEST_TIMES = 3  # over two, a rank correlation is 1 or -1 whatever happens

SETTING = ("study", "network", "variant", "level")

# Methods that become the same once the learning rate is at its last value, by what differs there.
SAME_AT_LAST_RATE = {
    "of_weights_kept": ("lr_rewind", "fine_tune"),
    "of_weights_rewound": ("weight_rewind", "low_lr_weight_rewind"),
}


@dataclass(frozen=True)
class Evidence:
    """What claims are tested on.

    Attributes:
        cells: without the dense networks; ``median`` is positive where a score became better.
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
        """What there is, in the form that claims expect.

        Args:
            cells: of one or more studies, see :func:`pruning.analysis.cells.cells`.
            literature: results of other papers, see
                :func:`pruning.analysis.published.read_literature`; without them claim 11 has no
                cells.
            last_drop: by study the longest retrain time that lies wholly after the last drop of
                the learning rate, so that rewinding the rate changes nothing: 46 epochs for CIFAR,
                10 for ImageNet. Without it claim 9 has no cells.
        """
        if literature is None:
            literature = pd.DataFrame(columns=list(LITERATURE))
        # Tables of several studies may come with an index that repeats.
        cells = pruned(cells).reset_index(drop=True)
        cells = cells.assign(median=cells["median"] * signs(cells["metric"]))
        return cls(cells, literature, last_drop or {})


# ----- the evidence, laid out: one row per cell, what is compared side by side


def _side_by_side(
    table: pd.DataFrame, label: str, values: Sequence[str], keys: Sequence[str] = SETTING
) -> pd.DataFrame:
    """Medians with one column for each of ``values`` of the column ``label``, empty if missing.

    And the number of replicates of each.
    """
    first = table.drop_duplicates([*keys, label]).set_index([*keys, label])[["median", "n"]]
    wide, counts = (
        first[name].unstack(label).reindex(columns=list(values)) for name in ("median", "n")
    )
    wide = wide.join(counts.add_suffix(COUNT))
    shared = table.drop_duplicates(list(keys)).set_index(list(keys))
    return wide.join(shared[["dataset", "unit", "compression_ratio"]]).reset_index()


def _by_rule(evidence: Evidence) -> pd.DataFrame:
    """Methods, each at the retrain time of the single rule."""
    return _side_by_side(single_rule(evidence.cells, CORE), "method", METHODS)


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

    A study may have other densities in its two modes: levels where they differ are left out.
    """
    cells = single_rule(evidence.cells, [method])
    cells = cells[cells["variant"].isin(MODES)]
    keys = ["study", "network", "level", "retrain_time"]
    density = cells.groupby(keys)["density"]
    same = density.transform("max") <= density.transform("min") * (1 + SAME_DENSITY)
    return _side_by_side(cells[same], "variant", MODES, keys).assign(variant="iterative")


def _trend(evidence: Evidence) -> pd.DataFrame:
    """How fine-tuning's result goes with the retrain time: one row per study and mode.

    That is the rank correlation at each level, and of the levels the median. Of networks whose
    accuracy counts: the claims say so.
    """
    cells = evidence.cells
    cells = cells[(cells["method"] == "fine_tune") & (cells["unit"] == ACCURACY.change_unit)]
    rows = []
    keys = ["study", "network", "dataset", "variant"]
    for key, group in cells.groupby(keys):
        levels = [_rank_correlation(level) for _, level in group.groupby("level")]
        correlation = pd.Series(levels, dtype=float).median()
        rows.append((*key, RANK, correlation, group["n"].min()))
    return pd.DataFrame(rows, columns=[*keys, "unit", "correlation", REPLICATES])


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
    for name, sides in SAME_AT_LAST_RATE.items():
        first, second = sides
        table[name] = table[first] - table[second]
        counts = table[[f"{side}{COUNT}" for side in sides]].min(axis=1)
        table[f"{name}{COUNT}"] = counts.where(table[name].notna())
    groups = table.groupby(["study", "network", "dataset", "unit", "retrain_time"])
    names = list(SAME_AT_LAST_RATE)
    counts = groups[[f"{name}{COUNT}" for name in names]].min()
    return groups[names].mean().join(counts).reset_index()


def _against_literature(evidence: Evidence) -> pd.DataFrame:
    """Learning-rate rewinding by the single rule at the densities of other papers' results.

    Between two levels it is interpolated linearly in the logarithm of the density; beyond the first
    and the last nothing is said. How many replicates other papers had is not counted.
    """
    ours = single_rule(evidence.cells, ["lr_rewind"]).dropna(subset=["density", "median"])
    ours = ours[ours["variant"] == "iterative"].sort_values("density")
    theirs = evidence.literature[evidence.literature["variant"] == "iterative"]
    same = ["network", "dataset", "variant", "unit"]  # of a study's cells and a point
    rows = []
    for point in theirs.to_dict("records"):
        alike = (ours[same] == pd.Series(point)[same]).all(axis=1)
        for study, line in ours[alike].groupby("study"):
            if line["density"].min() <= point["density"] <= line["density"].max():
                change = np.interp(
                    np.log(point["density"]), np.log(line["density"]), line["median"]
                )
                gain = point["change"] * signs(line["metric"]).iloc[0]
                told = (study, *(point[key] for key in same), change, gain, line["n"].min())
                rows.append(told)
    return pd.DataFrame(rows, columns=["study", *same, "ours", "theirs", REPLICATES])


def _validated(cells: pd.DataFrame) -> pd.DataFrame:
    """Cells that a retrain time can be chosen from: those with a validation score."""
    return cells[cells["validation"].notna()]


def _extreme(cells: pd.DataFrame, which: str, but: pd.Series | None = None) -> pd.DataFrame:
    """Cells at the longest ("max") or shortest ("min") retrain time of their study and mode."""
    time = cells.groupby(["study", "variant"])["retrain_time"].transform(which)
    chosen = cells["retrain_time"] == time
    return cells[chosen if but is None else chosen & ~but]


LAYOUTS: dict[str, Callable[[Evidence], pd.DataFrame]] = {
    "single_rule": _by_rule,
    "best_validated": _by_validation,
    "epoch_for_epoch": _epoch_for_epoch,
    "times_of_lr_rewind": partial(_by_time, method="lr_rewind"),
    "times_of_weight_rewind": partial(_by_time, method="weight_rewind"),
    "modes_of_lr_rewind": partial(_by_mode, method="lr_rewind"),
    "modes_of_weight_rewind": partial(_by_mode, method="weight_rewind"),
    "modes_of_fine_tune": partial(_by_mode, method="fine_tune"),
    "trend_of_fine_tune": _trend,
    "at_last_rate": _at_last_rate,
    "literature": _against_literature,
}


def evidence(
    tidy: pd.DataFrame, resources: Path | str, *, last_drop: Mapping[str, float]
) -> Evidence:
    """What there is in a tidy table.

    Args:
        tidy: of one or more studies.
        resources: folder of published numbers.
        last_drop: as for :meth:`Evidence.of`.

    Raises:
        PruningError: the table or the published numbers are not as expected.
    """
    return Evidence.of(cells(tidy), read_literature("renda2020", Path(resources)), last_drop)


RENDA2020 = ClaimSet(
    claims=CLAIMS,
    evidence=evidence,
    layouts=LAYOUTS,
    cell=("study", "network", "dataset", "variant", "level", "retrain_time"),
    tolerance=TOLERANCE,
    tolerance_by_dataset=TOLERANCE_BY_DATASET,
    reading=READING,
)
