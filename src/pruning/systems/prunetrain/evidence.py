"""What the claims of Lym et al. (2019) are tested on: trainings, and published numbers.

Trainings of a replicate begin with the same weights. They are therefore compared within replicates,
and differences summed up.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pruning.analysis.claims import COUNT, ERROR, REPLICATES, ClaimSet
from pruning.analysis.claims_page import misses_of, table_of
from pruning.analysis.score import find, scored, shown, signs, units
from pruning.errors import PruningError
from pruning.systems.prunetrain import published as lym
from pruning.systems.prunetrain.claims import CLAIMS, EARLY, LATE, READING, SHARE, TOLERANCE
from pruning.systems.prunetrain.rules import FINE_TUNED, METHODS, UNMODIFIED
from pruning.training.metric import ACCURACY

SETTING = ("study", "network", "dataset", "level")
CELL = (*SETTING, "ratio", "method")
KEYS = [*SETTING, "method", "seed"]  # of a training
PAPER = "prunetrain"  # the method that the paper is about
ONE_TIME, GATING = "prunetrain_one_time", "prunetrain_gating"
FAMILY = "vgg"
FEWER_CLASSES, MORE_CLASSES = "cifar10", "cifar100"
DASH = "-"


@dataclass(frozen=True)
class Evidence:
    """What claims are tested on, and what the page shows beside it.

    Attributes:
        trainings: a row per training that shrinks: :data:`KEYS`, ``ratio``, ``metric``; test scores
            as they are shown, ``score``, ``tuned`` after fine-tuning and ``dense`` of the dense
            network; in percent of the network's as built, ``inference``, ``step`` and ``training``
            MACs, of the last network and of the whole training, and what a step costs less after a
            third of the training, ``early_saved``, and in the last epoch, ``late_saved``; in
            percent of channels, what the ``late`` and the ``middle`` convolutions of a VGG keep;
            ``settles``, whether the rate stays below the bound; how many channels were ``below``
            the threshold before the last record and how many of them ``stayed``, where nothing is
            cut before the end; seconds of the ``first_epoch`` and of the ``last_epoch``. Missing
            where there are none.
        published: networks, see :func:`pruning.systems.prunetrain.published.published`, with
            ``early_share``, the percentage of what a step costs less in the end that is saved after
            a third of the training.
    """

    trainings: pd.DataFrame
    published: pd.DataFrame


def evidence(
    tidy: pd.DataFrame,
    resources: Path | str,
    *,
    prunetrain_epochs: pd.DataFrame,
    prunetrain_layers: pd.DataFrame,
    prunetrain_seconds: pd.DataFrame,
    prunetrain_channels: pd.DataFrame | None = None,
) -> Evidence:
    """What there is in the tables of one or more studies.

    Args:
        tidy: the table ``prunetrain``, with the columns of :mod:`pruning.analysis.tidy`.
        resources: folder of published numbers.
        prunetrain_epochs, prunetrain_layers, prunetrain_seconds: tables of these names, see
            :mod:`pruning.systems.prunetrain.tables`.
        prunetrain_channels: the same, where there are trainings that cut nothing before their end.

    Raises:
        PruningError: nothing shrank, or the published numbers cannot be read.
    """
    layers = prunetrain_layers[prunetrain_layers["method"].isin(METHODS)]
    if layers.empty:
        raise PruningError(
            "The table of layers holds no network that shrank. Give the tables of a study with a "
            "`prunetrain` section."
        )
    epochs = prunetrain_epochs[prunetrain_epochs["method"].isin(METHODS)]
    table = _costs(layers)
    for part in (
        _scores(tidy),
        _courses(epochs),
        _depths(layers),
        _settled(prunetrain_channels),
        _seconds(prunetrain_seconds),
    ):
        table = table.join(part)
    return Evidence(_in_percent(table).reset_index(), _published(resources))


# ----- what each table says of a training


def _scores(tidy: pd.DataFrame) -> pd.DataFrame:
    """Test scores as they are shown, of the network and after fine-tuning, and of the dense one."""
    rows = scored(tidy)
    rows = rows.assign(value=shown(rows["value"], rows["metric"]))
    mine = rows[rows["method"].isin(METHODS)]
    columns = {"score": UNMODIFIED, "tuned": FINE_TUNED}
    found = {
        name: mine[mine["variant"] == variant].drop_duplicates(KEYS).set_index(KEYS)["value"]
        for name, variant in columns.items()
    }
    dense = rows[rows["method"] == "dense"].drop_duplicates(["study", "seed"])
    table = pd.DataFrame(found)
    return table.join(dense.set_index(["study", "seed"])["value"].rename("dense"))


def _costs(layers: pd.DataFrame) -> pd.DataFrame:
    """MACs of the last network and, in ``whole``, of a training step of the one as built."""
    groups = layers.groupby(KEYS, sort=False)
    costs = ["inference_macs", "inference_macs_before", "training_macs", "training_macs_before"]
    sums = groups[costs].sum()
    table = groups[["ratio", "metric"]].first()
    return table.assign(
        inference=100 * sums["inference_macs"] / sums["inference_macs_before"],
        step=100 * sums["training_macs"] / sums["training_macs_before"],
        whole=sums["training_macs_before"],
    )


def _courses(epochs: pd.DataFrame) -> pd.DataFrame:
    """MACs of a training step: ``mean``, of the network after a third, of the last epoch's."""
    found = {}
    for key, rows in epochs.groupby(KEYS, sort=False):
        rows = rows.sort_values("epoch")
        ends, costs = rows["epoch"].to_numpy(float), rows["training_macs"].to_numpy(float)
        lengths = np.diff(ends, prepend=0.0)  # the last epoch may be a part of one
        # What trains at this moment; a reconfiguration that falls on it has been.
        now = int(np.searchsorted(ends, EARLY * ends[-1] + 1e-9))
        rates = rows[["rate_times_strength", "bound"]].to_numpy(float)
        found[key] = {
            "mean": float((costs * lengths).sum() / ends[-1]),
            "early": costs[now],
            "last": costs[-1],
            "settles": bool((rates[:, 0] < rates[:, 1]).all()),
        }
    return _by_training(found, ("mean", "early", "last", "settles"))


