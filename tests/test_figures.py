import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from pruning.analysis.cells import best_validated, cells
from pruning.analysis.tidy import COLUMNS, collect, read_table, write_table
from pruning.errors import PruningError
from pruning.figures import pages, style
from pruning.figures.catalog import entry, figures_of
from pruning.figures.context import Drawn
from pruning.files import write_json
from pruning.stages.figure import figure
from pruning.study.study import find_study
from pruning.systems import joined
from pruning.systems.rewinding.catalog import IN_LITERATURE, LITERATURE
from pruning.systems.rewinding.rules import RULES
from pruning.systems.rewinding.styles import STYLES
from tests.conftest import REPOSITORY, SCHEMAS
from tests.figure_checks import check, marks_of

SCHEMA = SCHEMAS / "study.schema.yaml"


def row(seed, method, level, density, test, validation=0.5, time=10.0, study="s"):
    cell = {
        "study": study,
        "network": "mlp",
        "dataset": "digits",
        "seed": seed,
        "method": method,
        "variant": "iterative" if level else "",
        "level": level,
        "density": density,
        "retrain_time": time if level else None,
        "mask_density": density,
        "training_time": 20.0,
        "macs": 1000 * density,
        "training_steps": 100,
        "training_macs": 1,
        "seconds": 1.0,
    }
    for split, value in (("test", test), ("validation", validation)):
        yield cell | {"split": split, "metric": "accuracy", "value": value}
        yield cell | {"split": split, "metric": "loss", "value": 99.0}


def table(*cells):
    return pd.DataFrame([r for cell in cells for r in row(*cell)], columns=list(COLUMNS))


def test_numbers_against_hand_computed_ones():
    tidy = table(
        (0, "dense", 0, 1.0, 0.90),
        (1, "dense", 0, 1.0, 0.92),
        (2, "dense", 0, 1.0, 0.97),  # mean 0.93
        (0, "fine_tune", 1, 0.5, 0.91),
        (1, "fine_tune", 1, 0.5, 0.90),
        (2, "fine_tune", 1, 0.5, 0.80),
    )
    drawn = best_validated(cells(tidy)).set_index("method")
    assert drawn.loc["fine_tune", ["median", "min", "max"]].tolist() == pytest.approx(
        [-3.0, -13.0, -2.0]
    )
    assert drawn.loc["dense", ["median", "min", "max"]].tolist() == pytest.approx([-1, -3, 4])
    assert drawn["n"].tolist() == [3, 3]
    assert drawn.loc["fine_tune", "compression_ratio"] == 2


def test_retrain_time_is_chosen_by_validation_alone_and_ties_go_to_the_shortest():
    tidy = table(
        (0, "dense", 0, 1.0, 0.9),
        (0, "lr_rewind", 1, 0.5, 0.99, 0.70, 5.0),  # best test, worse validation
        (0, "lr_rewind", 1, 0.5, 0.80, 0.80, 10.0),
        (0, "lr_rewind", 1, 0.5, 0.85, 0.80, 20.0),
    )
    drawn = best_validated(cells(tidy)).set_index("method").loc["lr_rewind"]
    assert drawn["retrain_time"] == 10
    assert drawn["median"] == pytest.approx(-10)


def test_studies_are_compared_with_their_own_dense_networks():
    tidy = table(
        (0, "dense", 0, 1.0, 0.9, 0.5, 1.0, "a"),
        (0, "dense", 0, 1.0, 0.5, 0.5, 1.0, "b"),
        (0, "fine_tune", 1, 0.5, 0.6, 0.5, 1.0, "b"),
        (0, "fine_tune", 1, 0.5, 0.6, 0.5, 1.0, "a"),
    )
    drawn = best_validated(cells(tidy))
    change = drawn[drawn.method == "fine_tune"].set_index("study")["median"]
    assert change.to_dict() == pytest.approx({"a": -30, "b": 10})


