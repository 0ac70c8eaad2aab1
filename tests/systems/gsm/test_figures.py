"""Figures of global sparse momentum SGD: which numbers they draw."""

import dataclasses
import re
import zlib

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from pruning.analysis import mask_tables, tidy
from pruning.analysis.tables import columns
from pruning.errors import PruningError
from pruning.figures import style
from pruning.figures.catalog import figures_of
from pruning.figures.context import Context
from pruning.registry import load
from pruning.study.study import find_study
from pruning.systems.gsm import tables as gsm_tables
from pruning.systems.gsm.catalog import FIGURES, TITLE
from pruning.systems.gsm.figures import accuracy as gsm
from pruning.systems.gsm.figures import curves as gsm_curves
from pruning.systems.gsm.figures import weights as gsm_weights
from pruning.systems.gsm.passive_decay import scheduled, trajectory
from pruning.systems.gsm.styles import STYLES
from tests.conftest import REPOSITORY, SCHEMAS
from tests.figure_checks import check, marks_of

EPOCHS = 40
NETWORKS = {  # study: network, data set, density of each level, layers
    "lenet": ("lenet5", "mnist", (1 / 125, 1 / 300),
              {"conv1": 500, "conv2": 25_000, "fc1": 400_000, "fc2": 5_000}),
    "densenet": ("densenet40", "cifar10", (0.15,),
                 {f"block{i // 13}.conv{i % 13}": 1000 + 800 * (i % 13) for i in range(40)}),
}  # fmt: skip
MAGNITUDE = "magnitude_without_retraining"
LAYER_DENSITIES = (0.5, 0.2, 0.05, 0.01)


def noise(*key):
    return np.random.default_rng(zlib.crc32(repr(key).encode())).normal()


def cell(study, seed, method, level, variant="unmodified"):
    network, dataset, densities, _ = NETWORKS[study]
    return {
        "study": study,
        "network": network,
        "dataset": dataset,
        "seed": seed,
        "method": method,
        "variant": variant if level else np.nan,
        "level": level,
        "density": densities[level - 1] if level else 1.0,
        "metric": "accuracy",
    }


# -- whole studies, as trainings would leave them --------------------------------------------------


def accuracies(study, seed):
    """method, level, metric and value of each test score."""
    top = {"lenet": 0.992, "densenet": 0.938}[study] + 0.0005 * noise(study, seed)
    yield "dense", 0, "accuracy", top
    for level in range(1, len(NETWORKS[study][2]) + 1):
        after = top - 0.0008 * level + 0.0003 * noise(study, seed, level)
        yield "gsm", level, "accuracy", after
        yield "gsm", level, "accuracy_before_zeroing", after + 0.0002
        yield MAGNITUDE, level, "accuracy", 0.4 / level + 0.02 * noise(seed, level)
        yield MAGNITUDE, level, "accuracy_before_zeroing", top
        yield "gsm_ticket", level, "accuracy", top - 0.0012 * level + 0.0006 * noise(seed, "t")
        value = top - 0.012 + 0.002 * noise(seed, "m") if level == 1 else 0.1135
        yield "magnitude_ticket", level, "accuracy", value


def study_rows(studies=tuple(NETWORKS), seeds=3):
    for study in studies:
        for seed in range(seeds):
            for method, level, metric, value in accuracies(study, seed):
                row = dict.fromkeys(tidy.COLUMNS, np.nan) | cell(study, seed, method, level)
                row |= {"split": "test", "metric": metric, "value": value}
                yield row
                yield row | {"split": "validation", "value": 0.5}
                yield row | {"metric": metric.replace("accuracy", "loss"), "value": 9.0}


def learning(top, epoch, fast=0.25):
    return top - (top - 0.1) * np.exp(-fast * epoch**1.3)


def curve_rows(studies=tuple(NETWORKS), seeds=3):
    for study in studies:
        for seed in range(seeds):
            for level in range(len(NETWORKS[study][2]) + 1):
                for kind in training_kinds(study, level):
                    for epoch in range(1, EPOCHS + 1):
                        yield curve_row(study, seed, level, kind, epoch)


def training_kinds(study, level):
    """method, variant, momentum and reselect of each training."""
    if not level:
        return [("dense", "", np.nan, np.nan)]
    found = [
        ("gsm", "unmodified", 0.99, True),
        ("gsm_ticket", "unmodified", np.nan, np.nan),
        ("magnitude_ticket", "unmodified", np.nan, np.nan),
    ]
    if study == "densenet" or level == 2:
        found.append(("gsm", "frozen", 0.99, False))
    found.append(("gsm", "momentum_98", 0.98, True))
    found.append(("gsm", "momentum_90", 0.9, True))
    return found


