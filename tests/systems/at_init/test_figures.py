"""Figures of pruning at initialization: which numbers they draw."""

import re
import zlib

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from pruning.errors import PruningError
from pruning.figures import pages, style
from pruning.figures.context import Context
from pruning.systems.at_init import tables as analysis
from pruning.systems.at_init.figures import accuracy as at_init
from pruning.systems.at_init.figures import errors as at_init_errors
from pruning.systems.at_init.figures import masks as at_init_masks
from pruning.systems.at_init.styles import STYLES
from pruning.systems.at_init.tables import (
    VARIANTS,
    cells,
    published_for,
    read_published,
    shown_levels,
)
from tests.conftest import REPOSITORY
from tests.figure_checks import check, marks_of

PUBLISHED = REPOSITORY / "resources" / "published"
DENSITIES = (0.7, 0.4, 0.1, 0.02, 0.002)
AFTER = ("magnitude_after_training", "lottery_ticket")
METHODS = ("random", "magnitude", "snip", "grasp", "grasp_abs", "synflow", *AFTER)
LAYERS = {"conv1": 432, "conv2": 9216, "conv3": 36864, "conv4": 147456, "fc": 640}
T = 20.0


def row(method, variant, level, density, accuracy, *, seed=0, pruned_at=0.0, study="s", **more):
    """The test accuracy of one network."""
    return {
        "study": study,
        "network": "vgg16",
        "dataset": "cifar10",
        "seed": seed,
        "method": method,
        "variant": variant,
        "level": level,
        "density": density,
        "mask_density": density,
        "effective_density": density,
        "collapsed_layers": 0,
        "pruned_at": pruned_at,
        "retrain_time": None,
        "training_time": T,
        "split": "test",
        "metric": "accuracy",
        "value": accuracy,
        "macs": 1,
        "training_steps": 1,
        "training_macs": 1,
        "seconds": 1.0,
    } | more


def dense(accuracy, seed=0, **more):
    return row("dense", np.nan, 0, 1.0, accuracy, seed=seed, pruned_at=np.nan, **more)


# -- a whole study, as trainings would leave it ----------------------------------------------------

LOSS = {  # points lost per factor of ten in density
    "random": 4.5, "magnitude": 1.6, "snip": 1.3, "grasp": 1.7, "grasp_abs": 1.4, "synflow": 1.2,
    "magnitude_after_training": 0.4, "lottery_ticket": 0.3,
}  # fmt: skip


def noise(*key):
    return np.random.default_rng(zlib.crc32(repr(key).encode())).normal()


def accuracy(method, variant, density, seed, pruned_at=0.0):
    """Made up, with the shapes that are known."""
    method = method.removesuffix("_with_norm_scales")
    lost = LOSS[method] * (-np.log10(density)) ** 1.6
    if variant == "inverted" and method != "grasp":
        lost = 10 + 30 * -np.log10(density)
    if variant == "shuffled" and method == "synflow":
        lost *= 0.8
    if variant in ("shuffled", "reinitialized") and method in AFTER:
        lost = 1 + 3.5 * lost
    if method == "magnitude" and density < 0.01:
        return 0.1
    lost *= 1 - 0.6 * min(pruned_at / T, 1) ** 0.5 * (method not in AFTER)
    value = 93 - lost + 0.25 * noise(method, variant, density, seed, pruned_at)
    return max(value, 10) / 100


def study_rows(name="s", seeds=3, faults=True, times=True):
    rows = [dense(0.93 + 0.001 * noise("dense", s), s, study=name) for s in range(seeds)]
    for seed in range(seeds):
        for method in METHODS:
            for level, density in enumerate(DENSITIES, start=1):
                for variant in VARIANTS[:1] if method == "random" else VARIANTS:
                    time = T if method in AFTER else 0.0
                    value = accuracy(method, variant, density, seed)
                    share = {"random": 0.97, "magnitude": 0.98}.get(method, 0.995)
                    empty = method == "magnitude" and density < 0.01
                    rows.append(
                        row(
                            method, variant, level, density, value, seed=seed, pruned_at=time,
                            study=name, collapsed_layers=2 if empty else 0,
                            effective_density=0 if empty else density * share ** density**-0.6,
                        )
                    )  # fmt: skip
            for time in (1.0, 2.0, 5.0, 10.0, 15.0) if times and method not in AFTER else ():
                for variant in VARIANTS[:3] if method == "magnitude" else VARIANTS[:1]:
                    value = accuracy(method, variant, 0.1, seed, time)
                    rows.append(
                        row(method, variant, 3, 0.1, value, seed=seed, pruned_at=time, study=name)
                    )
        if faults:
            rows += fault_rows(name, seed)
    return rows


