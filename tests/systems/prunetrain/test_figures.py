"""Figures of networks that shrink while they train: which numbers they draw, and how they look."""

import dataclasses
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from pruning.analysis import tidy
from pruning.analysis.tables import columns
from pruning.errors import PruningError
from pruning.figures import style
from pruning.figures.catalog import figures_of
from pruning.figures.context import Context
from pruning.registry import load
from pruning.study.study import find_study
from pruning.systems.prunetrain.catalog import FIGURES, TITLE
from pruning.systems.prunetrain.figures.panels import of_whole
from pruning.systems.prunetrain.figures.table import NONE
from pruning.systems.prunetrain.rules import METHODS
from pruning.systems.prunetrain.styles import STYLES
from tests.conftest import REPOSITORY, SCHEMAS
from tests.figure_checks import check, marks_of, shown_texts
from tests.other_scores import SCORES as OTHER_SCORES
from tests.other_scores import restated, told
from tests.systems.prunetrain.made_up import (
    BOUND,
    COSTS,
    EPOCHS,
    LAYERS,
    LEVELS,
    RATIOS,
    SCORES,
    SIZES,
    STRENGTH,
    THRESHOLD,
    cut,
    left,
    tables,
)

PUBLISHED = REPOSITORY / "resources" / "published"
OVERLAY = {"s": {"prunetrain_published": "prunetrain2019"}}
SHOWN = range(1, EPOCHS + 1)


@pytest.fixture(autouse=True)
def _close_figures():
    style.use()
    yield
    plt.close("all")


def draw(name, found=None, options=None, titles=None):
    found = tables() if found is None else found
    first, *others = FIGURES[f"prunetrain_{name}"].tables
    context = Context(
        titles or {"s": "ResNet-32, CIFAR-10"}, options or {}, {}, PUBLISHED,
        {table: found[table] for table in others},
    )  # fmt: skip
    return load(FIGURES[f"prunetrain_{name}"].draw)(found[first], context)


def of_network(network, dataset):
    found = tables()
    return {k: t.assign(network=network, dataset=dataset) for k, t in found.items()}


def only(table, **wanted):
    for column, value in wanted.items():
        table = table[table[column] == value]
    return table


class Plain(tuple):
    """A curve without whiskers, as one with some is given."""

    has_yerr = has_xerr = False


def curves_of(axes):
    """The containers of a panel's curves, by label."""
    plain = {
        line.get_label(): Plain((line,))
        for line in axes.lines
        if not line.get_label().startswith("_")
        and line.get_transform() == axes.transData
        and len(line.get_xdata())
    }
    return plain | {c.get_label(): c for c in axes.containers if hasattr(c, "has_yerr")}


def line(axes, label):
    return curves_of(axes)[label][0]