def test_collect_reads_summaries(tmp_path):
    for name, extra in (
        ("dense", {}),
        ("cell", {"method": "lr_rewind", "variant": "one_shot", "level": 2, "density": 0.25,
                  "retrain_time": 3.0}),
    ):  # fmt: skip
        write_json(
            tmp_path / name / "summary.json",
            {
                "network": "mlp",
                "data": {"dataset": "digits"},
                "seed": 4,
                "training_steps": 7,
                "training_macs": 77,
                "training_time": 9.0,
                "macs": 11,
                "scores": {"test": {"accuracy": 0.5, "loss": 1.0}},
                **extra,
            },
        )
        write_json(tmp_path / name / "timing.json", {"seconds": 2.5})
    write_json(tmp_path / "report.json", {"effective_density": 0.2, "collapsed_layers": 1})
    tidy = collect("s", [(tmp_path / "dense", None), (tmp_path / "cell", tmp_path / "report.json")])
    assert tuple(tidy.columns) == COLUMNS
    assert tidy["method"].tolist() == ["dense", "dense", "lr_rewind", "lr_rewind"]
    assert tidy["value"].tolist() == [0.5, 1.0, 0.5, 1.0]
    assert tidy["density"].tolist() == [1.0, 1.0, 0.25, 0.25]
    assert tidy["effective_density"].tolist() == [1.0, 1.0, 0.2, 0.2]
    assert tidy["collapsed_layers"].tolist() == [0, 0, 1, 1]
    with pytest.raises(PruningError, match=r"summary\.json does not exist"):
        collect("s", [(tmp_path / "nothing", None)])
    with pytest.raises(PruningError, match=r"other\.json does not exist"):
        collect("s", [(tmp_path / "cell", tmp_path / "other.json")])


@pytest.fixture
def tidy_file(tmp_path):
    random = np.random.default_rng(0)
    cells = [(s, "dense", 0, 1.0, 0.9 + 0.01 * s) for s in range(3)]
    for method in RULES:
        for level in range(1, 11):
            cells += [(s, method, level, 0.8**level, 0.9 - random.random() / 20) for s in range(3)]
    write_table(table(*cells), tmp_path / "tidy.csv")
    return tmp_path / "tidy.csv"