def curve_row(study, seed, level, kind, epoch):
    method, variant, momentum, reselect = kind
    row = dict.fromkeys(gsm_tables.CURVES, np.nan)
    row |= cell(study, seed, method, level, variant)
    row |= {"momentum": momentum, "reselect": reselect, "epoch": epoch, "step": 10 * epoch}
    row["learning_rate"] = 0.02 if epoch <= EPOCHS / 2 else 0.002
    lost = {"dense": 0, "gsm": 0.001, "gsm_ticket": 0.0025, "magnitude_ticket": 0.015}[method]
    top = 0.992 - lost * max(level, 1) - (0.01 if reselect is False else 0)
    shake = 0.002 * noise(study, seed, level, kind, epoch) / epoch**0.3
    row["test_score"] = learning(top, epoch) + shake
    if method == "magnitude_ticket" and level == 2:
        row["test_score"] = 0.1135
    if method != "gsm":
        return row
    density = row["density"]
    gone = {0.9: 0.1, 0.98: 0.5, 0.99: 1.0}[momentum] * epoch / EPOCHS
    for threshold, slower in ((0.001, 9), (0.0001, 5)):
        row[f"share_below_{threshold}"] = (1 - density) * (1 - np.exp(-slower * gone**2))
    row["zeroed_test_score"] = 0.1 + (row["test_score"] - 0.1) * (1 - np.exp(-12 * gone))
    return row


def layer_rows(studies=tuple(NETWORKS), seeds=3):
    for study in studies:
        _, _, densities, layers = NETWORKS[study]
        for seed in range(seeds):
            for level, density in enumerate(densities, start=1):
                for method, slope in (("gsm", -0.5), (MAGNITUDE, -0.2)):
                    for position, (layer, size) in enumerate(layers.items()):
                        share = density * (size / 30_000) ** slope
                        share *= 1 + 0.15 * noise(study, seed, level, method, layer)
                        kept = round(min(share, 1) * size)
                        if method == MAGNITUDE and layer == "conv2" and level == 2:
                            kept = 0
                        yield cell(study, seed, method, level) | {
                            "pruned_at": np.nan, "layer": f"{layer}.weight", "position": position,
                            "kind": "kernel", "prunable": size, "kept": kept, "effective": kept,
                        }  # fmt: skip


def sensitivity_rows(studies=tuple(NETWORKS), seeds=3):
    for study in studies:
        layers = NETWORKS[study][3]
        for seed in range(seeds):
            for position, (layer, size) in enumerate(layers.items()):
                for density in LAYER_DENSITIES:
                    lost = 0.6 * (1 - density) ** 20 * (size / 400) ** -0.3
                    lost += 0.01 * abs(noise(study, seed, layer, density))
                    yield cell(study, seed, "dense", 0) | {
                        "layer": f"{layer}.weight", "position": position,
                        "layer_density": density, "score": 0.99 - lost,
                    }  # fmt: skip


def magnitude_rows(studies=tuple(NETWORKS), seeds=3):
    edges = np.array([0, *np.logspace(-10, 1, 111)])
    for study in studies:
        _, _, densities, layers = NETWORKS[study]
        total = sum(layers.values())
        for seed in range(seeds):
            for level, density in enumerate(densities, start=1):
                random = np.random.default_rng(seed)
                base = np.abs(random.normal(0, 0.03, total))
                kept = round(density * total)
                rest = np.exp(random.normal(np.log(1e-8), 1.6, total - kept))
                rest[:2000] = 0
                trained = np.concatenate([rest, 0.05 + np.abs(random.normal(0, 0.2, kept))])
                for method, weights in (("gsm", trained), (MAGNITUDE, base)):
                    ordered = np.sort(weights)[::-1]
                    counts, _ = np.histogram(weights, edges)
                    ends = {"smallest_kept": ordered[kept - 1], "largest_dropped": ordered[kept]}
                    for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True):
                        if count:
                            yield cell(study, seed, method, level) | ends | {
                                "low": low, "high": high, "count": count
                            }  # fmt: skip


@pytest.fixture(autouse=True)
def _as_drawn_by_the_workflow():
    style.use()
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def study():
    return pd.DataFrame(study_rows())


@pytest.fixture(scope="module")
def curves():
    return pd.DataFrame(curve_rows())


@pytest.fixture(scope="module")
def layers():
    return pd.DataFrame(layer_rows())


@pytest.fixture(scope="module")
def sensitivity():
    return pd.DataFrame(sensitivity_rows())


@pytest.fixture(scope="module")
def sizes():
    return pd.DataFrame(magnitude_rows())


@pytest.fixture
def published(tmp_path):
    """A folder with made-up published accuracies."""
    rows = [
        ("lenet5", "mnist", "dense", 1, 99.21), ("lenet5", "mnist", "dense", 1, 99.21),
        ("lenet5", "mnist", "gsm", 0.008, 99.22), ("lenet5", "mnist", "gsm", 0.00333, 99.06),
        ("lenet5", "mnist", "magnitude_ticket", 0.008, 97.6),
        ("lenet5", "mnist", "magnitude_ticket", 0.00333, 11.35),
        ("lenet5", "mnist", "dns", 0.0092, 99.09), ("lenet5", "mnist", "gsm", 0.0092, 99.3),
        ("resnet56", "cifar10", "gsm", 0.008, 94.1),
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["network", "dataset", "method", "density", "accuracy"])
    table = table.assign(source="gsm2019", table="1", variant="", note="")
    table.to_csv(tmp_path / "gsm.csv", index=False)
    return tmp_path


