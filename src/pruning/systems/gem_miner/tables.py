"""This wing's own tables, and which networks of the tidy one stand beside each other.

What a study trains by other systems serves as a baseline: iterative magnitude pruning, which is
weight rewinding in the tidy table, learning-rate rewinding, and pruning at initialization.
"""

import pandas as pd

from pruning.analysis import replicates as summaries
from pruning.analysis.score import scores_of, shown
from pruning.systems.gem_miner.rules import BASELINES, METHODS, UNMODIFIED

CELL = ("study", "network", "dataset", "seed", "method", "variant", "level", "density", "metric")
CURVES = (
    *CELL,
    "strength",
    "epoch",
    "step",
    "learning_rate",
    "train_loss",
    "validation_score",
    "test_score",
    "kept_density",
    "active_density",
    "penalty",
)

AFTER, BEFORE, SEARCHED = "after", "before", "searched"  # training; before it, by two definitions
SEARCH = f"{SEARCHED}_"  # begins the variants of searches
IMP_WARM, IMP_COLD, LR_REWIND = "imp_warm", "imp_cold", "lr_rewind"
OWN = (*METHODS, *BASELINES)
# Identifies a network of one replicate, and what is said of it.
NETWORK = ("study", "network", "dataset", "method", "variant", "level", "density", "metric")


def compared(tidy: pd.DataFrame) -> pd.DataFrame:
    """Test scores of everything that is compared with searches, as they are shown.

    Args:
        tidy: the table of all systems of one or more studies, see :mod:`pruning.analysis.tidy`.

    Returns:
        Its rows with ``metric``, the study's score; ``value`` as it is shown; ``moment``,
        :data:`AFTER` training, :data:`BEFORE` it under the mask that is trained, or under the mask
        of a search's last scores (:data:`SEARCHED`); ``method`` of this wing,
        :data:`IMP_WARM` and :data:`IMP_COLD` (rewound to an early step, to the beginning),
        :data:`LR_REWIND`, a method of pruning at initialization, or ``dense``. Variants are those
        of searches; others are :data:`UNMODIFIED`, and dense networks have none.
    """
    score = tidy["study"].map(scores_of(tidy))
    start = tidy["metric"] == "start_" + score
    rows = tidy.assign(
        metric=score,
        moment=start.map({True: BEFORE, False: AFTER}),
        variant=tidy["variant"].astype(object).fillna(""),
    )[(tidy["split"] == "test") & (start | (tidy["metric"] == score))]
    searches = rows["variant"].str.startswith(SEARCH)
    rows.loc[searches, "moment"] = SEARCHED
    rows["variant"] = rows["variant"].str.removeprefix(SEARCH)
    rows = pd.concat([rows[rows["method"].isin((*OWN, "dense"))], _iterative(rows), _at_init(rows)])
    return rows.assign(value=shown(rows["value"], rows["metric"])).reset_index(drop=True)


def _iterative(rows: pd.DataFrame) -> pd.DataFrame:
    """Iterative pruning by magnitude, each way at its longest retraining."""
    found = rows[(rows["variant"] == "iterative") & (rows["moment"] == AFTER)]
    whole = found["retrain_time"] == found["training_time"]
    rewound = found["method"] == "weight_rewind"
    warm = found[rewound & ~whole]
    longest = warm.groupby("study")["retrain_time"].transform("max")
    tables = {
        IMP_WARM: warm[warm["retrain_time"] == longest],
        IMP_COLD: found[rewound & whole],
        LR_REWIND: found[(found["method"] == "lr_rewind") & whole],
    }
    return pd.concat([t.assign(method=name, variant=UNMODIFIED) for name, t in tables.items()])


def _at_init(rows: pd.DataFrame) -> pd.DataFrame:
    """Pruning at initialization, at epoch 0, but for random masks, which this wing has itself."""
    wanted = (rows["pruned_at"] == 0) & (rows["variant"] == UNMODIFIED)
    return rows[wanted & ~rows["method"].isin((*OWN, "random", "random_layerwise"))]


def apart(densities: pd.Series, density: float) -> pd.Series:
    """How far densities are from another one: the ratio of the larger to the smaller.

    Infinite where nothing is kept.
    """
    ratio = densities / density
    return ratio.where(ratio >= 1, 1 / ratio)


def summed_up(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean, deviation and number of replicates of every network and moment, at what it keeps.

    ``density`` is the mean share that is really kept, ``aimed`` the one that was asked for,
    ``empty`` the number of replicates that keep nothing.
    """
    keys = [*NETWORK, "moment"]
    table = summaries.summed_up(rows, "value", keys)
    groups = rows.groupby(keys, dropna=False, sort=False)[["mask_density", "training_steps"]]
    means = groups.mean().reset_index(drop=True)
    nothing = (rows["mask_density"] == 0).groupby([rows[k] for k in keys], dropna=False, sort=False)
    return table.rename(columns={"density": "aimed"}).assign(
        density=means["mask_density"].round(8),
        empty=nothing.sum().reset_index(drop=True),
        training_steps=means["training_steps"],
        pruned_at=float("nan"),
    )