def draw(tables, folder, name="rewind_vs_finetune", titles=None, options=None):
    paths = {kind: folder / f"figure.{kind}" for kind in ("pdf", "png", "csv")}
    figure(
        {"rewinding": tables},
        draw=entry(name).draw,
        settings=entry(name).settings,
        titles=titles or {"s": "A study"},
        options=options or {},
        **paths,
    )
    return paths


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Draw a figure without writing it: the figure, and the CSV of what it shows."""

    def do(tables, name="rewind_vs_finetune", **more):
        kept = {}
        monkeypatch.setattr(pages, "save", lambda drawn, pdf, png: kept.update(pages=drawn))
        monkeypatch.chdir(REPOSITORY)  # resources/published
        csv = draw(tables, tmp_path, name, **more)["csv"]
        table = pd.read_csv(csv)
        found = Drawn(kept["pages"], table)
        check(found)
        return found.figure, table

    return do


def test_the_figure_and_its_csv_repeat_byte_for_byte(tidy_file, tmp_path):
    first = {k: p.read_bytes() for k, p in draw([tidy_file], tmp_path / "1").items()}
    again = {k: p.read_bytes() for k, p in draw([tidy_file], tmp_path / "2").items()}
    assert first == again
    assert first["pdf"].startswith(b"%PDF")
    assert first["png"].startswith(b"\x89PNG")


def test_the_csv_holds_what_the_figure_draws(tidy_file, drawn):
    figure, csv = drawn([tidy_file])
    assert {"study", "method", "level", "density", "compression_ratio", "median", "min", "max",
            "n"} <= set(csv)  # fmt: skip
    panel = figure.axes[0]
    assert panel.get_xscale() == "log"
    containers = {c.get_label(): c for c in panel.containers}
    assert len(containers) == len(RULES)
    for method in RULES:
        line, _, (bars,) = containers[STYLES[method].label]
        cells = csv[csv["method"] == method].sort_values("level")
        assert np.allclose(line.get_ydata(), cells["median"])
        ends = np.array([segment[:, 1] for segment in bars.get_segments()])
        assert np.allclose(ends, cells[["min", "max"]])
    labels = [t.get_text() for t in panel.get_xticklabels()]
    assert labels[0] == "1.25x"
    assert labels[1] == ""  # there is no room for all
    assert "7.45x" in labels


def test_methods_differ_in_colour_and_marker_and_keep_them():
    looks = list(STYLES.values())
    assert len({look.color for look in looks}) == len({look.marker for look in looks}) == len(looks)
    assert set(RULES) <= set(STYLES)
    stranger = style.method_style("gorgon", ["fine_tune", "gorgon"])
    assert stranger.label == "Gorgon"
    assert stranger.color not in {look.color for look in looks}
    assert style.order(["zeta", "fine_tune", "lr_rewind"]) == ["lr_rewind", "fine_tune", "zeta"]


def test_several_studies_have_a_panel_each_in_the_order_of_their_titles(tidy_file, tmp_path, drawn):
    write_table(pd.read_csv(tidy_file).assign(study="other"), tmp_path / "other.csv")
    figure, _ = drawn([tidy_file, tmp_path / "other.csv"], titles={"other": "Other", "s": "First"})
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["(a) Other, iterative (n=3)", "(b) First, iterative (n=3)"]


def test_tables_that_are_not_tidy_are_named(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(PruningError, match=r"x\.csv lacks the columns study"):
        read_table(tmp_path / "x.csv")
    (tmp_path / "x.csv").write_text("")
    with pytest.raises(PruningError, match=r"x\.csv cannot be read"):
        read_table(tmp_path / "x.csv")


@pytest.fixture
def panel(tidy_file, drawn):
    figure, csv = drawn([tidy_file])
    return figure.axes[0], csv


def test_points_lie_at_their_densities(panel):
    axes, csv = panel
    for c in axes.containers:
        assert np.allclose(
            c[0].get_xdata(), sorted({d for d in csv["density"] if d < 1}, reverse=True), rtol=0.03
        )


def test_the_band_spans_the_dense_networks(panel):
    axes, csv = panel
    dense = csv[csv["method"] == "dense"].iloc[0]
    band = axes.patches[0]
    assert (band.get_y(), band.get_y() + band.get_height()) == pytest.approx(
        (dense["min"], dense["max"])
    )


def lines(axes):
    """Positions and values of everything with a label, by label."""
    curves = {c.get_label(): c[0] for c in axes.containers}
    curves |= {line.get_label(): line for line in axes.lines if line.get_label()[0] != "_"}
    return {n: (list(c.get_xdata()), list(c.get_ydata())) for n, c in curves.items()}


@pytest.fixture
def grid_file(tmp_path):
    """Two levels, four retrain times of T = 20, three methods; one replicate, known numbers."""
    rows = [(0, "dense", 0, 1.0, 0.9)]
    for place, method in enumerate(("lr_rewind", "weight_rewind", "fine_tune", "reinit")):
        for level, density in ((1, 0.5), (2, 0.1)):
            for time in (5.0, 10.0, 18.0, 20.0):
                test = 0.9 - 0.01 * level - 0.001 * place + 0.0001 * time
                rows.append((0, method, level, density, test, 0.5 + time / 100, time))
    write_table(table(*rows), tmp_path / "grid.csv")
    return tmp_path / "grid.csv"


def test_one_fixed_retrain_time_per_method(grid_file, drawn):
    figure, csv = drawn([grid_file], "fixed_retrain_time")
    chosen = csv[csv["method"] != "dense"].groupby("method")["retrain_time"].unique()
    assert {m: list(t) for m, t in chosen.items()} == {
        "fine_tune": [20], "lr_rewind": [20], "weight_rewind": [18]
    }  # fmt: skip
    _, changes = lines(figure.axes[0])["Weight rewinding"]
    assert changes == pytest.approx([-1 - 0.1 + 0.18, -2 - 0.1 + 0.18])


def test_the_proposed_algorithm_stands_beside_the_literature(grid_file, drawn):
    renamed = pd.read_csv(grid_file).assign(network="resnet56")
    write_table(renamed, grid_file)
    _, other_data = drawn([grid_file], "algorithm_vs_literature")
    assert "literature" not in set(other_data["method"])
    write_table(renamed.assign(dataset="cifar10"), grid_file)
    figure, csv = drawn([grid_file], "algorithm_vs_literature")
    points = csv[csv["method"] == "literature"]
    assert sorted(points["density"]) == [0.03, 0.05, 0.1, 0.1497]
    assert points.set_index("density").loc[0.1, "median"] == 0.16
    shown = lines(figure.axes[0])
    theirs = "Carreira-Perpinan & Idelbayev (2018)"
    assert set(shown) == {"Learning-rate rewinding", theirs, "Dense, mean"}


def test_accuracy_against_retrain_time_has_a_panel_per_level_and_the_safe_zone(grid_file, drawn):
    figure, csv = drawn([grid_file], "accuracy_vs_retrain_time")
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["(a) A study\niterative, 2x (n=1)", "(b) A study\niterative, 10x (n=1)"]
    for level, axes in enumerate(figure.axes, start=1):
        band = axes.patches[0]
        assert (band.get_x(), band.get_x() + band.get_width()) == pytest.approx((5, 18))
        times, changes = lines(axes)["Fine-tuning"]
        assert times == pytest.approx([5, 10, 18, 20], abs=0.3)
        expected = [-level - 0.2 + 0.01 * t for t in (5, 10, 18, 20)]
        assert changes == pytest.approx(expected, abs=1e-5)
    assert len(csv) == 32
    core, _ = drawn([grid_file], "accuracy_vs_retrain_time_core")
    assert "Reinitialization" not in lines(core.axes[0])
    only, _ = drawn([grid_file], "accuracy_vs_retrain_time", options={"s": {"retrain_levels": [2]}})
    assert len(only.axes) == 1


def test_speed_ups_and_costs_relative_to_fine_tuning(tmp_path, drawn):
    tidy = table(
        *((s, "dense", 0, 1.0, 0.9) for s in range(3)),
        *((s, m, 1, 0.5, 0.9) for s in range(3) for m in ("lr_rewind", "fine_tune")),
    )
    cost = {"dense": [1000] * 3, "lr_rewind": [400, 500, 250], "fine_tune": [600, 600, 500]}
    tidy["macs"] = [cost[m][s] for m, s in zip(tidy["method"], tidy["seed"], strict=True)]
    write_table(tidy, tmp_path / "t.csv")
    figure, csv = drawn([tmp_path / "t.csv"], "speedup")
    row = csv.set_index("method").loc["lr_rewind"]
    assert row["speedup"] == 2.5
    assert row["n"] == 3
    assert (row["speedup_min"], row["speedup_max"]) == (2, 4)
    assert row["relative_to_fine_tune"] == 1.5
    assert lines(figure.axes[0])["Learning-rate rewinding"][1] == [2.5]
    assert lines(figure.axes[1])["Learning-rate rewinding"][1] == [1.5]


def test_published_medians_lie_over_a_study_thin_and_dashed(tidy_file, drawn):
    figure, csv = drawn([tidy_file], options={"s": {"published": "renda2020:resnet56"}})
    published = csv[csv["source"] == "renda2020:resnet56"].set_index(["method", "level"])
    # Reference, section 6b: best validated, iterative, 3.05x (LR / weight / fine-tuning).
    at = [published.loc[(m, 5), "median"] for m in ("lr_rewind", "weight_rewind", "fine_tune")]
    assert at == pytest.approx([0.42, 0.26, -0.55], abs=0.006)
    axes = figure.axes[0]
    dashed = [x for x in axes.lines if x.get_linestyle() == "--" and len(x.get_xdata()) > 2]
    own = lines(axes)["Fine-tuning"][1]
    assert len(dashed) == 4
    assert all(line.get_linewidth() < 1 for line in dashed)
    assert not any(np.array_equal(line.get_ydata(), own) for line in dashed)
    labels = axes.get_legend_handles_labels()[1]
    assert "ResNet-56, published (Renda et al. 2020)" in labels
    with pytest.raises(PruningError, match="'resnet55'. Did you mean 'resnet56'"):
        drawn([tidy_file], options={"s": {"published": "renda2020:resnet55"}})


def test_published_retrain_times_are_shown_at_their_fraction_of_t(grid_file, drawn):
    changed = pd.read_csv(grid_file)
    changed["density"] = changed["density"].replace({0.5: 0.512, 0.1: 0.107374})
    write_table(changed, grid_file)
    _, csv = drawn(
        [grid_file],
        "accuracy_vs_retrain_time",
        options={"s": {"published": "renda2020:resnet56"}},
    )
    published = csv[(csv["source"] != "study") & (csv["method"] == "lr_rewind")]
    assert sorted(published["level"].unique()) == [3, 10]
    assert published["retrain_time"].max() == pytest.approx(20)
    assert published["retrain_time"].min() == pytest.approx(20 * 10 / 182)


def at_init_figures(study, *methods, epochs=None):
    """The figures of a study that prunes at initialization by these methods and epochs only."""
    cells = tuple(
        cell
        for cell in study.part("at_init").cells
        if cell.method in methods and (epochs is None or cell.epoch in epochs)
    )
    at_init = dataclasses.replace(study.part("at_init"), cells=cells)
    names = figures_of(dataclasses.replace(study, parts={"at_init": at_init}))
    return [name.removeprefix("at_init_") for name in names]


def without(study, section):
    parts = {name: part for name, part in study.parts.items() if name != section}
    return dataclasses.replace(study, parts=parts)


def test_figures_are_listed_for_the_studies_that_have_them():
    digits = find_study("digits", REPOSITORY / "config" / "studies", SCHEMA)
    names = figures_of(digits)
    assert "rewind_vs_finetune" in names
    assert "speedup" in names
    assert "rewind_vs_finetune_structured" not in names
    assert set(names) < set(joined("figures"))
    assert {"at_init_accuracy", "at_init_ablations", "at_init_when"} < set(names)
    assert "at_init_reproduction_errors" not in names
    assert {"gsm_accuracy", "gsm_momentum", "gsm_reselection", "gsm_tickets"} < set(names)
    no_ablations = dataclasses.replace(digits.part("gsm"), ablations={}, sensitivity=())
    only_gsm = dataclasses.replace(digits, parts={"gsm": no_ablations})
    assert figures_of(only_gsm) == [
        "gsm_passive_decay", "gsm_accuracy", "gsm_tickets", "gsm_magnitudes"
    ]  # fmt: skip
    digits = without(digits, "gsm")
    at_init = digits.part("at_init")
    at_once = dataclasses.replace(at_init, cells=tuple(c for c in at_init.cells if not c.epoch))
    few = figures_of(dataclasses.replace(digits, parts={"at_init": at_once}))
    assert "at_init_accuracy" in few
    assert "at_init_when" not in few
    assert at_init_figures(digits, "grasp_abs") == ["accuracy", "layers", "neurons", "effective"]
    both = at_init_figures(digits, "grasp", "grasp_abs")
    assert both == ["accuracy", "ablations", "improved", "layers", "neurons", "when", "effective"]
    assert "improved" in at_init_figures(digits, "synflow")
    assert at_init_figures(digits, "grasp", epochs=(2,)) == [
        "accuracy", "layers", "neurons", "effective"
    ]  # fmt: skip
    digits = without(digits, "at_init")
    rewinding = digits.part("rewinding")
    mode = dataclasses.replace(rewinding.modes["iterative"], times={"reinit": (20,)})
    other = dataclasses.replace(rewinding, modes={"iterative": mode})
    assert figures_of(dataclasses.replace(digits, parts={"rewinding": other})) == [
        "rewind_vs_finetune"
    ]  # fmt: skip
    assert figures_of(dataclasses.replace(digits, parts={})) == []
    with pytest.raises(PruningError, match="Unknown figure 'speedups'. Did you mean 'speedup'"):
        entry("speedups")


def test_an_axis_can_be_cut_and_its_ends_given(tidy_file, drawn):
    options = {"s": {"xlim": 3.05, "ylim": [-6, 2]}}
    figure, csv = drawn([tidy_file], options=options)
    assert csv["compression_ratio"].max() == pytest.approx(1 / 0.8**5)
    assert figure.axes[0].get_ylim() == (-6, 2)
    below, csv = drawn([tidy_file], options={"s": {"xlim": 1.01}})  # leaves nothing: not cut
    assert csv["level"].max() == 10
    low, high = below.axes[0].get_ylim()
    assert low < csv["min"].min() < csv["max"].max() < high


def test_replicates_without_a_cost_do_not_count_in_speed_ups(tmp_path, drawn):
    tidy = table(
        (0, "dense", 0, 1.0, 0.9), *((s, "lr_rewind", 1, 0.5, 0.9) for s in range(3))
    )  # fmt: skip
    tidy.loc[tidy["seed"] == 2, "macs"] = np.nan
    write_table(tidy, tmp_path / "t.csv")
    _, csv = drawn([tmp_path / "t.csv"], "speedup")
    assert csv["n"].tolist() == [2]
    write_table(tidy.assign(macs=np.nan), tmp_path / "t.csv")
    with pytest.raises(PruningError, match="no cells of the methods and modes"):
        drawn([tmp_path / "t.csv"], "speedup")


def test_one_published_level_lies_over_a_panel(tmp_path, drawn):
    """Levels 3 to 5 of ResNet-110's structured A are within half a percent of each other."""
    rows = [(0, "dense", 0, 1.0, 0.9), (0, "lr_rewind", 1, 0.96, 0.9, 0.5, 5.0)]
    tidy = table(*rows)
    tidy.loc[tidy["level"] == 1, "variant"] = "structured_a"
    write_table(tidy, tmp_path / "t.csv")
    options = {"s": {"published": "renda2020:resnet110"}}
    _, csv = drawn([tmp_path / "t.csv"], "accuracy_vs_retrain_time", options=options)
    published = csv[csv["source"] != "study"]
    assert published["level"].unique().tolist() == [3]
    assert len(published) == 10