def _depths(layers: pd.DataFrame) -> pd.DataFrame:
    """Mean share of their channels that the last convolutions of a VGG keep, and those between."""
    found = {}
    vggs = layers[layers["network"].str.startswith(FAMILY)]
    # A linear layer has as many MACs as weights; a convolution of 3x3 has more than channel pairs.
    pairs = vggs["inputs_before"] * vggs["outputs_before"]
    convolutions = vggs[vggs["inference_macs_before"] > pairs]
    for key, rows in convolutions.groupby(KEYS, sort=False):
        rows = rows.sort_values("position")
        share = 100 * rows["outputs"] / rows["outputs_before"]
        found[key] = {"middle": share.iloc[1:-LATE].mean(), "late": share.iloc[-LATE:].mean()}
    return _by_training(found, ("middle", "late"))


def _seconds(seconds: pd.DataFrame) -> pd.DataFrame:
    groups = seconds.sort_values("epoch").groupby(KEYS, sort=False)["seconds"]
    return pd.DataFrame({"first_epoch": groups.first(), "last_epoch": groups.last()})


def _settled(channels: pd.DataFrame | None) -> pd.DataFrame:
    """How many channels were below the threshold before the last record, and how many stayed."""
    if channels is None:
        return _by_training({}, ("below", "stayed"))
    once = [name for name, method in METHODS.items() if method.once]
    rows = channels[channels["method"].isin(once)].sort_values("epoch")
    channel = [*KEYS, "position", "channel"]
    below = rows["size"] < rows["threshold"]
    ever = below.groupby([rows[name] for name in channel]).cummax()
    last = rows["epoch"] == rows.groupby(KEYS)["epoch"].transform("max")
    rows = rows.assign(below=below & ~last, back=ever & ~below)
    each = rows.groupby(channel)[["below", "back"]].any()
    each["stayed"] = each["below"] & ~each["back"]
    return each.groupby(KEYS)[["below", "stayed"]].sum()


def _by_training(
    found: Mapping[tuple[Any, ...], Mapping[str, Any]], columns: tuple[str, ...]
) -> pd.DataFrame:
    """One row per training, also where there are none."""
    rows = [dict(zip(KEYS, key, strict=True)) | row for key, row in found.items()]
    return pd.DataFrame(rows, columns=[*KEYS, *columns]).set_index(KEYS)