def fault_rows(name, seed):
    for level, density in enumerate(DENSITIES, start=1):
        for method in ("magnitude", "snip", "grasp"):
            for variant in ("unmodified", "inverted"):
                value = accuracy(method, variant, density, seed)
                value = value - 0.03 if method == "grasp" else value
                value = 0.1 if variant == "inverted" and method != "grasp" else value
                method_name = f"{method}_with_norm_scales"
                yield row(method_name, variant, level, density, value, seed=seed, study=name)
        value = 0.93 + 0.002 * noise(density, seed)
        yield row(
            "synflow_without_masks", "unmodified", level, density, value, seed=seed, study=name,
            mask_density=1.0, effective_density=1.0,
        )  # fmt: skip


def layer_rows(name="s", seeds=3):
    for seed in range(seeds):
        for method in (
            *METHODS,
            *(f"{m}_with_norm_scales" for m in ("magnitude", "snip", "grasp")),
        ):
            for variant in ("unmodified", "inverted"):
                for level, density in enumerate(DENSITIES, start=1):
                    key = {
                        "study": name, "network": "vgg16", "dataset": "cifar10", "seed": seed,
                        "method": method, "variant": variant, "level": level, "density": density,
                        "pruned_at": T if method in AFTER else 0.0,
                    }  # fmt: skip
                    yield from _layers_of(key, method, variant, density)


def _layers_of(key, method, variant, density):
    slope = LOSS[method.removesuffix("_with_norm_scales")] / 4 - 0.6 if method != "random" else 0
    for position, (layer, size) in enumerate(LAYERS.items()):
        share = min(1.0, density * (size / 9216) ** slope * (1 + 0.02 * noise(*key.values())))
        if method == "magnitude" and density < 0.01 and layer in ("conv3", "conv4"):
            share = 0
        kept = round(share * size)
        place = {"layer": layer, "position": position}
        yield key | place | {"kind": "kernel", "prunable": size, "kept": kept, "effective": kept}
        if method.endswith("_with_norm_scales") and layer != "fc":
            share = {"unmodified": 0.99, "inverted": 0.024 * density}[variant]
            share = 0.53 + 0.1 * density if method.startswith("grasp") else share
            kept = round(share * 500)
            yield key | place | {
                "kind": "norm_scale", "prunable": 500, "kept": kept, "effective": kept
            }  # fmt: skip