def test_the_number_of_dense_networks_is_shown_where_it_differs(tmp_path, drawn):
    tidy = table(
        *((s, "dense", 0, 1.0, 0.9) for s in range(5)), (0, "lr_rewind", 1, 0.5, 0.8)
    )  # fmt: skip
    write_table(tidy, tmp_path / "t.csv")
    figure, _ = drawn([tmp_path / "t.csv"])
    assert figure.axes[0].get_title() == "A study\niterative (n=1, dense n=5)"


def test_nothing_to_draw_is_said(tidy_file, drawn):
    with pytest.raises(PruningError, match="nothing of nobody to draw"):
        drawn([tidy_file], titles={"nobody": "Nobody"})


def pixels(text, **more):
    """A text as matplotlib draws it."""
    figure = plt.figure(figsize=(5, 0.6))
    try:
        figure.text(0.02, 0.3, text, **more)
        figure.canvas.draw()
        return np.asarray(figure.canvas.buffer_rgba()).copy()
    finally:
        plt.close(figure)


def test_texts_are_drawn_as_they_are_typed(tidy_file, tmp_path, drawn, monkeypatch):
    typed = [r"a $\frac b$", "x$$y", "price $1 vs $2_a", r"a \$ b $c$ \alpha", "$x^2$", "5 $"]
    monkeypatch.setattr(style, "known", dict)  # all methods are somebody's own
    tidy = pd.read_csv(tidy_file).replace({"lr_rewind": "my_$x$_method"})
    tables, titles = [], {}
    for place, title in enumerate(typed):
        tables.append(tmp_path / f"s{place}.csv")
        write_table(tidy.assign(study=f"s{place}"), tables[-1])
        titles[f"s{place}"] = title
    shown, _ = drawn(tables, titles=titles)
    shown.canvas.draw()
    for panel, title, letter in zip(shown.axes, typed, "abcdef", strict=True):
        told = panel.get_title().replace("\n", " ")  # on as many lines as it needs
        between = ", " if ", iterative" in told else " "
        whole = f"({letter}) {title}{between}iterative (n=3)"
        assert (pixels(told) == pixels(whole, parse_math=False)).all()
        assert (pixels(told) != 255).any()
    (legend,) = shown.legends
    labels = [text.get_text() for text in legend.get_texts()]
    (mine,) = (label for label in labels if label.startswith("My "))
    assert (pixels(mine) == pixels("My $x$ method", parse_math=False)).all()
    assert (pixels(style.variant_look("a$b$").label) == pixels("A$b$", parse_math=False)).all()


