"""What figures about pruning at initialization start from: replicates summed up.

A *cell* is study, method, variant of its mask, the time its weights were scored (``pruned_at``,
epochs of the dense training; 0 is initialization) and level. Its replicates are summed up by mean
and standard deviation, as in Frankle et al. (2021). Everything that is a share is in percent.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from pruning.analysis import replicates
from pruning.analysis.published import Accuracies
from pruning.analysis.replicates import KEYS, pruned, summed_up
from pruning.analysis.score import scored, shown
from pruning.errors import PruningError
from pruning.systems.at_init import rules as at_init_rules

VARIANTS = tuple(at_init_rules.VARIANTS)
# Methods with a fault on purpose: they show what a reproduction got wrong, and nothing else.
NORM_SCALES = "_with_norm_scales"  # batch-norm scales are ranked and pruned with the kernels
WITHOUT_MASKS = "synflow_without_masks"  # its pruner finds nothing to prune
PUBLISHED = (
    "source",
    "network",
    "dataset",
    "method",
    "variant",
    "density",
    "accuracy",
    "n",
    "note",
)
ACCURACIES = Accuracies("at_init", PUBLISHED)
_NETWORK = ("network", "dataset", "training_time", "metric")
_BINS = 100  # of width 0.01; one more holds the channels that lost everything


def cells(tidy: pd.DataFrame) -> pd.DataFrame:
    """Test score of networks pruned at initialization, a row per cell; dense ones among them.

    Args:
        tidy: tidy table of one or more studies; rows of other families are left out.

    Returns:
        :data:`KEYS`, ``network``, ``dataset``, ``training_time``; ``metric``, the study's score,
        and ``mean``, ``std`` and ``n`` of it as it is shown (``std`` missing where n is 1);
        ``removed``, the mean share of the prunable weights that is really gone. Dense networks are
        method "dense", variant "".

    Raises:
        PruningError: nothing was pruned at initialization.
    """
    rows = _scored(tidy)
    values = shown(rows["value"], rows["metric"])
    rows = rows.assign(value=values, removed=100 * (1 - rows["mask_density"]))
    keys = [*KEYS, *_NETWORK]
    removed = rows.groupby(keys, dropna=False, sort=False)["removed"].mean()
    table = summed_up(rows, "value", keys)
    return table.assign(removed=removed.round(6).to_numpy())


def effective(tidy: pd.DataFrame) -> pd.DataFrame:
    """Kept weights that lie on a path from input to output, in percent of those meant to be kept.

    Returns:
        :data:`KEYS`; ``mean``, ``std`` and ``n``; ``collapsed``, the number of replicates in which
        a layer is empty.

    Raises:
        PruningError: there is no effective density of a network pruned at initialization.
    """
    rows = pruned(_scored(tidy))
    rows = rows[rows["effective_density"].notna()]
    if rows.empty:
        raise PruningError(f"{_studies(tidy)}: no effective density was measured.")
    rows = rows.assign(
        ratio=100 * rows["effective_density"] / rows["density"],
        empty=rows["collapsed_layers"].fillna(0) > 0,
    )
    collapsed = rows.groupby(list(KEYS), sort=False)["empty"].sum()
    return summed_up(rows, "ratio").assign(collapsed=collapsed.to_numpy())


def layer_shares(layers: pd.DataFrame, kind: str = "kernel") -> pd.DataFrame:
    """As :func:`pruning.analysis.replicates.layer_shares`, of this system's variants."""
    return replicates.layer_shares(layers[layers["variant"].isin(VARIANTS)], kind)


def kept_shares(layers: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Share that is kept of all a network has of a ``kind``, a row per cell."""
    rows = layers[(layers["kind"] == kind) & layers["variant"].isin(VARIANTS)]
    rows = rows.groupby([*KEYS, "seed"], as_index=False, sort=False)[["kept", "prunable"]].sum()
    return summed_up(rows.assign(share=100 * rows["kept"] / rows["prunable"]), "share")


def channel_shares(channels: pd.DataFrame) -> pd.DataFrame:
    """Share of output channels that are at least as sparse as each ``channel_sparsity``.

    Both in percent; a row per cell and lower edge of a bin, 0 to 100.
    """
    rows = channels[channels["variant"].isin(VARIANTS)]
    rows = rows.assign(channel_sparsity=(_BINS * rows["sparsity"]).round().astype(int))
    counts = rows.pivot_table(
        index=[*KEYS, "seed"], columns="channel_sparsity", values="channels", aggfunc="sum"
    )
    counts = counts.reindex(columns=range(_BINS + 1)).fillna(0)  # empty bins may be left out
    at_least = counts.loc[:, ::-1].cumsum(axis=1).loc[:, ::-1]
    share = at_least.div(counts.sum(axis=1), axis=0) * 100
    share.columns.name = "channel_sparsity"
    return summed_up(
        share.stack().rename("share").reset_index(), "share", [*KEYS, "channel_sparsity"]
    )


def at_first(table: pd.DataFrame) -> pd.DataFrame:
    """Of every method the rows of the earliest time it was applied at.

    That is initialization, or the end of training for methods that prune trained networks. Dense
    networks stay.
    """
    first = table.groupby(["study", "method"])["pruned_at"].transform("min")
    return table[table["pruned_at"].isna() | (table["pruned_at"] == first)]


def without_faults(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of methods that do what they are meant to."""
    return table[[not at_init_rules.is_faulty(method) for method in table["method"]]]


def shown_levels(table: pd.DataFrame, wanted: Iterable[int] | None = None) -> list[int]:
    """Levels to look at closely: those wanted, or the one nearest 10 % density and the sparsest."""
    densities = table.groupby("level")["density"].first()
    found = [level for level in wanted or () if level in densities.index]
    if found:
        return found
    near = np.log(densities / 0.1).abs().idxmin()
    return list(dict.fromkeys([int(near), int(densities.idxmin())]))


# -- published numbers --------------------------------------------------------------------------


read_published = ACCURACIES.read
check_reference = ACCURACIES.check
published_for = ACCURACIES.read_for


# -- which rows ---------------------------------------------------------------------------------


def _scored(tidy: pd.DataFrame) -> pd.DataFrame:
    """Test scores of dense networks and of those pruned at initialization or like them."""
    rows = scored(tidy)
    ours = rows["variant"].isin(VARIANTS) & rows["pruned_at"].notna()
    if not ours.any():
        raise PruningError(f"{_studies(tidy)}: no networks were pruned at initialization.")
    rows = rows[ours | (rows["method"] == "dense")]
    return rows.assign(variant=rows["variant"].fillna(""))


def _studies(table: pd.DataFrame) -> str:
    return ", ".join(dict.fromkeys(table["study"])) or "No study"