def channel_rows(name="s", seeds=3):
    for seed in range(seeds):
        for method in METHODS:
            for variant in ("unmodified", "shuffled"):
                for level, density in enumerate(DENSITIES, start=1):
                    width = 0.02 + 0.1 * LOSS[method] / 4 if variant == "unmodified" else 0.03
                    random = np.random.default_rng(zlib.crc32(f"{method}{variant}{seed}".encode()))
                    kept = np.clip(random.normal(density, width, 1000), 0, 1)
                    bins, counts = np.unique(np.floor(100 * (1 - kept)) / 100, return_counts=True)
                    for sparsity, count in zip(bins, counts, strict=True):
                        yield {
                            "study": name, "network": "vgg16", "dataset": "cifar10", "seed": seed,
                            "method": method, "variant": variant, "level": level,
                            "density": density, "sparsity": sparsity, "channels": count,
                            "pruned_at": T if method in AFTER else 0.0,
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
def layers():
    return pd.DataFrame(layer_rows())


@pytest.fixture(scope="module")
def channels():
    return pd.DataFrame(channel_rows())


def context(options=None, titles=None, tables=None, **settings):
    titles = titles or {"s": "A study"}
    return Context(titles, {"s": options or {}}, settings, PUBLISHED, tables or {})


def lines(axes):
    """x and y of the curves of a panel, by label."""
    found = {}
    for container in axes.containers:
        if len(container[0].get_xdata()):
            found.setdefault(container.get_label(), container[0])
    return found


def labels(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def titles(figure):
    """Without the letters of several panels."""
    return [re.sub(r"^\([a-z]\) ", "", axes.get_title()) for axes in figure.axes]


def place(axes):
    """Row and column of a panel."""
    spec = axes.get_subplotspec()
    return spec.rowspan.start, spec.colspan.start


def named(axes):
    """Everything drawn with a name that a legend shows."""
    return axes.get_legend_handles_labels()[1]


def bars(axes):
    return {c.get_label(): c.has_yerr for c in axes.containers if len(c[0].get_xdata())}


# -- replicates summed up --------------------------------------------------------------------------


def test_means_and_deviations_by_hand():
    table = cells(
        pd.DataFrame(
            [
                dense(0.92, 0), dense(0.94, 1),
                row("snip", "unmodified", 1, 0.5, 0.90, seed=0, mask_density=0.4),
                row("snip", "unmodified", 1, 0.5, 0.91, seed=1, mask_density=0.5),
                row("snip", "unmodified", 1, 0.5, 0.95, seed=2, mask_density=0.6),
                row("snip", "shuffled", 1, 0.5, 0.80),
                row("snip", "unmodified", 1, 0.5, 0.70, pruned_at=3.0),
                row("snip", "unmodified", 1, 0.5, 0.10, split="validation"),
                row("snip", "unmodified", 1, 0.5, 2.3, metric="loss"),
                row("lr_rewind", "iterative", 1, 0.5, 0.99, pruned_at=np.nan),
                row("magnitude", "one_shot", 1, 0.5, 0.99, pruned_at=0.0),
            ]
        )
    )  # fmt: skip
    keyed = table.set_index(["method", "variant", "pruned_at"])
    assert len(keyed) == 4
    first = keyed.loc[("snip", "unmodified", 0)]
    assert first["mean"] == pytest.approx(92.0)
    assert first["std"] == pytest.approx(np.std([90, 91, 95], ddof=1))
    assert first["n"] == 3
    assert first["removed"] == pytest.approx(50)
    assert keyed.loc[("snip", "shuffled", 0), ["mean", "n"]].tolist() == [80, 1]
    assert np.isnan(keyed.loc[("snip", "shuffled", 0), "std"])
    assert keyed.loc[("snip", "unmodified", 3), "mean"] == 70
    one = table[table["method"] == "dense"].iloc[0]
    assert (one["mean"], one["n"]) == (93, 2)
    assert one["std"] == pytest.approx(2**0.5)


def test_each_method_is_taken_at_its_first_time():
    table = cells(
        pd.DataFrame(
            [
                dense(0.9),
                row("snip", "unmodified", 1, 0.5, 0.8),
                row("snip", "unmodified", 1, 0.5, 0.9, pruned_at=5.0),
                row("lottery_ticket", "unmodified", 1, 0.5, 0.9, pruned_at=T),
            ]
        )
    )
    first = analysis.at_first(table)
    assert first["method"].tolist() == ["dense", "snip", "lottery_ticket"]
    assert first["mean"].tolist() == [90, 80, 90]


def test_levels_that_are_looked_at_closely():
    table = pd.DataFrame({"level": [1, 2, 3, 4], "density": [0.5, 0.12, 0.03, 0.07]})
    assert shown_levels(table) == [2, 3]
    assert shown_levels(table, [1, 4, 9]) == [1, 4]
    assert shown_levels(table, [9]) == [2, 3]
    assert shown_levels(table[:2]) == [2]


# -- published numbers -----------------------------------------------------------------------------


def test_published_numbers_are_those_of_the_sources():
    report = read_published("comp6258", PUBLISHED).set_index(["method", "variant", "density"])
    assert len(report) == 65
    for key, accuracy_ in {
        ("dense", "", 1.0): 92.62,
        ("snip", "unmodified", 0.7): 92.87,
        ("snip", "inverted", 0.02): 10.00,
        ("grasp", "inverted", 0.1): 88.65,
        ("synflow", "shuffled", 0.4): 93.16,
        ("magnitude", "reinitialized", 0.02): 90.56,
    }.items():
        assert report.loc[key, "accuracy"] == accuracy_
    notes = report["note"].str
    assert report[notes.contains("pruned nothing")].index.unique("method").tolist() == ["synflow"]
    inverted = report.xs("inverted", level="variant")
    guessing = inverted[inverted["accuracy"] == 10]
    assert sorted(set(guessing.index.get_level_values("method"))) == ["magnitude", "snip"]
    assert guessing["note"].str.contains("batch-norm scales were ranked").all()

    shipped = read_published("synflow_repository", PUBLISHED)
    assert set(shipped["n"]) == {3}
    assert len(shipped) == 4 * 5 * 7
    chosen = published_for("synflow_repository", "vgg16", "cifar100", PUBLISHED)
    chosen = chosen.set_index(["method", "density"])["accuracy"]
    assert (chosen["synflow", 0.001], chosen["magnitude", 0.003162]) == (41.38, 1.0)


def test_published_sources_and_networks_are_named_where_there_are_none():
    with pytest.raises(PruningError, match="'comp625'. Did you mean 'comp6258'"):
        read_published("comp625", PUBLISHED)
    own = published_for("comp6258", "resnet20", "digits", PUBLISHED)  # the only network it has
    assert set(own["network"]) == {"vgg16"}
    other = published_for("synflow_repository:resnet18:cifar10", "vgg16", "cifar10", PUBLISHED)
    assert set(other["network"]) == {"resnet18"}
    with pytest.raises(PruningError, match="Unknown network of synflow_repository"):
        published_for("synflow_repository", "mlp", "digits", PUBLISHED)
    with pytest.raises(PruningError, match="Unknown network of comp6258 'resnet20:cifar10'"):
        published_for("comp6258:resnet20:cifar10", "vgg16", "cifar10", PUBLISHED)


# -- accuracy against sparsity ---------------------------------------------------------------------


def test_the_comparison_holds_unmodified_masks_of_sound_methods(study):
    drawn = at_init.accuracy_vs_sparsity(study, context())
    axes = drawn.figure.axes[0]
    shown = drawn.table[drawn.table["method"] != "dense"]
    assert set(shown["method"]) == set(METHODS)
    assert set(shown["variant"]) == {"unmodified"}
    assert len(shown) == len(METHODS) * len(DENSITIES)
    assert shown.set_index("method").loc["lottery_ticket", "pruned_at"].tolist() == [T] * 5
    assert set(shown[~shown["method"].isin(AFTER)]["pruned_at"]) == {0}
    snip = shown[shown["method"] == "snip"].set_index("density")
    wanted = [100 * accuracy("snip", "unmodified", 0.1, seed) for seed in range(3)]
    assert snip.loc[0.1, "mean"] == pytest.approx(np.mean(wanted))
    assert snip.loc[0.1, "std"] == pytest.approx(np.std(wanted, ddof=1), abs=1e-6)
    assert snip.loc[0.1, "sparsity"] == 90
    found = lines(axes)
    assert list(found) == [STYLES[m].label for m in STYLES if m in METHODS]
    assert np.allclose(found["SNIP"].get_ydata(), snip.loc[list(DENSITIES), "mean"])
    assert found["Lottery ticket"].get_linestyle() == "--"
    assert found["SNIP"].get_linestyle() == "-"
    assert [t.get_text() for t in axes.get_xticklabels()] == ["30", "", "90", "98", "99.8"]
    assert axes.get_title() == "A study (n=3)"
    (mean,) = (line for line in axes.lines if line.get_label() == "Dense, mean")
    assert mean.get_ydata()[0] == drawn.table.set_index("method").loc["dense", "mean"]


def test_networks_that_collapsed_leave_the_frame_and_are_marked(study):
    drawn = at_init.accuracy_vs_sparsity(study, context())
    axes = drawn.figure.axes[0]
    low = axes.get_ylim()[0]
    shown = drawn.table[drawn.table["method"] != "dense"]
    assert 50 < low < shown.loc[shown["mean"] > 50, "mean"].min()  # random pruning is inside
    (mark,) = marks_of(axes)
    assert mark.get_color() == style.color(STYLES["magnitude"])
    assert labels(drawn.figure)[-1] == "Below the axis: 1 point, values in the CSV"
    whole = at_init.accuracy_vs_sparsity(study, context({"at_init_ylim": [0, 100]}))
    assert whole.figure.axes[0].get_ylim() == (0, 100)
    assert not marks_of(whole.figure.axes[0])
    cut = at_init.accuracy_vs_sparsity(study, context({"at_init_ylim": [88, 94]}))
    check(cut)
    means = shown["mean"]
    told = f"Below the axis: {(means < 88).sum()} points, values in the CSV"
    assert labels(cut.figure)[-1] == told


def test_one_replicate_has_no_bars():
    table = pd.DataFrame(study_rows(seeds=1))
    drawn = at_init.accuracy_vs_sparsity(table, context())
    assert drawn.table["std"].isna().all()
    assert not any(bars(drawn.figure.axes[0]).values())
    assert drawn.figure.axes[0].get_title() == "A study (n=1)"
    for draw in (at_init.ablations, at_init.improved, at_init.when, at_init.effective):
        assert draw(table, context()).table["std"].isna().all()


def test_a_method_of_ones_own_has_a_look_of_its_own(study):
    own = study[study["method"] == "snip"].assign(method="gorgon")
    later = own[own["pruned_at"] == 5].assign(method="hydra")
    table = pd.concat([study, own, later])
    found = lines(at_init.accuracy_vs_sparsity(table, context()).figure.axes[0])
    known = {style.color(look) for look in STYLES.values()}
    markers = {look.marker for look in STYLES.values()}
    for label in ("Gorgon", "Hydra (at epoch 5)"):
        assert found[label].get_color() not in known
        assert found[label].get_marker() not in markers
    assert found["Gorgon"].get_color() != found["Hydra (at epoch 5)"].get_color()
    assert list(found)[-2:] == ["Gorgon", "Hydra (at epoch 5)"]
    few = at_init.accuracy_vs_sparsity(table, context(methods=["gorgon", "snip"]))
    assert list(lines(few.figure.axes[0])) == ["SNIP", "Gorgon"]


def test_every_look_is_told_apart():
    looks = [*STYLES.values(), *style.VARIANTS.values()]
    for group in (STYLES, style.VARIANTS):
        assert len({look.marker for look in group.values()}) == len(group)
    colors = {style.color(look) for look in looks}
    assert len(colors) == len(looks)  # a variant never looks like a method


def test_studies_stand_in_the_order_of_their_titles(study):
    both = pd.concat([study, study.assign(study="other")])
    given = context(titles={"other": "Other", "s": "First"})
    drawn = at_init.accuracy_vs_sparsity(both, given)
    assert titles(drawn.figure) == ["Other (n=3)", "First (n=3)"]


# -- ablations and improved methods ----------------------------------------------------------------


def test_ablations_have_a_panel_per_method_that_was_changed(study):
    drawn = at_init.ablations(study, context())
    named = [title.split("\n")[1] for title in titles(drawn.figure)]
    assert named == [
        "Magnitude (n=3)", "SNIP (n=3)", "GraSP (n=3)", "SynFlow (n=3)", "Lottery ticket (n=3)",
        "Magnitude after training (n=3)", "GraSP, absolute (n=3)",
    ]  # fmt: skip
    found = lines(drawn.figure.axes[1])
    assert list(found) == [
        "Unmodified", "Shuffled layerwise", "Reinitialized", "Inverted"
    ]  # fmt: skip
    (random,) = (x for x in drawn.figure.axes[1].lines if x.get_label() == "Random")
    snip = drawn.table[drawn.table["method"] == "snip"].set_index(["variant", "density"])
    for variant in VARIANTS:
        label = style.VARIANTS[variant].label
        wanted = snip.loc[[(variant, d) for d in DENSITIES], "mean"]
        assert np.allclose(found[label].get_ydata(), wanted)
    assert random.get_linewidth() < found["Inverted"].get_linewidth()
    random = drawn.table[drawn.table["method"] == "random"]
    assert len(random) == len(DENSITIES)
    assert random["std"].isna().all()  # no bars are drawn
    assert not set(drawn.table["method"]) & {"snip_with_norm_scales", "synflow_without_masks"}
    ends = {axes.get_ylim() for axes in drawn.figure.axes}
    assert len(ends) == 1
    assert [len(set(x)) for x in zip(*map(place, drawn.figure.axes), strict=True)] == [3, 3]
    some = at_init.ablations(study, context(methods=["synflow", "snip", "random"]))
    named = [title.split("\n")[1] for title in titles(some.figure)]
    assert named == ["SynFlow (n=3)", "SNIP (n=3)"]
    assert "Random" in labels(some.figure)


def test_published_accuracies_lie_over_ablations_thin_and_dashed(study):
    drawn = at_init.ablations(study, context({"at_init_published": "comp6258"}))
    published = drawn.table[drawn.table["source"] == "comp6258"]
    assert len(published) == 4 * 4 * 4 - 1  # one was reported and is not what it says
    assert set(published["network"]) == {"vgg16"}
    grasp = published[(published["method"] == "grasp") & (published["variant"] == "inverted")]
    assert grasp.sort_values("density")["mean"].tolist() == [85.13, 88.65, 90.59, 90.55]
    axes = drawn.figure.axes[2]
    dashed = [x for x in axes.lines if x.get_linestyle() == "--" and len(x.get_xdata()) == 4]
    assert len(dashed) == 4
    assert all(line.get_linewidth() < 1 for line in dashed)
    assert [85.13, 88.65, 90.59, 90.55] in [line.get_ydata().tolist() for line in dashed]
    assert "VGG-16, CIFAR-10, published (COMP6258 reproduction)" in labels(drawn.figure)
    mild = study[study["density"] >= 0.1]
    near = at_init.ablations(mild, context({"at_init_published": "comp6258"})).table
    assert near.loc[near["source"] == "comp6258", "density"].min() == 0.1
    with pytest.raises(PruningError, match="Known: comp6258, synflow_repository"):
        at_init.ablations(study, context({"at_init_published": "renda2020"}))


def test_published_accuracies_lie_over_all_methods_in_their_colours(study):
    drawn = at_init.accuracy_vs_sparsity(
        study, context({"at_init_published": "synflow_repository:vgg16:cifar10"})
    )
    published = drawn.table[drawn.table["source"] == "synflow_repository"]
    assert set(published["variant"]) == {"unmodified"}
    assert set(published["method"]) == {"random", "magnitude", "snip", "grasp", "synflow"}
    axes = drawn.figure.axes[0]
    for method, rows in published.groupby("method"):
        values = rows.sort_values("density")["mean"].tolist()
        (line,) = [x for x in axes.lines if list(x.get_ydata()) == values]
        assert line.get_linestyle() == "--"
        assert line.get_color() == style.color(STYLES[method])
    assert "VGG-16, CIFAR-10, published (SynFlow repository)" in labels(drawn.figure)


def test_improved_methods_stand_beside_their_originals(study):
    drawn = at_init.improved(study, context())
    assert titles(drawn.figure) == [
        "A study, GraSP (n=3)", "A study, SynFlow (n=3)"
    ]  # fmt: skip
    grasp, synflow = map(lines, drawn.figure.axes)
    assert list(grasp) == ["GraSP", "GraSP, absolute"]
    assert list(synflow) == ["SynFlow", "SynFlow, shuffled"]
    for axes in drawn.figure.axes:
        assert {"Magnitude", "Random"} < set(named(axes))  # thin, without bars
    assert len({axes.get_ylim() for axes in drawn.figure.axes}) == 1
    wanted = drawn.table[(drawn.table["method"] == "synflow")].set_index(["variant", "density"])
    shuffled = wanted.loc["shuffled"].loc[list(DENSITIES), "mean"]
    assert np.allclose(synflow["SynFlow, shuffled"].get_ydata(), shuffled)
    assert synflow["SynFlow, shuffled"].get_linestyle() != "-"
    only = at_init.improved(study[study["method"] != "grasp_abs"], context())
    assert titles(only.figure) == ["A study, SynFlow (n=3)"]


# -- pruning later ---------------------------------------------------------------------------------


def test_accuracy_against_the_epoch_at_which_weights_were_scored(study):
    drawn = at_init.when(study, context())
    (axes,) = drawn.figure.axes
    assert axes.get_title() == "A study, 90 % (n=3)"
    found = lines(axes)
    assert list(found) == [
        "Magnitude", "Magnitude, shuffled", "Magnitude, reinitialized", "SNIP", "GraSP",
        "GraSP, absolute", "SynFlow", "Random",
    ]  # fmt: skip
    assert found["SNIP"].get_xdata() == pytest.approx([0, 1, 2, 5, 10, 15], abs=0.5)
    snip = drawn.table[drawn.table["method"] == "snip"].set_index("pruned_at")
    wanted = np.mean([100 * accuracy("snip", "unmodified", 0.1, seed, 5.0) for seed in range(3)])
    assert snip.loc[5, "mean"] == pytest.approx(wanted)
    levels = {x.get_label(): x.get_ydata()[0] for x in axes.lines if len(x.get_xdata()) == 2}
    assert set(levels) == {"Dense, mean", "Lottery ticket", "Magnitude after training"}
    assert 15 < axes.get_xlim()[1] < 16  # where the points end, not the training
    ticket = drawn.table[drawn.table["method"] == "lottery_ticket"].iloc[0]
    assert levels["Lottery ticket"] == ticket["mean"]
    assert np.isnan(ticket["std"])
    assert set(drawn.table["density"]) == {0.1, 1.0}


# -- masks -----------------------------------------------------------------------------------------


def test_effective_weights_in_percent_of_the_kept_ones():
    table = pd.DataFrame(
        [
            dense(0.9),
            row("snip", "unmodified", 1, 0.5, 0.9, seed=0, effective_density=0.5),
            row("snip", "unmodified", 1, 0.5, 0.9, seed=1, effective_density=0.4),
            row("snip", "unmodified", 2, 0.1, 0.9, effective_density=0.0, collapsed_layers=3),
            row("snip", "shuffled", 1, 0.5, 0.9, effective_density=0.1),
            row("snip_with_norm_scales", "unmodified", 1, 0.5, 0.9, effective_density=0.1),
        ]
    )
    drawn = at_init.effective(table, context())
    assert drawn.table["mean"].tolist() == [90, 0]
    assert drawn.table["std"].tolist()[0] == pytest.approx(100 * np.std([1, 0.8], ddof=1))
    assert drawn.table["collapsed"].tolist() == [0, 1]
    hollow = [x for x in drawn.figure.axes[0].lines if x.get_markerfacecolor() == "white"]
    assert [list(x.get_ydata()) for x in hollow if len(x.get_ydata())] == [[0]]
    assert "A layer is empty" in labels(drawn.figure)


def test_kept_weights_of_each_layer(layers):
    drawn = at_init_masks.layers(layers, context())
    assert titles(drawn.figure) == ["A study, 90 % (n=3)", "A study, 99.8 % (n=3)"]
    assert set(drawn.table["method"]) == set(METHODS)
    assert set(drawn.table["variant"]) == {"unmodified"}
    table = drawn.table.set_index(["method", "level", "layer"])
    mine = layers[(layers["method"] == "snip") & (layers["variant"] == "unmodified")]
    mine = mine[(mine["level"] == 3) & (mine["layer"] == "conv2")]
    wanted = (100 * mine["kept"] / mine["prunable"]).mean()
    assert table.loc[("snip", 3, "conv2"), "mean"] == pytest.approx(wanted)
    assert table.loc[("magnitude", 5, "conv4"), ["mean", "empty"]].tolist() == [0, 3]
    first, last = drawn.figure.axes
    assert [t.get_text() for t in first.get_xticklabels()] == list(LAYERS)
    for panel in (first, last):  # they are compared, so the axis is the same
        assert panel.get_yticklabels()[0].get_text() == "empty"
        assert panel.get_ylim() == last.get_ylim()
    assert last.get_ylim()[1] < 120  # there is no share above 100 %
    bottom = last.get_ylim()[0]
    at_edge = [x for x in last.lines if len(x.get_ydata()) and min(x.get_ydata()) == bottom]
    assert [len(x.get_xdata()) for x in at_edge] == [2]
    chosen = at_init_masks.layers(layers, context({"at_init_levels": [2]}, levels=[1]))
    assert titles(chosen.figure) == ["A study, 60 % (n=3)"]
    chosen = at_init_masks.layers(layers, context(levels=[1]))
    assert titles(chosen.figure) == ["A study, 30 % (n=3)"]


def test_many_layers_are_numbered(layers):
    copies = [
        layers.assign(position=layers["position"] + 5 * i, layer=layers["layer"] + f"_{i}.weight")
        for i in range(5)
    ]
    figure = at_init_masks.layers(pd.concat(copies), context()).figure
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()][:3] == ["1", "3", "5"]


def test_channels_at_least_as_sparse():
    key = {"study": "s", "network": "n", "dataset": "d", "method": "snip", "pruned_at": 0.0,
           "level": 1, "density": 0.1}  # fmt: skip
    rows = [
        (0, "unmodified", 0.25, 1), (0, "unmodified", 0.93, 2), (0, "unmodified", 1.0, 1),
        (1, "unmodified", 0.93, 4), (0, "shuffled", 0.9, 4), (0, "inverted", 0.9, 4),
    ]  # fmt: skip
    table = pd.DataFrame(
        [
            key | {"seed": seed, "variant": variant, "sparsity": sparsity, "channels": count}
            for seed, variant, sparsity, count in rows
        ]
    )
    drawn = at_init_masks.neurons(table, context())
    share = drawn.table.set_index(["variant", "channel_sparsity"])["mean"]
    assert share["unmodified"].loc[[0, 25, 26, 93, 94, 100]].tolist() == [
        100, 100, 87.5, 87.5, 12.5, 12.5
    ]  # fmt: skip
    assert share["shuffled"].loc[[0, 90, 91, 100]].tolist() == [100, 100, 0, 0]
    assert len(share) == 2 * 101
    solid, dashed = drawn.figure.axes[0].lines
    assert np.allclose(solid.get_ydata(), share["unmodified"])
    assert dashed.get_linestyle() != "-"
    assert labels(drawn.figure) == ["Unmodified", "Shuffled layerwise"]
    assert titles(drawn.figure) == ["A study\nSNIP, 90 % (n=1-2)"]
    (between,) = drawn.figure.axes[0].collections
    assert between.get_datalim(drawn.figure.axes[0].transData).height == pytest.approx(100)


def test_channels_of_a_whole_study(channels):
    drawn = at_init_masks.neurons(channels, context())
    wanted = [f"A study\n{STYLES[m].label}, 90 % (n=3)" for m in STYLES if m in METHODS]
    assert [title.replace("%\n", "% ") for title in titles(drawn.figure)] == wanted
    assert set(drawn.table["density"]) == {0.1}
    assert len(drawn.table) == len(METHODS) * 2 * 101


# -- what a reproduction got wrong -----------------------------------------------------------------


def test_the_faults_of_a_reproduction(study, layers):
    tables = {"at_init_layers": layers}
    drawn = at_init_errors.reproduction_errors(study, context(tables=tables))
    names = [panel.title.format(score="accuracy") for panel in at_init_errors.PANELS]
    assert titles(drawn.figure) == [f"A study (n=3)\n{name}" for name in names]
    assert max(place(axes)[1] for axes in drawn.figure.axes) == 2
    panels = dict(list(drawn.table.groupby("panel")))
    scales, inverted, grasp, removed, synflow = (panels[name] for name in names)
    kept = scales.set_index(["method", "variant", "density"])["mean"]
    assert kept["snip_with_norm_scales", "unmodified", 0.1] == pytest.approx(99)
    assert kept["snip_with_norm_scales", "inverted", 0.1] == pytest.approx(0.2)
    assert set(inverted["method"]) == {
        "dense", "magnitude", "magnitude_with_norm_scales", "snip", "snip_with_norm_scales",
        "grasp", "grasp_with_norm_scales",
    }  # fmt: skip
    assert set(inverted["variant"]) == {"", "inverted"}
    assert set(grasp["method"]) == {"dense", "grasp", "grasp_with_norm_scales"}
    gone = removed.set_index(["method", "density"])["mean"]
    assert gone["synflow", 0.02] == pytest.approx(98)
    assert gone["synflow_without_masks", 0.02] == 0
    assert set(synflow["method"]) == {"dense", "synflow", "synflow_without_masks"}
    guessing = [x for x in drawn.figure.axes[1].lines if x.get_label() == "Guessing"]
    assert guessing[0].get_ydata()[0] == 10
    assert set(labels(drawn.figure)) == {
        "Magnitude", "SNIP", "GraSP", "SynFlow", "Without the fault", "With the fault",
        "Kept by inverted masks", "As many as asked for", "Guessing", "Dense, mean",
        "Dense, one standard deviation",
    }  # fmt: skip
    hundred = at_init_errors.reproduction_errors(study, context({"classes": 100}, tables=tables))
    guessing = [x for x in hundred.figure.axes[1].lines if x.get_label() == "Guessing"]
    assert guessing[0].get_ydata()[0] == 1


def test_faults_that_were_not_made_have_no_panel(study, layers):
    only = study[~study["method"].str.endswith("_with_norm_scales")]
    kernels = layers[layers["kind"] == "kernel"]
    given = context(tables={"at_init_layers": kernels})
    drawn = at_init_errors.reproduction_errors(only, given)
    shown = [title.split("\n")[-1] for title in titles(drawn.figure)]
    assert shown == ["SynFlow, weights removed", "SynFlow, accuracy"]


# -- what holds for every figure -------------------------------------------------------------------

DRAW = {
    "accuracy": at_init.accuracy_vs_sparsity,
    "ablations": at_init.ablations,
    "improved": at_init.improved,
    "when": at_init.when,
    "effective": at_init.effective,
    "layers": at_init_masks.layers,
    "neurons": at_init_masks.neurons,
    "errors": at_init_errors.reproduction_errors,
}


def tables_of(studies, seeds):
    made = {name: [] for name in ("study", "layers", "channels")}
    for name in studies:
        made["study"] += study_rows(name, seeds)
        made["layers"] += layer_rows(name, seeds)
        made["channels"] += channel_rows(name, seeds)
    return {name: pd.DataFrame(rows) for name, rows in made.items()}


@pytest.mark.parametrize("case", [(("s",), 3), (("s", "t"), 1)], ids=["one", "two"])
def test_every_figure_is_what_all_must_be(case):
    made = tables_of(*case)
    given = context(
        {"at_init_published": "comp6258"},
        titles={"s": "A study", "t": "Small CNN, CIFAR-10 (JPEG) at 16x16"},
        tables={"at_init_layers": made["layers"]},
    )
    for name, draw in DRAW.items():
        check(draw(made.get({"neurons": "channels"}.get(name, name), made["study"]), given))


def test_many_studies_are_pages_of_parts(study, channels):
    names = [f"s{i}" for i in range(6)]
    many = {name: f"Network {name}, data" for name in names}
    for draw, table, parts in (
        (at_init.ablations, study, 5),
        (at_init_masks.neurons, channels, 5),
    ):
        copies = pd.concat([table.assign(study=name) for name in names])
        drawn = draw(copies[copies["seed"] < 2], context(titles=many))
        assert len(drawn.pages.figures) == parts
        check(drawn)


def test_what_is_wrong_with_a_figure_is_seen(study):
    drawn = at_init.accuracy_vs_sparsity(study, context())
    drawn.figure.axes[0].set_ylim(90, 94)  # cut, without marks
    with pytest.raises(AssertionError):
        check(drawn)
    drawn = at_init.accuracy_vs_sparsity(study, context())
    drawn.figure.legends[0].get_texts()[0].set_text("Another")  # an entry is not there
    with pytest.raises(AssertionError):
        check(drawn)
    drawn = at_init.accuracy_vs_sparsity(study, context())
    drawn.figure.axes[0].xaxis.label.set_fontsize(6)
    with pytest.raises(AssertionError):
        check(drawn)


# -- nothing to show -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "draw",
    [at_init.accuracy_vs_sparsity, at_init.ablations, at_init.improved, at_init.when,
     at_init.effective],
)  # fmt: skip
def test_nothing_pruned_at_initialization_is_said(draw, study):
    others = study[study["method"] == "dense"]
    with pytest.raises(PruningError, match="s: no networks were pruned at initialization"):
        draw(others, context())