def labels(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def titles(figure):
    return [axes.get_title(loc="left").strip() for axes in figure.axes]


def mean(of_seed, **more):
    """Over the two replicates of the made-up tables."""
    return pytest.approx((of_seed(0) + of_seed(1)) / 2, abs=1e-5, **more)


def means(of_seed, epochs=SHOWN):
    return pytest.approx([(of_seed(0, e) + of_seed(1, e)) / 2 for e in epochs], abs=1e-5)


def percent_left(cost, method, level):
    """By seed and epoch, what is left of a cost of the network as built."""
    return lambda seed, epoch: 100 * left(cost, method, level, seed, epoch) / COSTS[cost][0]


def check_table(axes, label, table):
    """The numbers of a line are those of the table, in order."""
    drawn = line(axes, label)
    assert drawn.get_xdata().tolist() == table["epoch"].tolist()
    assert drawn.get_ydata().tolist() == table["mean"].tolist()


def test_tables_have_their_columns():
    for name, table in tables().items():
        assert set(columns(name)) == set(table), name


# -- epoch by epoch --------------------------------------------------------------------------------


def test_costs_are_percentages_of_the_first_epoch():
    drawn = draw("costs")
    shown = ("training_macs", "norm_traffic", "activations", "out_channels", "model_elements")
    assert len(drawn.figure.axes) == len(shown)
    for axes, cost in zip(drawn.figure.axes, shown, strict=True):
        assert list(curves_of(axes)) == [f"Penalty ratio {ratio:g}" for ratio in RATIOS]
        for level, ratio in enumerate(RATIOS, start=1):
            label = f"Penalty ratio {ratio:g}"
            found = line(axes, label).get_ydata()
            assert found == means(percent_left(cost, "prunetrain", level))
            check_table(axes, label, only(drawn.table, quantity=cost, ratio=ratio))
    assert len(drawn.table) == len(shown) * len(RATIOS) * EPOCHS
    row = only(drawn.table, quantity="training_macs", ratio=0.3, epoch=EPOCHS).iloc[0]
    assert row["std"] == pytest.approx(100 * 1.1 * 0.02 / np.sqrt(2), abs=1e-5)
    assert row["n"] == 2
    limits = {axes.get_ylim() for axes in drawn.figure.axes}
    assert limits == {(0, 105)}
    assert titles(drawn.figure)[1:3] == ["(b) Batch-norm traffic", "(c) Activations"]
    assert drawn.figure.axes[0].get_ylabel() == "% of dense"
    assert labels(drawn.figure) == [f"Penalty ratio {ratio:g}" for ratio in RATIOS]


def test_published_costs_lie_over_those_of_the_same_network_alone():
    drawn = draw("costs", of_network("resnet50", "imagenet"), OVERLAY)
    theirs = only(drawn.table, source="prunetrain2019", ratio=0.2)
    assert theirs["epoch"].tolist()[:4] == [1, 10, 11, 20]
    assert theirs["mean"].tolist()[:4] == [100, 100, 83.7, 83.7]
    found = line(drawn.figure.axes[0], "Penalty ratio 0.2, published")
    assert found.get_ydata().tolist() == theirs["mean"].tolist()
    assert found.get_xdata().tolist() == theirs["epoch"].tolist()
    same = line(drawn.figure.axes[0], "Penalty ratio 0.2")
    assert to_hex(found.get_color()) == to_hex(same.get_color())
    assert found.get_linestyle() == "--"
    assert not [x for x in curves_of(drawn.figure.axes[1]) if "published" in x]
    for other in (tables(), of_network("resnet50", "cifar10")):
        assert set(draw("costs", other, OVERLAY).table["source"]) == {"study"}
    unasked = draw("costs", of_network("resnet50", "imagenet"))
    assert set(unasked.table["source"]) == {"study"}


def test_a_network_without_batch_norms_moves_nothing():
    found = tables()
    found["prunetrain_epochs"]["norm_traffic"] = 0
    drawn = draw("costs", found)
    assert "norm_traffic" not in set(drawn.table["quantity"])
    assert [text.get_text() for text in drawn.figure.axes[1].texts] == ["none"]


def test_progress_of_a_training():
    drawn = draw("progress")
    ratio, time, sent, stability = drawn.figure.axes
    for level, value in enumerate(RATIOS, start=1):
        label = f"Penalty ratio {value:g}"
        share = [100 * level * 0.5 / e**0.5 / (level * 0.5 / e**0.5 + 2 / e) for e in SHOWN]
        assert line(ratio, label).get_ydata() == pytest.approx(share, abs=1e-5)

        def gradients(seed, epoch, level=level):
            steps = 100 if epoch % 2 else 102
            return 4 * steps * left("parameters", "prunetrain", level, seed, epoch) / 1e6

        assert line(sent, label).get_ydata() == means(gradients)
        rate = [STRENGTH / level * (0.1 if e <= 5 else 0.01) for e in SHOWN]
        assert line(stability, label).get_ydata() == pytest.approx(rate, abs=1e-6)

        def seconds(seed, epoch, level=level):
            if epoch == 1:
                return 100 * 9 / (2 + seed)
            return 100 * (1 - 0.4 * cut("prunetrain", level, seed, epoch))

        assert line(time, label).get_ydata() == means(seconds)
        for axes, quantity in (
            (ratio, "realised_ratio"), (time, "seconds"), (sent, "bytes"),
            (stability, "rate_times_strength"),
        ):  # fmt: skip
            check_table(axes, label, only(drawn.table, quantity=quantity, ratio=value))
    (bound,) = [x for x in stability.lines if x.get_label() == "Bound"]
    assert bound.get_ydata() == pytest.approx([BOUND, BOUND])
    assert stability.get_yscale() == "log"
    assert stability.get_ylim()[1] > BOUND
    assert only(drawn.table, quantity="bound")["mean"].tolist() == [BOUND]
    assert labels(drawn.figure)[-1] == "Bound"


def test_tiny_rates_are_not_rounded_away():
    found = tables()
    found["prunetrain_epochs"][["rate_times_strength", "bound"]] *= 1e-6
    for drawn, factor in ((draw("progress", found), 1e-6), (draw("progress"), 1)):
        wanted = [STRENGTH * factor * (0.1 if e <= 5 else 0.01) for e in SHOWN]
        shown = line(drawn.figure.axes[3], "Penalty ratio 0.1").get_ydata()
        assert shown == pytest.approx(wanted, rel=1e-2 if factor < 1 else 1e-6)
        assert (only(drawn.table, quantity="bound")["mean"] > 0).all()


def test_the_time_of_uncut_epochs_is_their_median():
    rows = only(tables()["prunetrain_seconds"], method="prunetrain", level=1, seed=0)
    found = of_whole(rows.sample(frac=1, random_state=0)).loc[rows.index]
    assert found.tolist()[:3] == pytest.approx([450, 100, 100])
    assert found.iloc[-1] == pytest.approx(100 * (1 - 0.4 * 0.2))


def test_gating_beside_union():
    drawn = draw("gates")
    macs, time = drawn.figure.axes
    for method in ("prunetrain", "prunetrain_gating"):
        found = line(macs, STYLES[method].label).get_ydata()
        assert found == means(percent_left("training_macs", method, 2))
        table = only(drawn.table, quantity="seconds", method=method)
        check_table(time, STYLES[method].label, table)
        assert set(table["level"]) == {2}
    assert (
        line(macs, "PruneTrain").get_ydata()[-1] > line(macs, "PruneTrain, gating").get_ydata()[-1]
    )
    head = drawn.figure.axes[0].texts[0].get_text()
    assert head == "ResNet-32, CIFAR-10, penalty ratio 0.2 (n=2)"
    asked = draw("gates", options={"s": {"prunetrain_level": 1}})
    assert set(asked.table["level"]) == {1}
    # The third level is only PruneTrain's.
    assert set(draw("gates", options={"s": {"prunetrain_level": 3}}).table["level"]) == {2}


def test_batches_that_grow():
    drawn = draw("batch")
    memory, size, rate = drawn.figure.axes
    growing = "PruneTrain, growing batch"
    assert line(size, "PruneTrain").get_ydata().tolist() == [64] * EPOCHS
    assert line(size, growing).get_ydata().tolist() == [64] * 3 + [128] * 7
    assert line(rate, growing).get_ydata().tolist() == pytest.approx(
        [0.1] * 3 + [0.2] * 2 + [0.02] * 5
    )
    assert rate.get_yscale() == "log"
    assert memory.get_ylabel() == "MiB"
    wanted = means(lambda s, e: left("parameters", "prunetrain_dynamic_batch", 3, s, e))
    assert line(memory, growing).get_ydata() == wanted
    (budget,) = [x for x in memory.lines if x.get_label().startswith("Budget")]
    assert budget.get_ydata() == pytest.approx([COSTS["parameters"][0]] * 2)
    assert set(drawn.table["level"]) == {3}


# -- layers ----------------------------------------------------------------------------------------


def test_channels_that_are_not_sparse_and_those_left():
    drawn = draw("density", options={"s": {"prunetrain_level": 2}})
    outputs, inputs, bars = drawn.figure.axes
    for axes, slope, side in ((outputs, 5, "dense_outputs"), (inputs, 8, "dense_inputs")):
        found = line(axes, "Penalty ratio 0.3")
        assert found.get_ydata() == pytest.approx([99.5 - slope * 3 * (e % 3) for e in SHOWN])
        check_table(axes, "Penalty ratio 0.3", only(drawn.table, quantity=side, ratio=0.3))
    assert outputs.get_ylim() == inputs.get_ylim()
    heights = {
        container.get_label(): [patch.get_height() for patch in container.patches]
        for container in bars.containers
        if hasattr(container, "patches")
    }
    assert heights["As built"] == [4, 8, 10]
    assert line(bars, "Left at the end, penalty ratio 0.2").get_ydata().tolist() == [2, 5.5, 10]
    after = only(drawn.table, quantity="outputs")
    assert after["mean"].tolist() == [2, 5.5, 10]
    assert after["std"].tolist() == pytest.approx([0, 1 / np.sqrt(2), 0], abs=1e-6)
    assert only(drawn.table, quantity="outputs_before")["std"].isna().all()
    assert set(after["level"]) == {2}
    assert set(only(draw("density").table, quantity="outputs")["level"]) == {3}
    assert [t.get_text() for t in bars.get_xticklabels()] == list(LAYERS)


def test_channels_that_revive_are_counted():
    drawn = draw("revival")
    first, second, third, bar = drawn.figure.axes
    assert titles(drawn.figure)[:3] == [
        "(a) conv1\nnone was sparse", "(b) conv2\n2 of 5 sparse revived",
        "(c) fc\nnone was sparse",
    ]  # fmt: skip
    counts = only(drawn.table, layer="conv2").set_index("quantity")["mean"]
    assert (counts["revived"], counts["sparse"]) == (2, 5)
    assert set(drawn.table["seed"]) == {0}
    assert set(drawn.table["method"]) == {"prunetrain_one_time"}
    (mesh,) = second.collections
    order = [7, 1, 5, 4, 6, 2, 0, 3]  # the largest at the end last, which is on top
    wanted = np.clip([SIZES[channel] for channel in order], 1e-4, 10)
    assert np.asarray(mesh.get_array()) == pytest.approx(wanted)
    assert second.get_xlim() == (0, EPOCHS)
    assert second.get_ylim() == (0, 8)
    assert (mesh.norm.vmin, mesh.norm.vmax) == (1e-4, 10)
    rows = only(drawn.table, layer="conv2", quantity="size", channel=3)
    assert rows["mean"].tolist() == list(SIZES[3])  # as they are, not as far as colours go
    dark, light = (mesh.cmap(mesh.norm(THRESHOLD * factor)) for factor in (1.1, 0.9))
    assert len(set(light[:3])) == 1  # grey
    assert len(set(dark[:3])) == 3
    assert bar.lines[-1].get_xdata()[0] == THRESHOLD
    assert f"sparse below {THRESHOLD:g}" in bar.get_xlabel()
    head = first.texts[0].get_text()
    assert head == "ResNet-32, CIFAR-10: Cut once, at the end, penalty ratio 0.2, seed 0"
    assert third.get_xlabel() == "Epoch"


def test_each_study_has_heat_maps_and_colours_of_its_own():
    found = tables(1, ("s", "t"))
    channels = found["prunetrain_channels"]
    other = channels["study"] == "t"
    channels["threshold"] = channels["threshold"].where(~other, 10 * THRESHOLD)
    drawn = draw("revival", found, titles={"s": "First", "t": "Second"})
    assert len(drawn.pages.figures) == 2
    named = zip(drawn.pages.figures, ("First", "Second"), (1, 10), strict=True)
    for page, study, factor in named:
        assert page.axes[0].texts[0].get_text().startswith(f"{study}: ")
        (bar,) = [axes for axes in page.axes if axes.get_label() == "<colorbar>"]
        assert bar.lines[-1].get_xdata()[0] == pytest.approx(factor * THRESHOLD)
    check(drawn)


def test_without_cutting_once_the_trained_network_is_shown():
    found = tables()
    for name in ("prunetrain_channels", "prunetrain_filters"):
        found[name] = only(found[name], method="train_then_prune")
    for name, options, level in (
        ("revival", None, 3),
        ("filters", {"s": {"prunetrain_level": 2}}, 2),
    ):
        table = draw(name, found, options).table
        assert set(table["method"]) == {"train_then_prune"}
        assert set(table["level"]) == {level}


def test_filters_by_input_and_output():
    drawn = draw("filters")
    _, second, _ = drawn.figure.axes
    (mesh,) = second.collections
    wanted = [[1e-3 * (1 + i) * 2**o for i in range(4)] for o in range(8)]
    assert np.asarray(mesh.get_array()) == pytest.approx(np.array(wanted))
    assert (second.get_xlabel(), second.get_xlim(), second.get_ylim()) == (
        "Input channel", (0, 4), (0, 8)
    )  # fmt: skip
    found = only(drawn.table, layer="conv2", input=3, output=7)
    assert found["mean"].tolist() == pytest.approx([4e-3 * 128])
    assert len(drawn.table) == 3 * 4 + 4 * 8


def test_layers_are_spaced_evenly_where_there_are_many():
    rows = only(tables(1)["prunetrain_channels"], layer="conv1", method="prunetrain_one_time")
    many = [rows.assign(layer=f"conv{i:02d}", position=i) for i in range(45)]
    drawn = draw("revival", {"prunetrain_channels": pd.concat(many)})
    shown = [int(title.split("\n")[0][-2:]) for title in titles(drawn.figure)[:-1]]
    assert shown == [0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44]
    assert drawn.figure.get_size_inches()[1] <= 9


def test_layers_under_both_penalties():
    drawn = draw("scaling")
    (axes,) = drawn.figure.axes
    found = line(axes, "PruneTrain")
    assert found.get_ydata() == pytest.approx([50, 100 * 5.5 / 8, 100])
    assert line(axes, "PruneTrain, by size of group").get_ydata()[0] == pytest.approx(25)
    bars = [patch.get_height() for patch in axes.patches]
    assert bars == pytest.approx([10, 60, 30])
    assert only(drawn.table, quantity="share_as_built")["mean"].tolist() == pytest.approx(bars)
    mine = only(drawn.table, quantity="inference_macs", method="prunetrain")
    assert mine["mean"].tolist() == found.get_ydata().tolist()
    assert set(mine["level"]) == {2}


# -- scores ----------------------------------------------------------------------------------------


def by_cost(method, variant, cost):
    """Percentages of the dense network's cost, of every level."""
    place, whole = {"inference_macs": (1, 1000), "training_macs": (2, 2e6)}[cost]
    found = [n for (m, v, _), n in SCORES.items() if (m, v) == (method, variant)]
    if cost == "inference_macs":
        return [100 * (n[place] + 10) / whole for n in found]
    return [100 * n[place] * 1.01 / whole for n in found]


def test_accuracy_by_what_networks_cost():
    drawn = draw("accuracy")
    inference, training = drawn.figure.axes
    looks = {m: STYLES[m].label for m in LEVELS}
    assert set(curves_of(inference)) == {*looks.values(), "Trained, then pruned, fine-tuned"}
    for axes, cost in ((inference, "inference_macs"), (training, "training_macs")):
        for method, variant, label in (
            *((m, "unmodified", label) for m, label in looks.items()),
            ("train_then_prune", "fine_tuned", "Trained, then pruned, fine-tuned"),
        ):
            found = line(axes, label)
            assert found.get_xdata() == pytest.approx(by_cost(method, variant, cost))
            scores = [n[0] for (m, v, _), n in SCORES.items() if (m, v) == (method, variant)]
            assert found.get_ydata() == pytest.approx([100 * s + 0.2 for s in scores])
            rows = only(drawn.table, method=method, variant=variant)
            assert rows[cost].tolist() == found.get_xdata().tolist()
            assert rows["mean"].tolist() == found.get_ydata().tolist()
            assert curves_of(axes)[label].has_xerr
            assert (found.get_markerfacecolor() == "white") == (variant == "fine_tuned")
    assert inference.get_ylim() == training.get_ylim()
    assert inference.get_ylabel() == "Test accuracy (%)"
    assert inference.get_xlabel() == training.get_xlabel() == "% of dense"
    row = only(drawn.table, method="prunetrain", level=1).iloc[0]
    assert row["std"] == pytest.approx(0.4 / np.sqrt(2), abs=1e-6)
    assert row["inference_macs_std"] == pytest.approx(2 / np.sqrt(2), abs=1e-6)
    dense = only(drawn.table, method="dense").iloc[0]
    assert (dense["mean"], dense["inference_macs"], dense["training_macs"]) == (90.2, 100, 100)


def test_trainings_of_another_length_are_said_to_be():
    found = tables()
    found["prunetrain"]["training_time"] = 5.0
    drawn = draw("accuracy", found)
    assert drawn.figure.axes[0].get_xlabel() == "% of dense"
    assert drawn.figure.axes[1].get_xlabel() == "% of dense\n(dense 5 epochs, these 10)"


def test_published_accuracies_lie_over_those_of_the_same_network():
    drawn = draw("accuracy", of_network("resnet50", "imagenet"), OVERLAY)
    inference, training = drawn.figure.axes
    stars = {x.get_label(): x for x in inference.lines if x.get_marker() == "*"}
    theirs = stars["Published (Lym et al. 2019)"]
    assert (84.5, 75.81) in set(zip(theirs.get_xdata(), theirs.get_ydata(), strict=True))
    assert len(theirs.get_xdata()) == 5
    tuned = stars["Published (Lym et al. 2019), fine-tuned"]
    assert tuned.get_ydata().tolist() == [74.6, 75.2]
    assert tuned.get_markerfacecolor() == "white"
    # What fine-tuning costs was not said.
    found = {x.get_label(): x for x in training.lines if x.get_marker() == "*"}
    assert list(found) == ["Published (Lym et al. 2019)"]
    assert found["Published (Lym et al. 2019)"].get_xdata().tolist() == [63, 71, 89.4, 69.2, 45]
    assert len(only(drawn.table, source="prunetrain2019")) == 7
    # Costs alone are no accuracies.
    shapes = draw("accuracy", of_network("vgg11", "cifar10"), OVERLAY)
    assert set(shapes.table["source"]) == {"study"}
    with pytest.raises(PruningError, match="Unknown network of prunetrain2019"):
        draw("accuracy", tables(), OVERLAY)


def test_variants_at_the_levels_they_share():
    drawn = draw("variants")
    score, inference, training = drawn.figure.axes
    names = [t.get_text() for t in score.get_yticklabels()]
    assert names == [
        "PruneTrain", "Cut once, at the end", "Trained, then pruned",
        "Trained, then pruned, fine-tuned",
    ]  # fmt: skip
    at = line(score, "Penalty ratio 0.2")
    values = dict(zip(at.get_ydata(), at.get_xdata(), strict=True))
    assert values == pytest.approx({0: 89.2, -1: 88.2, -2: 84.2, -3: 89.7})
    # Once is cut at the second level alone.
    assert list(curves_of(score)) == ["Penalty ratio 0.2"]
    at = line(inference, "Penalty ratio 0.2")
    assert at.get_xdata().tolist() == pytest.approx([61, 59, 56, 56])
    at = line(training, "Penalty ratio 0.2")
    assert at.get_xdata().tolist() == pytest.approx([75.75, 101, 202, 232.3])
    assert score.get_xlabel() == "Test accuracy (%)"
    dense = [axes.lines[-1].get_xdata() for axes in (inference, training)]
    assert dense == [[100, 100]] * 2
    assert labels(drawn.figure) == ["Dense", "Penalty ratio 0.2"]
    found = tables()
    found["prunetrain"] = found["prunetrain"].query("method != 'prunetrain_one_time'")
    without = draw("variants", found)
    assert list(curves_of(without.figure.axes[0])) == ["Penalty ratio 0.2", "Penalty ratio 0.3"]


def texts_of(drawn):
    """What is written in each row of a table that is drawn on one page."""
    return texts_of_page(drawn.figure)


def texts_of_page(page):
    (table,) = page.axes[0].tables
    cells = table.get_celld()
    rows, count = max(r for r, _ in cells), max(c for _, c in cells)
    return [[cells[r, c].get_text().get_text() for c in range(count + 1)] for r in range(rows + 1)]


def test_the_table_of_results():
    drawn = draw("table")
    header, *rows = texts_of(drawn)
    assert header[:5] == [
        "", "Penalty\nratio", "Training\nMACs\ncut (%)", "Inference\nMACs\ncut (%)",
        "Test\naccuracy\n(%)",
    ]  # fmt: skip
    assert header[5] == "Accuracy\nchange\n(pp)"
    found = drawn.table.set_index("level")
    cuts = {s: [cut("prunetrain", 3, s, e) for e in SHOWN] for s in (0, 1)}
    assert found.loc[3, "training_removed"] == mean(lambda s: 110 * np.mean(cuts[s]))
    assert found.loc[3, "inference_removed"] == pytest.approx(59)
    assert found.loc[3, ["score", "score_change"]].tolist() == pytest.approx([86.2, -4])
    assert found.loc[3, "score_change_std"] == pytest.approx(0, abs=1e-6)
    assert found.loc[3, "seconds"] == pytest.approx(60)
    assert found.loc[3, "memory"] == mean(lambda s: 100 * (1 - 1.3 * cuts[s][-1]))
    assert found.loc[3, "norm_traffic"] == mean(lambda s: 100 * (1 - 0.5 * np.mean(cuts[s])))
    steps = [100 if e % 2 else 102 for e in SHOWN]
    assert found.loc[3, "bytes"] == mean(
        lambda s: 100 * (1 - 1.3 * np.average(cuts[s], weights=steps))
    )
    row = rows[2]
    assert row[:2] == ["ResNet-32,\nCIFAR-10", "0.3"]
    for place, name in enumerate(("training_removed", "inference_removed", "score"), start=2):
        shown = f"{found.loc[3, name]:.1f} ± {found.loc[3, f'{name}_std']:.1f}"
        assert row[place] == shown
    assert row[5] == "-4.00 ± 0.00"
    assert row[6:8] == [
        "60 ± 0",
        f"{found.loc[3, 'memory']:.0f} ± {found.loc[3, 'memory_std']:.0f}",
    ]
    assert row[-1] == "this study, n=2"
    assert len(rows) == len(drawn.table) == 3


def test_a_long_table_goes_on_over_the_page_with_its_headings():
    names = "abcdefghijklmnopqrst"
    drawn = draw("table", tables(2, tuple(names)), titles=dict(zip(names, names, strict=True)))
    parts = [texts_of_page(page) for page in drawn.pages.figures]
    assert len(parts) > 1
    assert all(part[0] == parts[0][0] for part in parts)
    rows = [row for part in parts for row in part[1:]]
    assert [row[0] for row in rows] == drawn.table["study"].tolist()
    assert [float(row[1]) for row in rows] == drawn.table["ratio"].tolist()


def test_what_a_table_has_not_is_not_explained():
    def said(drawn):
        (note,) = drawn.figure.texts
        return note.get_text()

    assert said(draw("table")) == "Means over n replicates ± one standard deviation."
    assert said(draw("table", tables(1))) == "Means over n replicates."
    published = said(draw("table", of_network("resnet50", "imagenet"), OVERLAY))
    assert published.endswith(f"Shaded: published. {NONE}: not known.")


def test_times_are_those_of_an_epoch_where_the_dense_network_trains_for_fewer():
    found = tables()
    found["prunetrain"]["training_time"] = 5.0
    assert draw("table", found).table["seconds"].tolist() == pytest.approx([45, 37.5, 30])


def test_published_rows_stand_below_with_their_trust():
    drawn = draw("table", of_network("resnet50", "imagenet"), OVERLAY)
    _, *rows = texts_of(drawn)
    assert rows[3] == [
        "Published", NONE, "37.0", "53.0", "74.4", *NONE * 5, "authors' README"
    ]  # fmt: skip
    assert rows[4][:5] == ["Published,\nfine-tuned", NONE, NONE, "53.0", "74.6"]
    assert rows[7][:5] == ["Published", "0.1", "10.6", "15.5", "75.8"]
    assert (rows[7][8], rows[7][-1]) == ("88.5", "authors' log")
    shaded = len(drawn.figure.axes[0].patches)
    assert shaded == len(only(drawn.table, source="prunetrain2019")) == 7
    # What a last network's batch norms move says nothing of its whole training.
    shapes = draw("table", of_network("vgg11", "cifar10"), OVERLAY)
    theirs = only(shapes.table, source="prunetrain2019")
    assert theirs["inference_removed"].tolist() == pytest.approx([38.8, 60.7, 67.6, 80.5])
    assert theirs[["norm_traffic", "training_removed", "score"]].isna().all(axis=None)


def test_networks_that_train_on_have_rows_of_their_own():
    found = tables()
    mine = only(found["prunetrain"], method="prunetrain")
    tuned = mine.assign(variant="fine_tuned", value=mine["value"] + 0.01)
    found["prunetrain"] = pd.concat([found["prunetrain"], tuned])
    _, *rows = texts_of(draw("table", found))
    assert len(rows) == 6
    assert rows[5][:3] == ["ResNet-32,\nCIFAR-10,\nfine-tuned", "0.3", NONE]
    assert rows[5][4] == "87.2 ± 0.3"


# -- all figures -----------------------------------------------------------------------------------

# The last do not fit a page.
MANY = [
    *((name, studies, seeds) for name in FIGURES for studies, seeds in (("s", 1), ("st", 2))),
    ("prunetrain_costs", "abc", 2),
    ("prunetrain_accuracy", "abcde", 2),
    ("prunetrain_table", "abcdefghijklmnopqrst", 2),
]


@pytest.mark.parametrize(("name", "studies", "seeds"), MANY)
def test_figures_keep_what_all_figures_do(name, studies, seeds):
    named = {study: f"ResNet-32, CIFAR-10 {study}" for study in studies}
    found = draw(name.removeprefix("prunetrain_"), tables(seeds, tuple(studies)), titles=named)
    check(found)
    assert not [mark for panels in found.pages.panels for p in panels for mark in marks_of(p)]


def written(drawn):
    return [text for page in drawn.pages.figures for text in shown_texts(page)]


@pytest.mark.parametrize("name", FIGURES)
def test_one_replicate_has_no_whiskers(name):
    found = draw(name.removeprefix("prunetrain_"), tables(1))
    for axes in found.figure.axes:
        assert not any(c.has_yerr or c.has_xerr for c in curves_of(axes).values())
    stds = [column for column in found.table if column == "std" or column.endswith("_std")]
    assert not found.table[stds].fillna(0).any(axis=None)
    assert not [text for text in written(found) if "±" in text.get_text()]


@pytest.mark.parametrize("score", OTHER_SCORES)
@pytest.mark.parametrize("name", ["accuracy", "variants", "table"])
def test_a_figure_speaks_of_its_score(name, score, monkeypatch):
    monkeypatch.setenv("PRUNING_METRICS", told(score))
    found = {k: restated(table, score) for k, table in tables().items()}
    named = {"network": "resnet50", "dataset": "imagenet"}
    drawn = draw(name, {k: table.assign(**named) for k, table in found.items()}, OVERLAY)
    texts = " ".join(text.get_text() for text in written(drawn))
    assert OTHER_SCORES[score][0].axis in texts.replace("\n", " ")
    assert "ccuracy" not in texts
    assert set(drawn.table["source"]) == {"study"}  # theirs are accuracies


def test_methods_look_different_from_each_other():
    assert set(STYLES) == set(METHODS)
    looks = {(to_hex(style.color(look)), look.marker) for look in STYLES.values()}
    assert len(looks) == len({look.label for look in STYLES.values()}) == len(STYLES)


def test_tables_read_from_files_give_the_same(tmp_path):
    found, read = tables(), {}
    for name, table in found.items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
        names = tidy.COLUMNS if name == "prunetrain" else columns(name)
        read[name] = tidy.read_table(tmp_path / f"{name}.csv", names)
    for name in FIGURES:
        short = name.removeprefix("prunetrain_")
        pd.testing.assert_frame_equal(
            draw(short, read).table, draw(short, found).table, check_dtype=False
        )
        plt.close("all")


# -- nothing to show -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "without", "message"),
    [
        ("costs", "prunetrain", "no network shrank by PruneTrain"),
        ("progress", "prunetrain", "no network shrank by PruneTrain"),
        ("density", "prunetrain", "no network shrank by PruneTrain"),
        ("table", "prunetrain", "no network shrank by PruneTrain"),
        ("gates", "prunetrain_gating", "no penalty ratio has both union and gating"),
        ("batch", "prunetrain_dynamic_batch", "no penalty ratio has both a growing batch"),
        ("scaling", "prunetrain_size_scaled", "no penalty ratio has both penalties"),
        ("variants", "prunetrain", "no penalty ratio has both PruneTrain and another way"),
    ],
)
def test_what_is_missing_is_said(name, without, message):
    found = {k: t[t["method"] != without] for k, t in tables().items()}
    with pytest.raises(PruningError, match=f"^s: {message}"):
        draw(name, found)