# -- nothing misleads ------------------------------------------------------------------------------


def test_a_method_of_ones_own_stays_in_the_frame(tmp_path, drawn):
    rows = [(s, "dense", 0, 1.0, 0.9) for s in range(2)]
    for level, density in ((1, 0.5), (2, 0.1)):
        rows += [(s, "lr_rewind", level, density, 0.9) for s in range(2)]
        rows += [(s, "my_own", level, density, 0.9 - 0.1 * level) for s in range(2)]
    write_table(table(*rows), tmp_path / "t.csv")
    figure, _ = drawn([tmp_path / "t.csv"])
    (panel,) = figure.axes
    assert panel.get_ylim()[0] < -20
    assert not marks_of(panel)


def test_what_is_outside_is_marked_beyond_the_axis_and_counted(tmp_path, drawn):
    rows = [(0, "dense", 0, 1.0, 0.9)]
    for level, density in ((1, 0.5), (2, 0.1)):
        rows += [(0, "lr_rewind", level, density, 0.9), (0, "my_own", level, density, 0.85)]
    rows.append((0, "collapsed", 2, 0.1, 0.1))  # by 80 of 100 points
    write_table(table(*rows), tmp_path / "t.csv")
    figure, csv = drawn([tmp_path / "t.csv"])
    (mark,) = marks_of(figure.axes[0])
    assert figure.axes[0].get_ylim()[0] > -10
    assert mark.get_marker() not in {look.marker for look in style.known().values()}
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "Below the axis: 1 point, values in the CSV" in labels
    assert csv.set_index("method").loc["collapsed", "median"] == pytest.approx(-80)
    asked, _ = drawn([tmp_path / "t.csv"], options={"s": {"ylim": [-90, -1]}})
    sides = sorted(line.get_gid().split("/")[1] for line in marks_of(asked.axes[0]))
    assert sides == ["Above the axis"] * 2