TITLES = {"densenet": "DenseNet-40, CIFAR-10", "lenet": "LeNet-5, MNIST"}
PASSIVE = [
    {"variant": name, "momentum": momentum, "weight_decay": 4e-3, "nesterov": nesterov}
    for name, momentum, nesterov in (
        ("unmodified", 0.99, True), ("momentum_98", 0.98, False), ("momentum_90", 0.9, False)
    )
]  # fmt: skip


def context(options=None, titles=TITLES, settings=None, resources=".", **tables):
    return Context(titles, options or {}, settings or {}, resources, tables)


def only(table, **wanted):
    for column, value in wanted.items():
        table = table[table[column] == value]
    return table


def lines(axes):
    """The named curves of a panel."""
    found = {}
    for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
        line = handle[0] if hasattr(handle, "has_yerr") else handle
        if hasattr(line, "get_xdata") and line.get_transform() == axes.transData:
            found.setdefault(label, line)
    return {label: line for label, line in found.items() if len(line.get_xdata())}


def labels(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def titles(figure):
    """Without the letters of several panels."""
    return [re.sub(r"^\([a-z]\) ", "", axes.get_title()) for axes in figure.axes]


def percent(rows, column):
    """Mean and sample deviation over seeds."""
    return 100 * np.mean(rows[column]), 100 * np.std(rows[column], ddof=1)


# -- styles and tables -----------------------------------------------------------------------------


def test_methods_look_different_from_each_other():
    assert list(STYLES) == ["gsm", MAGNITUDE, "gsm_ticket", "magnitude_ticket"]
    assert [look.label for look in STYLES.values()] == [
        "GSM", "Magnitude, not retrained", "GSM ticket", "Magnitude ticket"
    ]  # fmt: skip
    for get in (style.color, lambda look: look.marker):
        assert len({get(look) for look in STYLES.values()}) == 4
    assert style.method_style("gsm_ticket", ["gsm_ticket"]) == STYLES["gsm_ticket"]
    assert style.order(["magnitude_ticket", "gsm", "snip"]) == ["snip", "gsm", "magnitude_ticket"]


def test_a_momentum_has_the_same_colour_in_every_figure():
    few, many = gsm.momentum_styles([0.99, 0.9]), gsm.momentum_styles([0, 0.9, 0.95, 0.98, 0.99])
    assert list(few) == [0.9, 0.99]
    assert few[0.99].color == many[0.99].color
    assert many[0.9].label == "β = 0.9"
    assert len({look.color for look in many.values()}) == 5
    assert len({look.marker for look in many.values()}) == 5


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.4, "1.4x"), (60, "60x"), (125, "125x"), (300, "300x"), (1000, "1000x")],
)
def test_compression_ratios_for_people(value, text):
    assert style.ratio(value) == text


def test_tables_have_their_columns():
    assert columns("gsm") == tidy.COLUMNS
    assert columns("gsm_curves") == gsm_tables.CURVES
    assert columns("gsm_sensitivity")[-4:] == ("layer", "position", "layer_density", "score")
    assert columns("gsm_magnitudes")[-2:] == ("smallest_kept", "largest_dropped")
    assert columns("gsm_layers") == mask_tables.LAYERS
    assert columns("gsm_channels") == mask_tables.CHANNELS
    assert set(columns("gsm_curves")) == set(curve_row("lenet", 0, 0, ("dense", "", 0, 0), 1))


# -- passive decay ---------------------------------------------------------------------------------