def _in_percent(table: pd.DataFrame) -> pd.DataFrame:
    """Costs of training against the network as built."""
    costs = {name: 100 * table[name] / table["whole"] for name in ("mean", "early", "last")}
    table = table.assign(
        training=costs["mean"], early_saved=100 - costs["early"], late_saved=100 - costs["last"]
    )
    return table.drop(columns=["mean", "early", "last", "whole"])


def _published(resources: Path | str) -> pd.DataFrame:
    table = lym.published(lym.SOURCE, resources)
    early = [_early_share(row, resources) for row in table.to_dict("records")]
    return table.assign(early_share=early)


def _early_share(row: Mapping[str, Any], resources: Path | str) -> float:
    """Of what is saved in the last interval, the percentage that is after a third."""
    rows = lym.intervals_for(row["source"], row["network"], row["dataset"], resources)
    rows = rows[rows["ratio"] == row["ratio"]]
    if rows.empty:
        return math.nan
    third = EARLY * rows["last_epoch"].max() + 1e-9
    saved = 100 - rows["training_macs"]
    return float(100 * saved[rows["last_epoch"] > third].iloc[0] / saved.iloc[-1])


# ----- the evidence, laid out: one row per cell, what is compared side by side


def _summed_up(table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Mean over replicates and, in columns with ERROR and COUNT appended, its error and n."""
    groups = table.groupby(list(SETTING), sort=False)
    counts = groups[names].count()
    errors = (groups[names].std() / np.sqrt(counts)).add_suffix(ERROR)
    shared = groups[["ratio", "metric"]].first()
    table = groups[names].mean().join(errors).join(counts.add_suffix(COUNT)).join(shared)
    return table.reset_index()


def _of(evidence: Evidence, method: str) -> pd.DataFrame:
    table = evidence.trainings
    return table[table["method"] == method].sort_values("level")


def _from_ratio_to_ratio(evidence: Evidence) -> pd.DataFrame:
    """What a larger ratio changes against the next smaller one of the same replicate."""
    table = _of(evidence, PAPER)
    table = table.assign(gain=signs(table["metric"]) * table["score"])
    changes = table.groupby(["study", "seed"])[["inference", "gain"]].diff()
    table = table.assign(cheaper=-changes["inference"], worse=-changes["gain"])
    return _summed_up(table, ["cheaper", "worse"])


def ratios(evidence: Evidence) -> pd.DataFrame:
    """Costs of each ratio but the smallest: ``cheaper`` than the next smaller one by so much."""
    return _from_ratio_to_ratio(evidence).assign(unit=SHARE)


def scores(evidence: Evidence) -> pd.DataFrame:
    """Scores of each ratio but the smallest: ``worse`` than the next smaller one by so much."""
    table = _from_ratio_to_ratio(evidence)
    return table.assign(unit=units(table["metric"]))


def savings(evidence: Evidence) -> pd.DataFrame:
    """What is saved at each ratio, and what the training costs that cuts once."""
    names = ["inference", "training", "early_saved", "late_saved"]
    table = _summed_up(_of(evidence, PAPER), names)
    once = _summed_up(_of(evidence, ONE_TIME), ["training"])
    keys, name = [*SETTING, "ratio"], "one_time_training"
    once = once.rename(columns={"training": name, f"training{COUNT}": f"{name}{COUNT}"})
    table = table.merge(once[[*keys, name, f"{name}{COUNT}"]], on=keys, how="outer")
    table = table.assign(
        inference_saved=100 - table["inference"],
        training_saved=100 - table["training"],
        early_share=100 * table["early_saved"] / table["late_saved"],  # missing where 0 of 0
        unit=SHARE,
    )
    of = {"inference_saved": "inference", "training_saved": "training", "early_share": "late_saved"}
    return table.assign(**{f"{one}{COUNT}": table[f"{other}{COUNT}"] for one, other in of.items()})


def depths(evidence: Evidence) -> pd.DataFrame:
    """What the last convolutions of VGGs keep, and those before them."""
    return _summed_up(_of(evidence, PAPER), ["middle", "late"]).assign(unit=SHARE)


def datasets(evidence: Evidence) -> pd.DataFrame:
    """What the last convolutions of the same VGG at the same ratio keep on two data sets.

    The cell is that of the data set with fewer classes.
    """
    table = depths(evidence)
    fewer, more = (
        table[table["dataset"] == name].rename(
            columns={"late": f"late_{name}", f"late{COUNT}": f"late_{name}{COUNT}"}
        )
        for name in (FEWER_CLASSES, MORE_CLASSES)
    )
    late = f"late_{MORE_CLASSES}"
    other = more.groupby(["network", "ratio"]).agg({late: "mean", f"{late}{COUNT}": "min"})
    return fewer.join(other, on=["network", "ratio"])


def gating(evidence: Evidence) -> pd.DataFrame:
    """By how much gating is cheaper in the same replicate: ``gated_cheaper``."""
    keys = [*SETTING, "seed"]
    gated = _of(evidence, GATING).set_index(keys)["inference"].rename("gated")
    table = _of(evidence, PAPER).join(gated, on=keys)
    table = table.assign(gated_cheaper=table["inference"] - table["gated"])
    return _summed_up(table, ["gated_cheaper"]).assign(unit=SHARE)


def settled(evidence: Evidence) -> pd.DataFrame:
    """The percentage of channels below the threshold that stay, over all replicates that settle."""
    table = evidence.trainings
    table = table[table["settles"].eq(True) & (table["below"] > 0)]
    groups = table.groupby([*SETTING, "method"], sort=False)
    sums, shared = groups[["below", "stayed"]].sum(), groups[["ratio", "metric"]].first()
    return shared.assign(
        stayed=100 * (sums["stayed"] / sums["below"]).astype(float),
        unit=SHARE,
        **{REPLICATES: groups.size()},
    ).reset_index()


LAYOUTS = {
    "ratios": ratios,
    "scores": scores,
    "savings": savings,
    "depths": depths,
    "datasets": datasets,
    "gating": gating,
    "settled": settled,
}


# ----- what the page says besides


def _appendix(claims: ClaimSet, evidence: Evidence) -> str:
    """Cells that speak against claims, published networks beside a study's, and seconds."""
    lines = [
        *misses_of(claims, evidence, _where),
        "",
        "## Published beside ours",
        "",
        f"PruneTrain. {_told(evidence)}; costs are in percent of the dense network's that are "
        "left: of inference, of a training step of the last network, and of all training. *After a "
        "third*: of what an epoch costs less in the end, the percentage that is saved after a "
        "third of the training (claim 2). Ours are means ± standard deviations over replicates, "
        "whose number is in the last column, after the last epoch; published accuracies are, as "
        "far as is known, of the best epoch by test images. A dash: not published, or not "
        "measured. Ratios of the authors' README are not stated, so none of its rows belongs to "
        "one of ours."
        + "".join(f" Nothing was published of {name}." for name in _unpublished(evidence)),
        "",
        *table_of(_NETWORK_COLUMNS, _networks(evidence)),
        "",
        "## Seconds",
        "",
        "Reported, not judged: what the steps of the first and of the last epoch took, as means "
        "over replicates. Starting up counts with the first, and whatever else the machine does "
        "with both; epochs of less than some seconds tell little. The last column is what a "
        "training step of the last epoch costs in MACs, of what one of the first does.",
        "",
        *table_of(_SECOND_COLUMNS, _times(evidence)),
    ]
    return "\n".join(lines) + "\n"


_NETWORK_COLUMNS = (
    "network",
    "from",
    "ratio",
    "inference",
    "last step",
    "training",
    "after a third",
    "score",
    "fine-tuned",
    "replicates",
)
_SECOND_COLUMNS = (
    "study",
    "method",
    "ratio",
    "first epoch (s)",
    "last epoch (s)",
    "last / first",
    "MACs, last / first",
)


def _where(row: Mapping[str, Any]) -> str:
    """Like "ratio 0.3" or "prunetrain_one_time at ratio 0.3"."""
    ratio = f"ratio {row['ratio']:g}"
    return f"{row['method']} at {ratio}" if isinstance(row["method"], str) else ratio


def _told(evidence: Evidence) -> str:
    """What the scores are, like "Scores are test accuracies in percent"."""
    names = evidence.trainings["metric"].unique()
    if set(names) <= {ACCURACY.name}:
        return "Scores are test accuracies in percent"
    told = "; ".join(find(name).axis for name in names)
    return f"Scores: {told}; published ones are accuracies in percent"


def _counterparts(evidence: Evidence, network: str, dataset: str) -> pd.DataFrame:
    """What was published of a network; none where nothing was."""
    table = evidence.published
    return table[(table["network"] == network) & (table["dataset"] == dataset)]


def _unpublished(evidence: Evidence) -> list[str]:
    return [
        f"{network}, {dataset}"
        for (network, dataset), _ in evidence.trainings.groupby(["network", "dataset"])
        if _counterparts(evidence, network, dataset).empty
    ]


def _networks(evidence: Evidence) -> list[tuple[str, ...]]:
    """Lines of each network: what was published, then each study's dense and pruned ones."""
    mine = _of(evidence, PAPER)
    rows: list[tuple[str, ...]] = []
    for (network, dataset), studies in mine.groupby(["network", "dataset"]):
        name = f"{network}, {dataset}"
        counterparts = _counterparts(evidence, network, dataset)
        rows += [(name, *row) for row in _published_lines(counterparts)]
        for study, table in studies.groupby("study"):
            rows += [(name, str(study), *row) for row in _own_lines(table)]
    return rows or [(DASH,) * len(_NETWORK_COLUMNS)]


def _published_lines(counterparts: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    tuned = counterparts[counterparts["variant"] == FINE_TUNED]
    same = ["trust", "inference_macs"]  # a network that was trained on costs what it did
    by_network = tuned.set_index(same)["accuracy"].to_dict()
    for row in counterparts[counterparts["variant"] == UNMODIFIED].to_dict("records"):
        after = by_network.get(tuple(row[name] for name in same), math.nan)
        costs = (row[name] for name in ("inference_macs", "step_macs", "training_macs"))
        yield (
            row["trust"],
            DASH if math.isnan(row["ratio"]) else f"{row['ratio']:g}",
            *(_number(cost, 1) for cost in (*costs, row["early_share"])),
            *(_number(score, 2) for score in (row["accuracy"], after)),
            DASH,
        )


def _own_lines(table: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    dense = table.drop_duplicates("seed")["dense"]
    nothing = (DASH,) * 4
    yield ("dense", *nothing, _ours(dense, 2), DASH, str(dense.count()))
    for _, rows in table.groupby("level"):
        early, late = rows["early_saved"].mean(), rows["late_saved"].mean()
        yield (
            f"{rows['ratio'].iloc[0]:g}",
            *(_ours(rows[name], 1) for name in ("inference", "step", "training")),
            _number(100 * early / late if late > 0 else math.nan, 1),
            *(_ours(rows[name], 2) for name in ("score", "tuned")),
            str(len(rows)),
        )


def _times(evidence: Evidence) -> list[tuple[str, ...]]:
    table = evidence.trainings.assign(method=_ordered(evidence.trainings["method"]))
    rows = []
    for (study, method, _), group in table.groupby(["study", "method", "level"], observed=True):
        first, last = group["first_epoch"].mean(), group["last_epoch"].mean()
        numbers = (first, last, last / first, 1 - group["late_saved"].mean() / 100)
        ratio = f"{group['ratio'].iloc[0]:g}"
        rows.append((str(study), str(method), ratio, *(_number(n, 2) for n in numbers)))
    return rows


def _ordered(methods: pd.Series) -> pd.Series:
    return pd.Series(pd.Categorical(methods, list(METHODS)), methods.index)


def _number(value: float, places: int) -> str:
    return DASH if math.isnan(value) else f"{round(value, places) + 0.0:.{places}f}"


def _ours(values: pd.Series, places: int) -> str:
    """Like "98.18 ± 0.05"; a single replicate has no deviation."""
    mean, deviation = values.mean(), values.std()
    spread = "" if math.isnan(deviation) else f" ± {deviation:.{places}f}"
    return _number(mean, places) + spread


LYM2019 = ClaimSet(
    claims=CLAIMS,
    evidence=evidence,
    layouts=LAYOUTS,
    cell=CELL,
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