def test_studies_without_networks_that_shrink_have_nothing():
    found = {k: t[~t["method"].isin(METHODS)] for k, t in tables().items()}
    with pytest.raises(PruningError, match="^s: no network shrank while it trained"):
        draw("accuracy", found)
    for name in ("revival", "filters"):
        with pytest.raises(PruningError, match="^s: no network kept its channels to the end"):
            draw(name, found)


# -- the catalog -----------------------------------------------------------------------------------


def catalogued(**levels):
    folder, schema = REPOSITORY / "config" / "studies", SCHEMAS / "study.schema.yaml"
    study = find_study("digits", folder, schema)
    part = SimpleNamespace(levels=levels)
    found = figures_of(dataclasses.replace(study, parts={"prunetrain": part}))
    return [name.removeprefix("prunetrain_") for name in found]


def test_figures_are_listed_for_the_studies_that_have_them():
    always = ["costs", "density", "accuracy", "progress", "table"]
    assert catalogued(prunetrain=(1,)) == always

    def more(**levels):
        return set(catalogued(prunetrain=(1, 2), **levels)) - set(always)

    assert more(prunetrain_gating=(2,)) == {"gates"}
    assert more(prunetrain_gating=(3,)) == set()
    assert more(prunetrain_size_scaled=(1,)) == {"scaling"}
    assert more(prunetrain_dynamic_batch=(2,)) == {"batch"}
    assert more(prunetrain_one_time=(2,)) == {"revival", "filters", "variants"}
    assert more(train_then_prune=(3,)) == {"revival", "filters"}
    # Each at a level of its own: there is none to compare all of them at.
    assert more(prunetrain_one_time=(1,), train_then_prune=(2,)) == {"revival", "filters"}
    assert catalogued(prunetrain_one_time=(1,)) == ["revival", "filters", "accuracy"]
    folder, schema = REPOSITORY / "config" / "studies", SCHEMAS / "study.schema.yaml"
    digits = figures_of(find_study("digits", folder, schema))
    assert {"prunetrain_gates", "prunetrain_variants", "prunetrain_revival"} < set(digits)
    assert not set(FIGURES) & set(figures_of(find_study("mnist_lenet300", folder, schema)))
    assert {figure.category for figure in FIGURES.values()} == {TITLE}


def test_published_files_are_named_where_they_are_shown():
    laid_over = {name for name, figure in FIGURES.items() if figure.overlays}
    assert laid_over == {"prunetrain_costs", "prunetrain_accuracy", "prunetrain_table"}
    assert FIGURES["prunetrain_costs"].published == ("prunetrain_intervals.csv",)


@pytest.mark.parametrize("name", ["accuracy", "variants", "table"])
def test_a_dense_network_from_a_file_has_no_training_to_compare_with(name):
    found = tables()
    tidied = found["prunetrain"]
    dense = tidied["method"] == "dense"
    spent = ["training_steps", "training_macs", "seconds"]
    found["prunetrain"] = tidied.assign(**{c: tidied[c].where(~dense, 0) for c in spent})
    drawn = draw(name, found)
    numbers = drawn.table.select_dtypes("number")
    assert not np.isinf(numbers).any(axis=None)
    column = "seconds" if name == "table" else "training_macs"
    assert drawn.table[column].isna().all()
    assert draw(name).table[column].notna().any()
    if name != "table":
        texts = [text.get_text() for axes in drawn.figure.axes for text in axes.texts]
        assert "The dense network is\nfrom a file, its training\nis not known" in texts