def test_what_is_missing_is_said(study, layers, channels):
    plain = study[
        study["variant"].isin(["unmodified"]) & (study["pruned_at"] == 0)
        | (study["method"] == "dense")
    ]
    plain = plain[~plain["method"].str.contains("_with|abs")]
    with pytest.raises(PruningError, match="no method has a shuffled, reinitialized or inverted"):
        at_init.ablations(plain, context())
    with pytest.raises(PruningError, match="neither GraSP .* nor SynFlow"):
        at_init.improved(plain, context())
    with pytest.raises(PruningError, match="no method was applied at several times"):
        at_init.when(plain, context())
    with pytest.raises(PruningError, match="no effective density was measured"):
        at_init.effective(plain.assign(effective_density=np.nan), context())
    with pytest.raises(PruningError, match="no method that this figure shows has unmodified"):
        at_init.accuracy_vs_sparsity(plain, context(methods=["hydra"]))
    with pytest.raises(PruningError, match="no method that ranks norm scales"):
        sound = plain[plain["method"] != "synflow_without_masks"]
        given = context(tables={"at_init_layers": layers})
        at_init_errors.reproduction_errors(sound, given)
    for draw, table in ((at_init_masks.layers, layers), (at_init_masks.neurons, channels)):
        with pytest.raises(PruningError, match="there are no masks made at initialization"):
            draw(table.iloc[:0], context())
        with pytest.raises(PruningError, match="no method that this figure shows"):
            draw(table, context(methods=["hydra"]))


def test_a_study_without_dense_networks_is_drawn(study):
    sparse = study[study["method"] != "dense"]
    drawn = at_init.accuracy_vs_sparsity(sparse, context())
    assert not [label for label in labels(drawn.figure) if label.startswith("Dense")]
    assert titles(drawn.figure) == ["A study (n=3)"]


def test_the_same_data_give_the_same_bytes(study, layers, channels, tmp_path):
    given = context(tables={"at_init_layers": layers})
    for draw, table in (
        (at_init.ablations, study),
        (at_init_masks.layers, layers),
        (at_init_masks.neurons, channels),
        (at_init_errors.reproduction_errors, study),
    ):
        written = []
        for name in "ab":
            style.use()
            pdf, png = tmp_path / f"{name}.pdf", tmp_path / f"{name}.png"
            pages.save(draw(table, given).pages, pdf, png)
            written.append(pdf.read_bytes() + png.read_bytes())
        assert written[0] == written[1]