def test_marks_that_would_touch_are_one_with_their_number(drawn, tmp_path):
    rows = [(0, "dense", 0, 1.0, 0.9), (0, "lr_rewind", 1, 0.5, 0.9)]
    rows += [(0, f"own_{i}", 1, 0.5, 0.1) for i in range(6)]
    write_table(table(*rows), tmp_path / "t.csv")
    figure, _ = drawn([tmp_path / "t.csv"])
    (mark,) = marks_of(figure.axes[0])
    assert mark.get_gid().endswith("/6")
    assert [text.get_text() for text in figure.axes[0].texts] == ["6"]


@pytest.mark.parametrize("log", [True, False])
def test_no_point_is_moved_farther_than_a_tenth_of_the_way_to_the_next(log):
    values = pd.Series([0.8, 0.64, 0.5, 0.1])
    ticks = [0.8, 0.78, 0.64, 0.5, 0.1]
    for count in (1, 2, 3, 9, 40):
        moved = [style.dodged(values, i, count, log=log, ticks=ticks) for i in range(count)]
        scale = np.log if log else np.asarray
        known = np.sort(scale(np.array(ticks)))
        for shifted in moved:
            away = np.abs(scale(shifted) - scale(values))
            assert away.max() <= 0.1 * np.diff(known).min() * (1 + 1e-9)
        assert len({tuple(m) for m in moved}) == count
    assert style.dodged(values[:1], 0, 3, log=log).tolist() == [0.8]  # there is no way to go


