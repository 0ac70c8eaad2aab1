"""Figures of searches: what they draw, how they look, and which networks they compare."""

import dataclasses
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from pruning.analysis import mask_tables, tidy
from pruning.analysis.tables import columns
from pruning.errors import PruningError
from pruning.figures import style
from pruning.figures.catalog import figures_of
from pruning.figures.context import Context
from pruning.registry import load
from pruning.study.study import find_study
from pruning.systems.gem_miner import tables as own_tables
from pruning.systems.gem_miner.catalog import CLAIMS, FIGURES, TITLE
from pruning.systems.gem_miner.figures import curves, layers, scores
from pruning.systems.gem_miner.rules import BASELINES, METHODS
from pruning.systems.gem_miner.section import Cell
from pruning.systems.gem_miner.styles import OTHERS, STYLES
from tests.conftest import REPOSITORY, SCHEMAS
from tests.figure_checks import check, marks_of
from tests.other_scores import SCORES, check_texts, restated, told
from tests.systems.gem_miner.made_up import (
    AFTER,
    DENSE,
    DENSITIES,
    LAYERS,
    SEARCH_EPOCHS,
    SEARCHED,
    STARTS,
    STEPS_OF_IMP,
    curve_rows,
    layer_rows,
    row,
    study_rows,
    tables,
)

PUBLISHED = REPOSITORY / "resources" / "published"
OVERLAY = {"s": {"gem_miner_published": "raregems2022"}}
FOUND = {method: AFTER[method, "unmodified"] for method in (*METHODS, *BASELINES)}
SHOWN = [method for method in STYLES if method != "gem_miner_inverted"]
OF_WEIGHTS = ("gem_miner_densities", "gem_miner_layers")


@pytest.fixture(autouse=True)
def _close_figures():
    style.use()
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def study():
    return pd.DataFrame(study_rows())


def context(titles=None, options=None, **more):
    return Context(titles or {"s": "ResNet-20, CIFAR-10"}, options or {}, {}, PUBLISHED, more)


def drawing(name, found, options=None, titles=None):
    first, *others = FIGURES[name].tables
    more = {table: found[table] for table in others}
    return load(FIGURES[name].draw)(found[first], context(titles, options, **more))


def only(table, **wanted):
    for column, value in wanted.items():
        table = table[table[column] == value]
    return table


def one(table, **wanted):
    (found,) = only(table, **wanted).to_dict("records")
    return found


EXPLAINED = (scores.LAST_SCORES, scores.NOTHING_FOUND, "Not frozen (bound)")


class Plain(tuple):
    """A curve without whiskers, as one with some is given."""

    has_yerr = has_xerr = False


def curves_of(axes):
    """The containers of a panel's curves by label, in the order in which they were drawn."""
    whiskered = {id(c[0]): c for c in axes.containers if hasattr(c, "has_yerr")}
    found = {}
    for line in axes.lines:
        curve, label = whiskered.get(id(line), Plain((line,))), line.get_label()
        if isinstance(curve, Plain):
            value = line.get_transform() == axes.transData
            if label.startswith("_") or not value or label in EXPLAINED or "ublished" in label:
                continue
        else:
            label = curve.get_label()
        found.setdefault(label, []).append(curve)
    return found