def test_passive_decay_is_that_of_the_study(curves):
    options = {"lenet": {"passive": PASSIVE}}
    drawn = gsm.passive_decay(curves, context(options))
    (axes,) = drawn.figure.axes
    assert axes.get_yscale() == "log"
    assert list(lines(axes)) == ["β = 0.9", "β = 0.98", "β = 0.99"]
    rates = np.repeat([0.02, 0.002], 10 * EPOCHS // 2)
    for training in PASSIVE:
        line = lines(axes)[f"β = {training['momentum']:g}"]
        wanted = scheduled(
            training["momentum"], rates, training["weight_decay"], nesterov=training["nesterov"]
        )
        assert line.get_xdata().tolist() == list(range(EPOCHS + 1))
        assert np.array_equal(line.get_ydata(), np.abs(wanted[::10]))
        rows = only(drawn.table, momentum=training["momentum"])
        assert rows["size"].tolist() == line.get_ydata().tolist()
    assert set(drawn.table["study"]) == {"lenet"}
    faster = [training | {"weight_decay": 2e-2} for training in PASSIVE]
    both = gsm.passive_decay(curves, context({"lenet": {"passive": [*PASSIVE, *faster]}}))
    assert "β = 0.9, weight decay 0.02" in labels(both.figure)
    check(both)


def test_a_schedule_of_one_rate_is_the_recurrence_and_nesterov_looks_ahead():
    """By hand, of beta 0.5, rates 0.1 and 0.2 and decay 1: z is 1, then 0.5 + w."""
    assert np.array_equal(trajectory(0.9, 5e-3, 5e-4, 50), scheduled(0.9, np.full(50, 5e-3), 5e-4))
    rates = np.array([0.1, 0.2])
    assert scheduled(0.5, rates, 1.0) == pytest.approx([1, 0.9, 0.9 - 0.2 * 1.4])
    ahead = [1, 1 - 0.1 * 1.5, 0.85 - 0.2 * (0.85 + 0.5 * (0.5 + 0.85))]
    assert scheduled(0.5, rates, 1.0, nesterov=True) == pytest.approx(ahead)


# -- accuracies ------------------------------------------------------------------------------------


def test_accuracies_stand_beside_each_other(study):
    drawn = gsm.accuracy(study, context())
    assert titles(drawn.figure) == ["DenseNet-40, CIFAR-10 (n=3)", "LeNet-5, MNIST (n=3)"]
    table = drawn.table
    assert len(table) == 1 + 5 + 1 + 2 * 5
    rows = only(study, study="lenet", method="gsm", level=2, metric="accuracy", split="test")
    row = only(table, study="lenet", method="gsm", level=2, zeroing="after").iloc[0]
    assert (row["mean"], row["std"]) == pytest.approx(percent(rows, "value"), abs=1e-5)
    assert row["n"] == 3
    before = only(table, study="lenet", method="gsm", level=2, zeroing="before").iloc[0]
    assert before["mean"] == pytest.approx(row["mean"] + 0.02)
    assert set(only(table, zeroing="before")["method"]) == {"gsm"}
    axes = drawn.figure.axes[1]
    found = lines(axes)
    assert list(found) == [
        "Dense, mean", "GSM, before zeroing", "GSM", "Magnitude, not retrained", "GSM ticket",
        "Magnitude ticket",
    ][1:]  # fmt: skip
    assert found["GSM"].get_ydata()[1] == row["mean"]
    assert found["GSM, before zeroing"].get_markerfacecolor() == "white"
    assert found["GSM"].get_markerfacecolor() != "white"
    places = np.array([line.get_xdata() for line in found.values()])
    for slot, at in enumerate(places.T):  # a slot each, in the order of the legend
        assert at.tolist() == sorted(at)
        assert np.abs(at - slot).max() < 0.4
    assert [t.get_text() for t in axes.get_xticklabels()] == ["125x", "300x"]
    between = [x for x in axes.lines if x.get_transform() != axes.transData]
    assert [0.5, 0.5] in [list(x.get_xdata()) for x in between]
    assert "not to scale" in axes.get_xlabel()


def test_methods_of_one_compression_ratio_do_not_span_the_frame(study):
    drawn = gsm.accuracy(only(study, study="densenet"), context())
    (axes,) = drawn.figure.axes
    assert [t.get_text() for t in axes.get_xticklabels()] == ["6.67x"]
    places = [line.get_xdata()[0] for line in lines(axes).values()]
    assert np.ptp(places) < 0.4 * np.ptp(axes.get_xlim())
    check(drawn)


def test_accuracies_that_collapsed_are_marked_beyond_the_axis(study):
    drawn = gsm.accuracy(study, context())
    axes = drawn.figure.axes[1]
    low = axes.get_ylim()[0]
    assert 95 < low < 98
    colors = sorted(mark.get_color() for mark in marks_of(axes))
    look = style.color(STYLES[MAGNITUDE])
    assert colors == sorted([look, look, style.color(STYLES["magnitude_ticket"])])
    mild = study.assign(value=study["value"].where(study["method"] != MAGNITUDE, 0.7))
    seen = gsm.accuracy(mild, context()).figure.axes[1]
    assert seen.get_ylim()[0] < 70  # what did not collapse is in the frame
    axes = gsm.accuracy(study, context({"lenet": {"gsm_ylim": [5, 100]}})).figure.axes[1]
    assert axes.get_ylim() == (5, 100)
    assert not marks_of(axes)


def test_published_accuracies_lie_over_ours(study, published):
    options = {"lenet": {"gsm_published": "gsm2019", "gsm_ylim": [97, 99.5]}}
    drawn = gsm.accuracy(study, context(options, resources=published))
    table = only(drawn.table, source="gsm2019")
    assert set(table["study"]) == {"lenet"}
    found = sorted(zip(table["method"], table["level"], table["mean"], strict=True))
    assert found == [
        ("dense", 0, 99.21), ("gsm", 1, 99.22), ("gsm", 2, 99.06),
        ("magnitude_ticket", 1, 97.6), ("magnitude_ticket", 2, 11.35),
    ]  # fmt: skip
    assert set(only(table, method="gsm")["zeroing"]) == {"after"}
    axes = drawn.figure.axes[1]
    (mark,) = [x for x in axes.lines if list(x.get_ydata()) == [99.22, 99.06]]
    assert mark.get_marker() == "$-$"
    assert np.array_equal(mark.get_xdata(), lines(axes)["GSM"].get_xdata())
    assert mark.get_color() == style.color(STYLES["gsm"])
    assert "Published (Ding et al. 2019)" in labels(drawn.figure)
    check(drawn)
    with pytest.raises(PruningError, match="Unknown source .* Known: gsm2019"):
        gsm.accuracy(study, context({"lenet": {"gsm_published": "han"}}, resources=published))
    with pytest.raises(PruningError, match="Unknown network of gsm2019 'densenet40:cifar10'"):
        options = {"densenet": {"gsm_published": "gsm2019"}}
        gsm.accuracy(study, context(options, resources=published))


# -- trainings -------------------------------------------------------------------------------------


def test_momentum_of_the_highest_level_that_has_several(curves):
    drawn = gsm_curves.momentum(curves, context())
    kinds = ("score before zeroing", "score after zeroing", "weights below 0.001",
             "weights below 0.0001")  # fmt: skip
    assert titles(drawn.figure) == [
        *(f"DenseNet-40, CIFAR-10\n6.67x, {kind} (n=3)" for kind in kinds),
        *(f"LeNet-5, MNIST\n300x, {kind} (n=3)" for kind in kinds),
    ]
    assert set(only(drawn.table, study="lenet")["level"]) == {2}
    assert set(drawn.table["reselect"]) == {True}
    columns = ("test_score", "zeroed_test_score", "share_below_0.001", "share_below_0.0001")
    for axes, column in zip(drawn.figure.axes[4:], columns, strict=True):
        found = {label: x for label, x in lines(axes).items() if label.startswith("β")}
        assert list(found) == ["β = 0.9", "β = 0.98", "β = 0.99"]
        for momentum in (0.9, 0.98, 0.99):
            rows = only(curves, study="lenet", method="gsm", level=2, momentum=momentum)
            wanted = 100 * only(rows, reselect=True).groupby("epoch")[column].mean()
            assert np.allclose(found[f"β = {momentum:g}"].get_ydata(), wanted, atol=1e-5)
    before, after, *shares = drawn.figure.axes[4:]
    assert before.get_ylim() == after.get_ylim()
    for axes in shares:
        levels = [x.get_ydata()[0] for x in axes.lines if x.get_label() == "Share to be removed"]
        assert levels == [pytest.approx(100 * (1 - 1 / 300))]
    without = curves[(curves["level"] < 2) | (curves["momentum"] != 0.9)]
    without = without[(without["level"] < 2) | (without["momentum"] != 0.98)]
    again = gsm_curves.momentum(without, context(titles={"lenet": "L"}))
    assert titles(again.figure)[0] == "L\n125x, score before zeroing (n=3)"


def test_unmodified_goes_before_other_variants_of_its_momentum(curves):
    mine = only(curves, study="lenet")
    twin = only(mine, method="gsm", variant="unmodified").assign(variant="adjusted")
    twin = twin.assign(test_score=0.5)
    drawn = gsm_curves.momentum(pd.concat([twin, mine], ignore_index=True), context())
    assert set(only(drawn.table, momentum=0.99)["variant"]) == {"unmodified"}


def test_reselection_beside_a_frozen_selection(curves):
    drawn = gsm_curves.reselection(curves, context())
    assert titles(drawn.figure) == [
        f"{study}, {when} zeroing (n=3)"
        for study in ("DenseNet-40, CIFAR-10\n6.67x", "LeNet-5, MNIST\n300x")
        for when in ("score before", "score after")
    ]
    assert set(zip(drawn.table["variant"], drawn.table["reselect"], strict=True)) == {
        ("unmodified", True), ("frozen", False)
    }  # fmt: skip
    before, axes = drawn.figure.axes[2:]
    assert before.get_ylim() == axes.get_ylim()
    found = lines(axes)
    assert list(found) == ["Selected anew in each step", "Frozen after the first step"]
    rows = only(curves, study="lenet", level=2, variant="frozen")
    rows = rows[rows["epoch"] == 30]
    shown = only(drawn.table, study="lenet", reselect=False, epoch=30)
    shown = only(shown, quantity="zeroed_test_accuracy").iloc[0]
    wanted = percent(rows, "zeroed_test_score")
    assert (shown["mean"], shown["std"]) == pytest.approx(wanted, abs=1e-5)
    line = found["Frozen after the first step"]
    assert line.get_ydata()[list(line.get_xdata()).index(30)] == shown["mean"]
    assert 90 < axes.get_ylim()[0] < 98.2  # early epochs do not decide


def test_the_frozen_variant_of_the_same_momentum_is_shown(curves):
    mine = only(curves, study="densenet")
    other = only(mine, variant="frozen").assign(variant="frozen_90", momentum=0.9)
    drawn = gsm_curves.reselection(pd.concat([other, mine], ignore_index=True), context())
    assert set(drawn.table["variant"]) == {"unmodified", "frozen"}


def test_tickets_beside_the_dense_training(curves):
    drawn = gsm_curves.tickets(curves, context())
    assert titles(drawn.figure) == [
        "DenseNet-40, CIFAR-10\n6.67x (n=3)", "LeNet-5, MNIST, 125x (n=3)",
        "LeNet-5, MNIST, 300x (n=3)",
    ]  # fmt: skip
    assert set(drawn.table["method"]) == {"dense", "gsm_ticket", "magnitude_ticket"}
    assert only(drawn.table, method="dense")["std"].isna().all()
    assert len(only(drawn.table, study="lenet", method="dense")) == EPOCHS
    _, first, second = drawn.figure.axes
    found = lines(first)
    assert list(found) == ["Dense", "GSM ticket", "Magnitude ticket"]
    assert found["Dense"].get_linewidth() < found["GSM ticket"].get_linewidth()
    rows = only(curves, study="lenet", level=1, method="magnitude_ticket")
    wanted = 100 * rows.groupby("epoch")["test_score"].mean()
    assert np.allclose(found["Magnitude ticket"].get_ydata(), wanted, atol=1e-5)
    assert 90 < first.get_ylim()[0] < wanted.iloc[-1]
    assert second.get_ylim()[0] > 90  # though one collapsed
    assert first.get_ylim() == second.get_ylim()
    look = style.color(STYLES["magnitude_ticket"])
    (mark,) = (x for x in marks_of(second) if x.get_color() == look)
    assert mark.get_gid().endswith(f"/{EPOCHS}")  # one mark of the whole line
    given = gsm_curves.tickets(curves, context({"lenet": {"gsm_ylim": [0, 100]}}))
    assert given.figure.axes[2].get_ylim() == (0, 100)
    assert not marks_of(given.figure.axes[2])


# -- layers and weights ----------------------------------------------------------------------------


def test_layers_beside_what_pruning_them_alone_does(layers, sensitivity):
    drawn = gsm_weights.layers(layers, context(gsm_sensitivity=sensitivity))
    names = [re.sub(r", r = .*", "", name) for name in titles(drawn.figure)]
    assert names == [
        "DenseNet-40, CIFAR-10\n6.67x (n=3)", "DenseNet-40, CIFAR-10\none layer pruned (n=3)",
        "LeNet-5, MNIST\n125x (n=3)", "LeNet-5, MNIST\n300x (n=3)",
        "LeNet-5, MNIST\none layer pruned (n=3)",
    ]  # fmt: skip
    left, empty, right = drawn.figure.axes[2:]
    assert left.get_ylim() == empty.get_ylim()
    assert list(lines(left)) == ["GSM", "Magnitude, not retrained"]
    rows = only(layers, study="lenet", level=1, method="gsm", layer="fc1.weight")
    rows = rows.assign(share=rows["kept"] / rows["prunable"])
    shown = only(drawn.table, study="lenet", level=1, method="gsm", layer="fc1.weight").iloc[0]
    assert (shown["mean"], shown["std"]) == pytest.approx(percent(rows, "share"), abs=1e-5)
    assert lines(left)["GSM"].get_ydata()[2] == shown["mean"]
    assert [c.has_yerr for c in left.containers] == [True, True]
    assert list(lines(right)) == [f"One layer at {d} %" for d in (1, 5, 20, 50)]
    rows = only(sensitivity, study="lenet", layer="conv1.weight", layer_density=0.01)
    wanted = percent(rows, "score")[0]
    assert lines(right)["One layer at 1 %"].get_ydata()[0] == pytest.approx(wanted, abs=1e-5)
    for axes in (left, right):
        assert [t.get_text() for t in axes.get_xticklabels()] == ["conv1", "conv2", "fc1", "fc2"]
    numbered = drawn.figure.axes[1].get_xticklabels()
    assert [t.get_text() for t in numbered][:3] == ["1", "7", "13"]
    assert "empty" in [t.get_text() for t in empty.get_yticklabels()]


def test_rank_correlation_of_density_and_loss(sensitivity):
    """By hand: densities 4 3 2 1 and losses at 1 % of 5 8 1 0, so d = 1 -1 0 0, 1 - 6*2/(4*15)."""
    kept = {"a": 40, "b": 30, "c": 20, "d": 10}
    lost = {"a": 0.05, "b": 0.08, "c": 0.01, "d": 0.0}
    rows = [
        cell("lenet", 0, method, 1) | {
            "pruned_at": 20.0, "layer": layer, "position": place, "kind": "kernel",
            "prunable": 100, "kept": count if method == "gsm" else 50 - count, "effective": count,
        }
        for method in ("gsm", MAGNITUDE)
        for place, (layer, count) in enumerate(kept.items())
    ]  # fmt: skip
    alone = [
        cell("lenet", 0, "dense", 0) | {
            "layer": layer, "position": place, "layer_density": density,
            "score": 0.9 - loss if density == 0.01 else 0.9 + loss,
        }
        for density in (0.01, 0.5)
        for place, (layer, loss) in enumerate(lost.items())
    ]  # fmt: skip
    drawn = gsm_weights.layers(pd.DataFrame(rows), context(gsm_sensitivity=pd.DataFrame(alone)))
    found = only(drawn.table, quantity="rank_correlation")
    assert found["mean"].tolist() == [pytest.approx(0.8)]
    assert found["layer_density"].tolist() == [0.01]
    assert titles(drawn.figure)[0] == "LeNet-5, MNIST\n125x (n=1), r = 0.80"
    few = pd.DataFrame(rows).query("layer in ['a', 'b']")
    drawn = gsm_weights.layers(few, context(gsm_sensitivity=pd.DataFrame(alone)))
    assert titles(drawn.figure)[0] == "LeNet-5, MNIST\n125x (n=1)"
    assert "rank_correlation" not in set(drawn.table["quantity"])


def bars(counts, method="gsm", seed=0, kept=1.0, dropped=0.1):
    return [
        cell("lenet", seed, method, 1)
        | {"low": low, "high": high, "count": count}
        | {"smallest_kept": kept, "largest_dropped": dropped}
        for low, high, count in counts
    ]


def test_histograms_are_means_over_replicates():
    table = pd.DataFrame(
        [
            *bars([(0, 1e-3, 4), (1e-3, 1e-2, 10), (0.1, 1, 2)], kept=0.6, dropped=0.002),
            *bars([(0, 1e-3, 2), (1e-3, 1e-2, 20), (0.01, 0.1, 4)], "gsm", 1, 0.4, 0.008),
            *bars([(1e-3, 1e-2, 16), (0.01, 0.1, 7)], MAGNITUDE, kept=0.05, dropped=0.04),
        ]
    )  # fmt: skip
    drawn = gsm_weights.magnitudes(table, context())
    assert titles(drawn.figure) == ["LeNet-5, MNIST, 125x (n=1-2)"]
    ours = only(drawn.table, method="gsm").set_index("low")
    assert ours["mean"].to_dict() == {0: 3, 0.001: 15, 0.01: 2, 0.1: 1}
    assert ours["smallest_kept"].iloc[0] == pytest.approx(0.5)
    assert ours["largest_dropped"].iloc[0] == pytest.approx(0.005)
    assert ours["gap"].iloc[0] == pytest.approx(100)
    (axes,) = drawn.figure.axes
    found = lines(axes)
    assert found["GSM"].get_xdata().tolist() == [1e-3, 1e-2, 0.1, 1]
    smaller = 100 * np.cumsum([3, 15, 2, 1]) / 21
    assert found["GSM"].get_ydata() == pytest.approx(smaller)  # the bin from 0 too
    assert ours["smaller"].tolist() == pytest.approx(smaller.tolist())
    cut = found["GSM, largest removed to smallest kept"]
    assert cut.get_xdata() == pytest.approx([0.005, 0.5])
    assert cut.get_ydata() == pytest.approx([99.2, 99.2])
    dense = found["Dense, largest removed to smallest kept"]
    assert dense.get_xdata() == pytest.approx([0.04, 0.05])
    assert "Share to be removed" in labels(drawn.figure)
    check(drawn)


def test_histograms_of_whole_studies(sizes):
    drawn = gsm_weights.magnitudes(sizes, context())
    assert len(drawn.figure.axes) == 3
    total = sum(NETWORKS["lenet"][3].values())
    for method in ("gsm", MAGNITUDE):
        rows = only(drawn.table, study="lenet", method=method, level=2)
        assert rows["mean"].sum() == pytest.approx(total)


def test_nothing_dropped_but_zeros_is_an_endless_gap():
    table = pd.DataFrame(bars([(0, 1e-3, 4), (0.1, 1, 2)], kept=0.5, dropped=0.0))
    drawn = gsm_weights.magnitudes(table, context())
    assert np.isinf(drawn.table["gap"]).all()
    cut = lines(drawn.figure.axes[0])["GSM, largest removed to smallest kept"]
    assert cut.get_xdata()[0] == drawn.figure.axes[0].get_xlim()[0]  # from the edge on
    check(drawn)


# -- what holds for every figure -------------------------------------------------------------------

TABLES = {
    "gsm": study_rows,
    "gsm_curves": curve_rows,
    "gsm_layers": layer_rows,
    "gsm_sensitivity": sensitivity_rows,
    "gsm_magnitudes": magnitude_rows,
}


@pytest.mark.parametrize("case", [(("lenet",), 3), (("lenet", "densenet"), 1)], ids=["one", "two"])
def test_every_figure_is_what_all_must_be(case):
    tables = {name: pd.DataFrame(make(*case)) for name, make in TABLES.items()}
    options = {study: {"passive": PASSIVE} for study in case[0]}
    for figure in FIGURES.values():
        first, *others = figure.tables
        more = {name: tables[name] for name in others}
        check(load(figure.draw)(tables[first], context(options, **more)))


def test_many_studies_are_pages_of_parts(curves):
    names = [f"s{i}" for i in range(5)]
    mine = only(curves, study="lenet")
    many = pd.concat([mine.assign(study=name) for name in names])
    drawn = gsm_curves.momentum(many, context(titles={name: f"Network {name}" for name in names}))
    assert len(drawn.pages.figures) == 3
    check(drawn)


def test_what_is_wrong_with_a_figure_is_seen(study):
    for spoil in (
        lambda figure: figure.axes[0].set_ylim(94, 99),
        lambda figure: figure.legends[0].get_texts()[2].set_text("Another"),
        lambda figure: figure.axes[0].yaxis.label.set_fontsize(6),
    ):
        drawn = gsm.accuracy(study, context())
        spoil(drawn.figure)
        with pytest.raises(AssertionError):
            check(drawn)


# -- nothing to show -------------------------------------------------------------------------------


def test_what_is_missing_is_said(study, curves, layers, sensitivity, sizes):
    with pytest.raises(PruningError, match="^densenet, lenet: no networks were pruned by"):
        gsm.accuracy(only(study, method="dense"), context())
    ours = only(curves, variant="unmodified")
    with pytest.raises(PruningError, match="no density has GSM trainings with several"):
        gsm_curves.momentum(ours, context())
    with pytest.raises(PruningError, match="both with re-selection and without"):
        gsm_curves.reselection(ours, context())
    with pytest.raises(PruningError, match="both with re-selection and without"):
        gsm_curves.reselection(only(curves, variant="frozen"), context())
    with pytest.raises(PruningError, match="no winning tickets were trained"):
        gsm_curves.tickets(only(curves, method="gsm"), context())
    for masks, alone in ((layers.iloc[:0], sensitivity), (layers, sensitivity.iloc[:0])):
        with pytest.raises(PruningError, match="no layers both of masks and pruned alone"):
            gsm_weights.layers(masks, context(gsm_sensitivity=alone))
    with pytest.raises(PruningError, match="no sizes of weights were counted"):
        gsm_weights.magnitudes(sizes.iloc[:0], context())


def test_a_study_without_dense_networks_is_drawn(study, curves):
    sparse = gsm.accuracy(study[study["method"] != "dense"], context())
    assert not [label for label in labels(sparse.figure) if label.startswith("Dense")]
    drawn = gsm_curves.tickets(curves[curves["method"] != "dense"], context())
    assert labels(drawn.figure)[:2] == ["GSM ticket", "Magnitude ticket"]


def test_tables_read_from_files_give_the_same(curves, tmp_path):
    curves.to_csv(tmp_path / "curves.csv", index=False)
    read = tidy.read_table(tmp_path / "curves.csv", gsm_tables.CURVES)
    for draw in (gsm_curves.momentum, gsm_curves.reselection, gsm_curves.tickets):
        pd.testing.assert_frame_equal(
            draw(read, context()).table, draw(curves, context()).table, check_dtype=False
        )


# -- the catalog -----------------------------------------------------------------------------------


def gsm_figures(study, **section):
    """Figures of a study with this GSM section."""
    section = {"densities": (0.1,), "ablations": {}, "ablation_levels": (1,), "tickets": (),
               "sensitivity": ()} | section  # fmt: skip
    parts = {"gsm": dataclasses.replace(study.part("gsm"), **section)}
    names = figures_of(dataclasses.replace(study, parts=parts))
    return [name.removeprefix("gsm_") for name in names]


def test_figures_are_listed_for_the_studies_that_have_them():
    folder, schema = REPOSITORY / "config" / "studies", SCHEMAS / "study.schema.yaml"
    study = find_study("digits", folder, schema)
    always = ["passive_decay", "accuracy", "magnitudes"]
    assert gsm_figures(study) == always
    assert gsm_figures(study, sensitivity=(0.1,)) == ["passive_decay", "accuracy", "layers",
                                                     "magnitudes"]  # fmt: skip
    assert "tickets" in gsm_figures(study, tickets=("gsm",))
    found = gsm_figures(study, ablations={"m": {"options": {"momentum": 0.9}}})
    assert found == ["passive_decay", "accuracy", "momentum", "magnitudes"]
    found = gsm_figures(study, ablations={"f": {"options": {"reselect": False, "momentum": 0.9}}})
    assert found == ["passive_decay", "accuracy", "reselection", "magnitudes"]
    assert gsm_figures(study, ablations={"s": {"weight_decay": 0.1}}) == always
    same = {"m": {"options": {"momentum": 0.99}}}  # as the recipe has it
    assert gsm_figures(study, ablations=same) == always
    found = {"m": {"options": {"momentum": 0.9}}, "f": {"options": {"reselect": False}}}
    assert gsm_figures(study, ablations=found, ablation_levels=()) == always
    undecayed = {**study.part("gsm").recipe}
    undecayed["optimizer"] = undecayed["optimizer"] | {"weight_decay": 0.0}
    assert gsm_figures(study, recipe=undecayed) == always[1:]
    told = FIGURES["gsm_passive_decay"].options(study)["passive"]
    assert [(x["variant"], x["momentum"]) for x in told] == [
        ("unmodified", 0.99), ("momentum_90", 0.9), ("momentum_98", 0.98)
    ]  # fmt: skip
    assert all(x["weight_decay"] == 4e-3 and x["nesterov"] for x in told)
    names = [name for name in FIGURES if name.startswith("gsm_")]
    assert not set(names) & set(figures_of(find_study("mnist_lenet300", folder, schema)))
    assert {FIGURES[name].category for name in names} == {TITLE}
    assert len(names) == 7