def test_pages_are_numbered_parts_with_their_own_legends(tidy_file, tmp_path, monkeypatch):
    one, titles, paths = pd.read_csv(tidy_file), {}, []
    for i in range(14):
        paths.append(tmp_path / f"s{i}.csv")
        write_table(one.assign(study=f"s{i}"), paths[-1])
        titles[f"s{i}"] = f"Study {i}"
    monkeypatch.chdir(REPOSITORY)
    kept = {}
    monkeypatch.setattr(pages, "save", lambda drawn, pdf, png: kept.update(pages=drawn))
    draw(paths, tmp_path, titles=titles)
    found = Drawn(kept["pages"], one)
    check(found)
    assert [len(panels) for panels in found.pages.panels] == [12, 2]
    assert found.pages.panels[1][1].get_title().startswith("(n) Study 13")


def test_a_pdf_has_the_pages_and_a_png_shows_them_all(tmp_path):
    style.use()
    sheet, axes = pages.panels(14)
    for panel in axes:
        panel.plot([0, 1], [0, 1])
    pages.finish(sheet)
    pages.save(sheet, tmp_path / "a.pdf", tmp_path / "a.png")
    assert (tmp_path / "a.pdf").read_bytes().count(b"/Type /Page /") == 2
    for panel in axes:  # or the last digits of what the solver found would be in the bytes
        assert all(abs(end - round(end, 6)) < 1e-12 for end in panel.get_position().bounds)
    height, width, _ = plt.imread(tmp_path / "a.png").shape
    sizes = np.array([page.get_size_inches() for page in sheet.figures])
    assert (width, height) == pytest.approx(300 * np.array([7, sizes[:, 1].sum()]), abs=2)