def labels(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def mean(accuracy):
    """Of the two replicates of the made-up tables."""
    return pytest.approx(accuracy + 0.2)


STD = pytest.approx(0.4 / np.sqrt(2), abs=1e-6)


# -- what is compared ------------------------------------------------------------------------------


def test_networks_of_other_systems_are_compared_in_their_places(study):
    found = own_tables.compared(study)
    assert set(found["method"]) == {
        *METHODS, *BASELINES, "dense", "imp_warm", "imp_cold", "lr_rewind", "snip", "synflow"
    }  # fmt: skip
    for method, scores_ in (
        ("imp_warm", (90.0, 75.0, 62.0)),
        ("imp_cold", (89.0, 69.0, 57.0)),
        ("lr_rewind", (90.5, 80.0, 68.0)),
        ("snip", (85.5, 67.0, 52.0)),
    ):
        rows = only(found, method=method, seed=0, moment="after")
        assert rows["value"].tolist() == pytest.approx(scores_)
        assert set(rows["variant"]) == {"unmodified"}
    assert only(found, method="imp_warm")["level"].unique().tolist() == [9, 19, 23]
    assert only(found, method="dense")["value"].tolist() == pytest.approx([DENSE, DENSE + 0.4])


def test_moments_are_told_apart(study):
    found = only(own_tables.compared(study), seed=0, level=2, variant="unmodified")
    mine = only(found, method="gem_miner").set_index("moment")["value"]
    assert mine.to_dict() == pytest.approx({"after": 78.0, "before": 60.0, "searched": 62.0})
    assert set(only(found, method="smart_ratio")["moment"]) == {"after", "before"}
    assert "strength_0" in set(own_tables.compared(study)["variant"])


def test_the_longest_rewinding_of_each_study_is_the_warm_one(study):
    """Whatever the trainings of another study are long."""
    other = study.assign(study="t", training_time=10.0, retrain_time=study["retrain_time"] / 16)
    found = own_tables.compared(pd.concat([study, other]))
    for name in ("s", "t"):
        warm = only(found, study=name, method="imp_warm", seed=0)
        assert warm["value"].tolist() == pytest.approx([90.0, 75.0, 62.0])


def test_sums_are_at_what_is_really_kept(study):
    found = own_tables.summed_up(own_tables.compared(study))
    mine = only(found, method="gem_miner", variant="unmodified", moment="after")
    assert mine["density"].tolist() == [0.1334, *DENSITIES[1:]]
    assert mine["aimed"].tolist() == list(DENSITIES)
    assert mine["mean"].tolist() == pytest.approx([88.2, 78.2, 66.2])
    assert mine["std"].tolist() == [STD] * 3
    assert mine["n"].tolist() == [2] * 3
    long = one(found, method="gem_miner_long", level=2, moment="after")
    assert long["training_steps"] == 20_000


def test_densities_are_apart_by_their_ratio():
    found = own_tables.apart(pd.Series([0.2, 0.1, 0.05, 0.0]), 0.1)
    assert found.tolist() == [2.0, 1.0, 2.0, float("inf")]


def test_tables_have_their_columns():
    assert columns("gem_miner_curves") == own_tables.CURVES
    assert columns("gem_miner_layers") == mask_tables.LAYERS
    for rows, names in (
        (study_rows, tidy.COLUMNS),
        (curve_rows, own_tables.CURVES),
        (layer_rows, mask_tables.LAYERS),
    ):
        assert set(next(iter(rows()))) == set(names)


# -- scores by density -----------------------------------------------------------------------------


def test_accuracy_of_everything_after_training(study):
    drawn = scores.accuracy(study, context())
    (axes,) = drawn.figure.axes
    found = curves_of(axes)
    assert list(found) == [
        *(STYLES[m].label for m in SHOWN), *(look.label for look in OTHERS.values()),
        "SNIP", "SynFlow",
    ]  # fmt: skip
    assert labels(drawn.figure) == ["Dense, one standard deviation", "Dense, mean", *found]
    for method in SHOWN:
        (container,) = found[STYLES[method].label]
        assert container[0].get_ydata().tolist() == [mean(x) for x in FOUND[method]]
        assert container.has_yerr
    # Where it is, but for what keeps bars of different curves apart.
    at = found["Gem-Miner"][0][0].get_xdata()
    assert at == pytest.approx([0.1334, *DENSITIES[1:]], rel=0.2)
    cold = found["IMP, cold"][0][0]
    assert cold.get_xdata() == pytest.approx([d for _, d in STEPS_OF_IMP], rel=0.2)
    assert cold.get_ydata().tolist() == [mean(89), mean(69), mean(57)]
    assert axes.get_title() == "ResNet-20, CIFAR-10 (n=2)"
    assert (axes.get_ylabel(), axes.get_xscale()) == ("Test accuracy (%)", "log")
    assert axes.get_xlim()[0] > axes.get_xlim()[1]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["5x", "69.4x", "169x"]
    assert axes.get_xticks() == pytest.approx(DENSITIES)
    (level,) = [x for x in axes.lines if x.get_label() == "Dense, mean"]
    assert list(level.get_ydata()) == [mean(DENSE)] * 2


def test_the_table_of_the_accuracies(study):
    table = scores.accuracy(study, context()).table
    assert len(table) == 1 + 3 * (len(SHOWN) + len(OTHERS) + 2)
    mine = one(table, method="gem_miner", level=1)
    assert (mine["density"], mine["aimed"], mine["n"]) == (0.1334, 0.2, 2)
    assert (mine["mean"], mine["std"]) == (mean(88.0), STD)
    assert mine["sparsity"] == pytest.approx(86.66)
    assert (mine["network"], mine["dataset"]) == ("resnet20", "cifar10")
    assert set(table["moment"]) == {"after"}
    assert set(table["source"]) == {"study"}
    assert set(only(table, method="gem_miner")["variant"]) == {"unmodified"}
    assert "gem_miner_inverted" not in set(table["method"])


def test_what_was_found_beside_it_spoiled(study):
    drawn = scores.sanity(study, context())
    (axes,) = drawn.figure.axes
    found = curves_of(axes)
    wanted = {
        "Gem-Miner": AFTER["gem_miner", "unmodified"],
        "Mask shuffled in layers": AFTER["gem_miner", "shuffled"],
        "Reinitialized": AFTER["gem_miner", "reinitialized"],
        "Reinitialized, He normal": AFTER["gem_miner", "reinitialized_kaiming"],
        "Scores inverted": AFTER["gem_miner_inverted", "unmodified"],
    }
    assert list(found) == list(wanted)
    for label, accuracies in wanted.items():
        assert found[label][0][0].get_ydata().tolist() == [mean(x) for x in accuracies]
    assert len(drawn.table) == 1 + 3 * 5
    assert set(drawn.table["method"]) == {"dense", "gem_miner"}


def test_what_keeps_nothing_stands_where_it_was_to_be(study):
    gone = study["method"].isin(("gem_miner_inverted", "global_edge_popup"))
    empty = study.assign(mask_density=study["mask_density"].where(~gone, 0.0))
    for draw, label in (
        (scores.sanity, "Scores inverted"), (scores.accuracy, "Edge-Popup, global"),
    ):  # fmt: skip
        drawn = draw(empty, context())
        (axes,) = drawn.figure.axes
        (container,) = curves_of(axes)[label]
        assert not len(container[0].get_xdata())
        crosses = [line for line in axes.lines if line.get_marker() == "x"]
        cross, entry = crosses
        assert not len(entry.get_xdata())
        assert cross.get_xdata() == pytest.approx(DENSITIES)
        assert cross.get_color() == container[0].get_color()
        assert "Nothing found, no weight left" in labels(drawn.figure)
    table = only(drawn.table, method="global_edge_popup")
    assert table["density"].tolist() == list(DENSITIES)
    assert table["empty"].all()
    assert not only(drawn.table, method="gem_miner")["empty"].any()
    for name in ("gem_miner_sanity", "gem_miner_accuracy", "gem_miner_before"):
        assert "Crosses are networks with no weight left" in FIGURES[name].caption


def test_where_something_was_found_there_is_no_cross(study):
    for draw in (scores.sanity, scores.accuracy, scores.before):
        drawn = draw(study, context())
        assert "Nothing found, no weight left" not in labels(drawn.figure)


def test_scores_before_training(study):
    drawn = scores.before(study, context())
    (axes,) = drawn.figure.axes
    found = curves_of(axes)
    assert list(found) == [STYLES[m].label for m in SHOWN]
    for method in SHOWN:
        container = found[STYLES[method].label][0]
        assert container[0].get_ydata().tolist() == [mean(x) for x in STARTS[method]]
    thick, thin = found["Gem-Miner"]
    assert thin[0].get_ydata().tolist() == [mean(x) for x in SEARCHED["gem_miner"]]
    assert thin[0].get_xdata() == pytest.approx([0.7 * d for d in DENSITIES])
    assert thin[0].get_linewidth() < thick[0].get_linewidth()
    assert not thin.has_yerr
    assert len(found["Edge-Popup"]) == 1  # both masks are the same
    assert thin[0].get_markerfacecolor() == "white" != thick[0].get_markerfacecolor()
    assert thin[0].get_linestyle() != thick[0].get_linestyle()
    assert set(labels(drawn.figure)) == {"By the last scores' mask", *found}
    assert set(drawn.table["moment"]) == {"before", "searched"}


def test_the_family_before_and_after(study):
    drawn = scores.family(study, context(options=OVERLAY))
    (axes,) = drawn.figure.axes
    assert axes.get_title(loc="right") == "ResNet-20, CIFAR-10\n0.59 % kept (n=2)"
    assert axes.get_xlabel() == "Test accuracy (%)"
    names = [STYLES[m].label for m in scores.FAMILY]
    assert [t.get_text() for t in axes.get_yticklabels()] == names[::-1]
    assert labels(drawn.figure) == ["Before training", "After training", "Published"]
    points = [c for c in axes.containers if hasattr(c, "has_xerr")]
    assert all(c.has_xerr and not c.has_yerr for c in points)
    placed = [(c[0].get_xdata()[0], c[0].get_ydata()[0]) for c in points]
    wanted = [
        (mean(values[m][2]), place)
        for place, m in enumerate(reversed(scores.FAMILY))
        for values in (STARTS, FOUND)
    ]
    assert placed == wanted
    faces = [c[0].get_markerfacecolor() == "white" for c in points]
    assert faces == [True, False] * 5
    assert [t.get_text() for t in axes.texts] == [f"{x:.1f}" for x, _ in placed]
    bars = [x for x in axes.lines if x.get_label() == "Published"]
    published = {
        "gem_miner": [45.3, 66.15],
        "global_edge_popup_gradual_regularized": [19.67, 63.72],
        "global_edge_popup_gradual": [31.56, 63.54],
        "global_edge_popup": [22.22, 34.42],
        "edge_popup": [19.57, 24.47],
    }
    assert [x.get_xdata().tolist() for x in bars] == list(published.values())
    assert [set(x.get_ydata()) for x in bars] == [{0}, {1}, {2}, {3}, {4}]
    assert set(axes.get_yticks()) == {0, 1, 2, 3, 4}
    theirs = only(drawn.table, source="raregems2022")
    assert len(theirs) == 10
    assert set(only(drawn.table, source="study")["level"]) == {3}


def test_published_numbers_stay_away_from_other_densities_and_where_nobody_asked(study):
    assert set(scores.family(study, context()).table["source"]) == {"study"}
    denser = study[study["level"] < 3]
    table = scores.family(denser, context(options=OVERLAY)).table
    assert set(table["source"]) == {"study"}
    assert set(table["level"]) == {2}


@pytest.mark.parametrize(
    ("draw", "moment", "expected"),
    [
        (scores.sanity, "after", {"unmodified": {83.4, 66.15, 77.89}, "shuffled": {78.73},
                                  "reinitialized": {78.6}, "reinitialized_kaiming": {78.6}}),
        (scores.before, "before", {"unmodified": {45.3, 31.56, 19.57, 22.22, 19.67}}),
    ],
)  # fmt: skip
def test_the_papers_scores_lie_over_those_of_the_same_networks(study, draw, moment, expected):
    drawn = draw(study, context(options=OVERLAY))
    theirs = only(drawn.table, source="raregems2022")
    assert set(theirs["moment"]) == {moment}
    found = {v: set(rows["mean"]) for v, rows in theirs.groupby("variant")}
    assert found == expected
    (axes,) = drawn.figure.axes
    bars = [x for x in axes.lines if x.get_marker() == "_" and x.get_markersize() == 10]
    points = {(x, y) for line in bars for x, y in zip(*line.get_data(), strict=True)}
    assert points == set(zip(theirs["density"], theirs["mean"], strict=True))
    low, high = axes.get_ylim()
    right, left = axes.get_xlim()
    assert all(low <= y <= high and left <= x <= right for x, y in points)
    assert "Published" in labels(drawn.figure)
    assert set(draw(study, context()).table["source"]) == {"study"}


def test_scores_by_what_they_took(study):
    drawn = scores.budget(study, context())
    (axes,) = drawn.figure.axes
    found = {name: c[0][0] for name, c in curves_of(axes).items()}
    assert len(found) == len(SHOWN) + len(OTHERS) + 2
    points = {
        "Gem-Miner": (2_000, 66), "Gem-Miner, long": (20_000, 67), "Smart Ratio": (1_000, 55),
        "IMP, with warm-up": (24_000, 62), "SNIP": (1_010, 52),
    }  # fmt: skip
    for label, (steps, accuracy) in points.items():
        # Where it is, but for what keeps points of different methods apart.
        assert found[label].get_xdata() == pytest.approx([steps], rel=0.1)
        assert found[label].get_ydata().tolist() == [mean(accuracy)]
        assert found[label].get_linestyle() == "None"
    assert axes.get_xlabel() == "Optimizer steps, everything counted\n(log scale)"
    assert axes.get_ylabel() == "Test accuracy (%)"
    assert axes.get_xscale() == "log"
    ticks = [t.get_text() for t in axes.get_xticklabels()]
    assert ticks == ["1,000", "2,000", "20,000"]
    assert axes.get_title() == "ResNet-20, CIFAR-10\nabout 0.59 % kept (n=2)"
    steps = drawn.table.set_index("method")["training_steps"]
    assert steps["dense"] == 1_000
    assert steps["lr_rewind"] == 24_000


def test_budgets_say_when_the_dense_network_is_from_a_file(study):
    dense = study["method"] == "dense"
    given = study.assign(training_steps=study["training_steps"].where(~dense, 0))
    (axes,) = scores.budget(given, context()).figure.axes
    assert axes.get_xlabel() == "Optimizer steps, without those of\nthe dense network (log scale)"


def test_budgets_are_at_a_density_that_all_searches_have(study):
    """The long search of the paper is at one of several densities."""
    long = study["method"] == "gem_miner_long"
    drawn = scores.budget(study[~long | (study["level"] == 2)], context())
    found = only(drawn.table, variant="unmodified")
    own = found[found["method"].isin(METHODS)]
    assert set(own["aimed"]) == {DENSITIES[1]}
    assert "gem_miner_long" in set(own["method"])


def test_a_search_at_one_density_has_its_place_in_every_figure():
    found = tables()
    for name, table in found.items():
        found[name] = table[(table["method"] != "gem_miner_long") | (table["level"] == 2)]
    for name in FIGURES:
        drawing(name, found)
    (axes,) = drawing("gem_miner_accuracy", found).figure.axes
    (container,) = curves_of(axes)[STYLES["gem_miner_long"].label]
    assert container[0].get_ydata().tolist() == [mean(AFTER["gem_miner_long", "unmodified"][1])]


def test_what_is_not_nearly_as_sparse_has_no_place_among_budgets(study):
    denser = study[~((study["method"] == "lr_rewind") & (study["level"] == 23))]
    table = scores.budget(denser, context()).table
    assert "lr_rewind" not in set(table["method"])
    assert one(table, method="imp_cold")["level"] == 23
    # A search that ended sparser than it was to is still the one that was to be there.
    mine = (study["method"] == "gem_miner") & (study["level"] == 3)
    sparser = study.assign(mask_density=study["mask_density"].where(~mine, 0.0001))
    found = one(scores.budget(sparser, context()).table, method="gem_miner")
    assert (found["level"], found["density"]) == (3, 0.0001)


# -- curves ----------------------------------------------------------------------------------------


def test_densities_while_searching_by_strength():
    table = pd.DataFrame(curve_rows())
    drawn = curves.densities(table, context())
    (axes,) = drawn.figure.axes
    found = {name: c[0][0] for name, c in curves_of(axes).items()}
    assert list(found) == ["λ = 0", "λ = 3e-05", "λ = 0.0001"]
    assert labels(drawn.figure) == [*found, "Not frozen (bound)"]
    rows = only(table, level=2, variant="searched_strength_3em05")
    wanted = rows.groupby("epoch")["active_density"].mean()
    assert found["λ = 3e-05"].get_xdata().tolist() == list(range(1, SEARCH_EPOCHS + 1))
    assert found["λ = 3e-05"].get_ydata() == pytest.approx(wanted.tolist())
    bounds = [x for x in axes.lines if x.get_zorder() == 1.5 and len(x.get_xdata())]
    assert [x.get_color() for x in bounds] == [x.get_color() for x in found.values()]
    kept = rows.groupby("epoch")["kept_density"].mean()
    assert all(x.get_ydata() == pytest.approx(kept.tolist()) for x in bounds)
    assert (axes.get_yscale(), axes.get_ylabel()) == ("log", "Density (log scale)")
    assert axes.get_xlabel() == "Epoch of the search"
    assert all(tick == round(tick) for tick in axes.get_xticks())
    assert axes.get_title() == "ResNet-20, CIFAR-10 (n=2)"
    assert len(drawn.table) == 3 * SEARCH_EPOCHS
    assert set(drawn.table["level"]) == {2}


def test_densities_while_searching_without_a_sweep():
    table = pd.DataFrame(curve_rows(sweep=False))
    drawn = curves.densities(table, context())
    (axes,) = drawn.figure.axes
    found = {name: c[0][0] for name, c in curves_of(axes).items()}
    assert list(found) == ["20 % kept", "1.44 % kept", "0.59 % kept"]
    rows = only(table, method="gem_miner", level=3, variant="searched_unmodified")
    wanted = rows.groupby("epoch")["active_density"].mean()
    assert found["0.59 % kept"].get_ydata() == pytest.approx(wanted.tolist())
    assert set(drawn.table["variant"]) == {"searched_unmodified"}


@pytest.mark.parametrize("draw", [curves.densities, curves.convergence])
def test_a_density_looks_the_same_in_all_panels(draw):
    """Though the other study has fewer of them."""
    rows = pd.DataFrame(curve_rows(sweep=False))
    table = pd.concat([rows, rows[rows["level"] != 1].assign(study="t")])
    tidy_rows = pd.DataFrame([*study_rows(), *study_rows(study="t")])
    drawn = draw(table, context(tidy=tidy_rows))
    first, second = (curves_of(axes) for axes in drawn.figure.axes)
    assert list(second) == ["1.44 % kept", "0.59 % kept"]
    for label, (container,) in second.items():
        assert container[0].get_color() == first[label][0][0].get_color()
        assert container[0].get_marker() == first[label][0][0].get_marker()


def test_scores_through_search_and_training(study):
    table = pd.DataFrame(curve_rows())
    drawn = curves.convergence(table, context(tidy=study))
    (axes,) = drawn.figure.axes
    found = {name: c[0][0] for name, c in curves_of(axes).items()}
    assert list(found) == ["20 % kept", "1.44 % kept", "0.59 % kept"]
    line = found["0.59 % kept"]
    assert line.get_xdata().tolist() == list(range(1, 2 * SEARCH_EPOCHS + 1))
    score, std = {}, {}
    for place, variant in ((0, "searched_unmodified"), (SEARCH_EPOCHS, "unmodified")):
        rows = only(table, method="gem_miner", level=3, variant=variant)
        for epoch, values in rows.groupby("epoch")["test_score"]:
            score[place + epoch], std[place + epoch] = 100 * values.mean(), 100 * values.std()
    assert line.get_ydata() == pytest.approx([score[e] for e in sorted(score)])
    assert labels(drawn.figure) == [
        *found, "End of the search", "Dense", "IMP, with warm-up, 0.59 % kept",
        "Learning-rate rewinding, 0.59 % kept",
    ]  # fmt: skip
    levels = {x.get_label(): list(x.get_ydata()) for x in axes.lines if len(x.get_xdata()) == 2}
    assert levels["Dense"] == [mean(DENSE)] * 2
    assert levels["IMP, with warm-up, 0.59 % kept"] == [mean(62)] * 2
    assert levels["Learning-rate rewinding, 0.59 % kept"] == [mean(68)] * 2
    (end,) = [x for x in axes.lines if set(x.get_xdata()) == {SEARCH_EPOCHS}]
    assert end.get_ydata() == [0, 1]
    assert axes.get_ylabel() == "Test accuracy (%)"
    assert axes.get_xlabel() == "Epoch: search, then training"
    row_ = one(drawn.table, level=3, epoch=SEARCH_EPOCHS + 5)
    assert (row_["mean"], row_["n"]) == (pytest.approx(score[25]), 2)
    assert row_["std"] == pytest.approx(std[25])
    assert set(drawn.table["quantity"]) == {"score", "dense", "imp_warm", "lr_rewind"}
    assert "edge_popup" not in set(drawn.table["quantity"])


def test_levels_say_how_sparse_they_really_are(study):
    denser = study[study["level"] != 23]
    drawn = curves.convergence(pd.DataFrame(curve_rows()), context(tidy=denser))
    assert "IMP, with warm-up, 1.44 % kept" in labels(drawn.figure)
    alone = study[study["method"].isin(METHODS)]
    drawn = curves.convergence(pd.DataFrame(curve_rows()), context(tidy=alone))
    assert labels(drawn.figure) == [
        "20 % kept", "1.44 % kept", "0.59 % kept", "End of the search"
    ]  # fmt: skip
    assert set(drawn.table["quantity"]) == {"score"}


# -- layers ----------------------------------------------------------------------------------------


def test_layers_beside_their_sizes_and_published_ones():
    table = pd.DataFrame(layer_rows())
    drawn = layers.layers(table, context(options=OVERLAY))
    (axes,) = drawn.figure.axes
    assert axes.get_title() == "ResNet-20, CIFAR-10\n0.59 % kept (n=2)"
    found = {name: c[0][0] for name, c in curves_of(axes).items()}
    assert list(found) == ["Gem-Miner", "Edge-Popup", "Smart Ratio"]
    values = found["Gem-Miner"].get_ydata()
    assert values == pytest.approx([26.25, *[0.2625] * 18, 25.2])
    assert pd.isna(found["Smart Ratio"].get_ydata()[1:19]).all()
    heights = [bar.get_height() for bar in axes.patches]
    assert heights == pytest.approx([100 * s / sum(LAYERS.values()) for s in LAYERS.values()])
    (crosses,) = [x for x in axes.lines if x.get_label() == "Gem-Miner, published"]
    assert crosses.get_xdata().tolist() == [0, 1, 3, 7, 12, 13, 15, 17, 18, 19]
    assert crosses.get_ydata()[[0, -1]].tolist() == [25.69, 23.91]
    names = [t.get_text() for t in axes.get_xticklabels()]
    assert names == [name.removesuffix(".weight") for name in LAYERS]
    assert "empty" in [t.get_text() for t in axes.get_yticklabels()]
    assert (axes.get_ylabel(), axes.get_yscale()) == ("Weights kept (%, log scale)", "log")
    assert axes.get_xlabel() == "Layer, from the input"
    assert len(labels(drawn.figure)) == 6
    table = drawn.table
    assert table["quantity"].value_counts().to_dict() == {
        "kept": 60, "of all weights": 20, "published": 10
    }  # fmt: skip
    assert set(only(table, quantity="published")["source"]) == {"raregems2022"}
    assert set(only(table, quantity="published")["method"]) == {"gem_miner"}
    first = one(table, quantity="kept", method="gem_miner", position=0)
    assert (first["mean"], first["n"]) == (pytest.approx(26.25), 2)
    assert "gem_miner_l1" not in set(table["method"])


def test_layers_of_the_level_that_a_study_names():
    table = pd.DataFrame(layer_rows())
    options = {"s": {"gem_miner_layers": 2, "gem_miner_published": "raregems2022"}}
    drawn = layers.layers(table, context(options=options))
    (axes,) = drawn.figure.axes
    assert "1.44 % kept" in axes.get_title()
    assert set(only(drawn.table, quantity="kept")["level"]) == {2}
    found = only(drawn.table, quantity="published")
    assert set(found["method"]) == {"gem_miner", "smart_ratio"}  # and not IMP, which is not here
    assert one(found, method="smart_ratio", position=19)["mean"] == 30.0
    options["s"]["gem_miner_layers"] = 1
    drawn = layers.layers(table, context(options=options))
    assert "published" not in set(drawn.table["quantity"])


def test_published_layers_are_of_the_same_network():
    table = pd.DataFrame(layer_rows())
    for other in (
        table[table["layer"] != "block18.weight"],
        table.assign(network="vgg16"),
        table.assign(dataset="digits"),
    ):
        drawn = layers.layers(other, context(options=OVERLAY))
        assert "published" not in set(drawn.table["quantity"])


# -- all figures -----------------------------------------------------------------------------------

# The last do not fit a page.
MANY = [
    *((name, studies, seeds) for name in FIGURES for studies, seeds in (("s", 1), ("st", 2))),
    *((name, "abcdefghijklm", 2) for name in ("gem_miner_accuracy", "gem_miner_layers")),
]


@pytest.mark.parametrize(("name", "studies", "seeds"), MANY)
def test_figures_keep_what_all_figures_do(name, studies, seeds):
    found = drawing(name, tables(seeds, tuple(studies)), OVERLAY)
    assert sum(map(len, found.pages.panels)) == len(studies)
    check(found)
    assert not [mark for panels in found.pages.panels for p in panels for mark in marks_of(p)]


@pytest.mark.parametrize("name", FIGURES)
def test_one_replicate_has_no_whiskers(name):
    found = drawing(name, tables(1))
    for axes in found.figure.axes:
        bars = [c for c in axes.containers if hasattr(c, "has_yerr")]
        assert not any(c.has_yerr or c.has_xerr for c in bars)
    if "std" in found.table:
        assert not found.table["std"].fillna(0).any()
        assert set(found.table["n"].dropna()) <= {1}


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_speaks_of_its_score_and_of_no_other(name, score, monkeypatch):
    monkeypatch.setenv("PRUNING_METRICS", told(score))
    found = {k: restated(table, score) for k, table in tables(2).items()}
    drawn = drawing(name, found, OVERLAY)
    check_texts(drawn.figure, *([] if name in OF_WEIGHTS else [SCORES[score][0].axis]))
    for column in drawn.table.select_dtypes(exclude="number"):
        assert not drawn.table[column].astype(str).str.contains("accuracy").any()
    if name not in OF_WEIGHTS:
        published = set(drawn.table.get("source", ["study"])) - {"study"}
        assert not published  # theirs are accuracies


def test_methods_look_different_from_each_other(study):
    assert set(STYLES) == {*METHODS, *BASELINES}
    drawn = scores.accuracy(study, context())
    found = [c[0][0] for c in curves_of(drawn.figure.axes[0]).values()]
    looks = {(to_hex(line.get_color()), line.get_marker()) for line in found}
    assert len(looks) == len(found)
    strangers = ("magnitude", "snip", "grasp", "grasp_abs", "synflow", "made_up_by_others")
    looks = [scores._look(method) for method in (*STYLES, *OTHERS, *strangers)]
    assert len({(style.color(look), look.marker) for look in looks}) == len(looks)
    assert len({look.label for look in looks}) == len(looks)
    assert scores._look("snip").label == "SNIP"


# -- nothing to show -------------------------------------------------------------------------------


def test_what_is_missing_is_said(study):
    others = study[~study["method"].isin((*METHODS, *BASELINES))]
    for draw in (scores.accuracy, scores.sanity, scores.before, scores.budget):
        with pytest.raises(PruningError, match="^s: no network was searched"):
            draw(others, context())
    with pytest.raises(PruningError, match="^s: nothing was found by Edge-Popup"):
        scores.family(others, context())
    rows = pd.DataFrame(curve_rows())
    for draw in (curves.densities, curves.convergence):
        with pytest.raises(PruningError, match="^s: Gem-Miner searched nothing"):
            draw(only(rows, method="edge_popup"), context(tidy=study))
    with pytest.raises(PruningError, match="^s: no masks of searches"):
        layers.layers(pd.DataFrame(layer_rows()).query("variant == 'shuffled'"), context())


def test_a_study_without_searches_has_no_panel(study):
    others = study[~study["method"].isin((*METHODS, *BASELINES))].assign(study="t")
    both = pd.concat([study, others])
    for draw in (scores.accuracy, scores.sanity, scores.before, scores.family, scores.budget):
        assert len(draw(both, context()).figure.axes) == 1


@pytest.mark.parametrize("name", ["gem_miner_sanity", "gem_miner_before", "gem_miner_family"])
def test_figures_of_this_wing_alone_wait_for_no_other(name):
    """And show the same as beside all others."""
    assert FIGURES[name].tables == ("gem_miner",)
    found = tables(2)
    both = (drawing(name, found | {"gem_miner": found[t]}, OVERLAY) for t in ("gem_miner", "tidy"))
    first, second = (drawn.table for drawn in both)
    pd.testing.assert_frame_equal(first, second)


def test_a_single_density_is_drawn(study):
    first = study[study["level"].isin((0, 1))]
    for draw in (scores.accuracy, scores.sanity, scores.before, scores.family, scores.budget):
        drawn = draw(first, context())
        drawn.figure.canvas.draw()
        assert set(drawn.table["level"]) <= {0, 1}


def test_tables_read_from_files_give_the_same(tmp_path):
    found = tables(2)
    names = {"tidy": tidy.COLUMNS, "gem_miner": tidy.COLUMNS, "gem_miner_curves": own_tables.CURVES,
             "gem_miner_layers": mask_tables.LAYERS}  # fmt: skip
    read = {}
    for name, table in found.items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
        read[name] = tidy.read_table(tmp_path / f"{name}.csv", names[name])
    for name in FIGURES:
        pd.testing.assert_frame_equal(
            drawing(name, read, OVERLAY).table, drawing(name, found, OVERLAY).table,
            check_dtype=False,
        )  # fmt: skip


# -- the catalog -----------------------------------------------------------------------------------


def catalogued(study, *cells, sweep=()):
    """Figures and pages of claims of a study with these cells."""
    swept = dict.fromkeys(sweep, 0.0)
    for densities, claimed in (((0.1, 0.014), True), ((0.1, 0.03), False)):
        part = SimpleNamespace(cells=cells, sweep=swept, densities=densities)
        changed = dataclasses.replace(study, parts={"gem_miner": part})
        pages = [name for name, page in CLAIMS.items() if page.needs(changed)]
        assert pages == (["gem_miner_claims"] if figures_of(changed) and claimed else [])
    return [name.removeprefix("gem_miner_") for name in figures_of(changed)]


def test_figures_are_listed_for_the_studies_that_have_them():
    folder, schema = REPOSITORY / "config" / "studies", SCHEMAS / "study.schema.yaml"
    study = find_study("digits", folder, schema)
    mine = Cell("gem_miner", "unmodified", 1)
    always = ["accuracy", "before", "densities", "convergence", "layers"]
    every = [name.removeprefix("gem_miner_") for name in FIGURES]
    assert catalogued(study, mine) == always
    # A sweep spoils nothing.
    swept = Cell("gem_miner", "strength_0", 1)
    assert catalogued(study, mine, swept, sweep=("strength_0",)) == always
    with_checks = [n for n in every if n not in ("family", "budget")]
    assert catalogued(study, mine, Cell("gem_miner", "shuffled", 1)) == with_checks
    assert catalogued(study, mine, Cell("gem_miner_inverted", "unmodified", 1)) == with_checks
    popup = Cell("global_edge_popup", "unmodified", 1)
    assert catalogued(study, mine, popup) == [n for n in every if n != "sanity"]
    # Of the kin only one is at the sparsest density, or of other methods none is there.
    sparser = Cell("gem_miner", "unmodified", 2)
    assert "family" not in catalogued(study, mine, popup, sparser)
    assert "budget" in catalogued(study, mine, Cell("smart_ratio", "unmodified", 1))
    # Figures are of Gem-Miner, alone or with others.
    assert catalogued(study, popup, Cell("smart_ratio", "unmodified", 1)) == []
    assert not [n for n in figures_of(find_study("renda2020_resnet20", folder, schema))
                if n in FIGURES]  # fmt: skip
    assert set(FIGURES) <= set(figures_of(study))
    assert {figure.category for figure in FIGURES.values()} == {TITLE}


def test_a_network_is_one_row_with_a_start(study):
    """The made-up table is what the stages write: a row per network, split and metric."""
    key = ["method", "variant", "level", "seed", "split", "metric", "retrain_time", "pruned_at"]
    assert not study.duplicated(key).any()
    assert row("gem_miner", "unmodified", 1, 0.2, 50.0, 0)["value"] == 0.5