def test_studies_offer_no_two_names_for_one_picture():
    """Of the figures with the same function and tables, no two show the same cells."""
    digits = find_study("digits", REPOSITORY / "config" / "studies", SCHEMA)
    names = [name for name in figures_of(digits) if entry(name).tables == ("rewinding",)]
    assert names == ["rewind_vs_finetune", "speedup"]


def test_points_of_the_literature_are_listed_where_figures_are_offered():
    points = pd.read_csv(REPOSITORY / "resources" / "published" / LITERATURE)
    found = set(zip(points["network"], points["dataset"], points["variant"], strict=True))
    assert found == set(IN_LITERATURE)


def test_a_curve_has_whiskers_in_the_directions_in_which_there_are_some():
    _, (panel,) = pages.panels(1)
    look = style.method_style("mine", ["mine"])
    cases = (
        (None, None, (False, False)),
        ([0, 0], [0.0, np.nan], (False, False)),
        (None, [1, 0], (True, False)),
        ([0, 2], [0, 0], (False, True)),
        ([1, 2], [1, 0], (True, True)),
    )
    for bars, xerr, wanted in cases:
        before = len(panel.containers)
        style.curve(panel, [1, 2], [3, 4], look, bars, xerr=xerr)
        found = panel.containers[before:]
        assert [(c.has_xerr, c.has_yerr) for c in found] == ([wanted] if any(wanted) else [])
