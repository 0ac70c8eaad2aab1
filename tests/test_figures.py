import numpy as np
import pandas as pd
import pytest

from pruning.analysis.rewinding import accuracy_change
from pruning.analysis.tidy import COLUMNS, collect, read_table, write_table
from pruning.errors import PruningError
from pruning.figures import style
from pruning.figures.rewinding import rewind_vs_finetune
from pruning.files import write_json
from pruning.methods.retraining_rules import RULES


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
        "training_steps": 100,
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
    drawn = accuracy_change(tidy).set_index("method")
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
    drawn = accuracy_change(tidy).set_index("method").loc["lr_rewind"]
    assert drawn["retrain_time"] == 10
    assert drawn["median"] == pytest.approx(-10)


def test_studies_are_compared_with_their_own_dense_networks():
    tidy = table(
        (0, "dense", 0, 1.0, 0.9, 0.5, 1.0, "a"),
        (0, "dense", 0, 1.0, 0.5, 0.5, 1.0, "b"),
        (0, "fine_tune", 1, 0.5, 0.6, 0.5, 1.0, "b"),
        (0, "fine_tune", 1, 0.5, 0.6, 0.5, 1.0, "a"),
    )
    drawn = accuracy_change(tidy)
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
                "scores": {"test": {"accuracy": 0.5, "loss": 1.0}},
                **extra,
            },
        )
        write_json(tmp_path / name / "timing.json", {"seconds": 2.5})
    tidy = collect("s", [tmp_path / "dense", tmp_path / "cell"])
    assert tuple(tidy.columns) == COLUMNS
    assert tidy["method"].tolist() == ["dense", "dense", "lr_rewind", "lr_rewind"]
    assert tidy["value"].tolist() == [0.5, 1.0, 0.5, 1.0]
    assert tidy["density"].tolist() == [1.0, 1.0, 0.25, 0.25]
    with pytest.raises(PruningError, match=r"summary\.json does not exist"):
        collect("s", [tmp_path / "nothing"])


@pytest.fixture
def tidy_file(tmp_path):
    random = np.random.default_rng(0)
    cells = [(s, "dense", 0, 1.0, 0.9 + 0.01 * s) for s in range(3)]
    for method in RULES:
        for level in range(1, 11):
            cells += [(s, method, level, 0.8**level, 0.9 - random.random() / 20) for s in range(3)]
    write_table(table(*cells), tmp_path / "tidy.csv")
    return tmp_path / "tidy.csv"


def draw(tables, folder):
    paths = {kind: folder / f"figure.{kind}" for kind in ("pdf", "png", "csv")}
    rewind_vs_finetune(tables, {"s": "A study"}, {"s": {"ylim": [-6, 2]}}, **paths)
    return paths


def test_the_figure_and_its_csv_repeat_byte_for_byte(tidy_file, tmp_path):
    first = {k: p.read_bytes() for k, p in draw([tidy_file], tmp_path / "1").items()}
    again = {k: p.read_bytes() for k, p in draw([tidy_file], tmp_path / "2").items()}
    assert first == again
    assert first["pdf"].startswith(b"%PDF")
    assert first["png"].startswith(b"\x89PNG")


def test_the_csv_holds_what_the_figure_draws(tidy_file, tmp_path, monkeypatch):
    drawn = {}
    monkeypatch.setattr(style, "save", lambda figure, pdf, png: drawn.update(figure=figure))
    paths = {kind: tmp_path / f"f.{kind}" for kind in ("pdf", "png", "csv")}
    rewind_vs_finetune([tidy_file], {"s": "A study"}, {}, **paths)
    csv = pd.read_csv(paths["csv"])
    assert {"study", "method", "level", "density", "compression_ratio", "median", "min", "max",
            "n"} <= set(csv)  # fmt: skip
    panel = drawn["figure"].axes[0]
    assert panel.get_xscale() == "log"
    containers = {c.get_label(): c for c in panel.containers}
    assert len(containers) == len(RULES)
    for method in RULES:
        line, _, (bars,) = containers[style.METHODS[method].label]
        cells = csv[csv["method"] == method].sort_values("level")
        assert np.allclose(line.get_ydata(), cells["median"])
        ends = np.array([segment[:, 1] for segment in bars.get_segments()])
        assert np.allclose(ends, cells[["min", "max"]])
    labels = [t.get_text() for t in panel.get_xticklabels()]
    assert "9.31x" in labels


def test_methods_differ_in_colour_and_marker_and_keep_them():
    looks = list(style.METHODS.values())
    assert len({look.color for look in looks}) == len({look.marker for look in looks}) == len(looks)
    assert set(RULES) <= set(style.METHODS)
    stranger = style.method_style("gem_miner", ["fine_tune", "gem_miner"])
    assert stranger.label == "Gem miner"
    assert stranger.color not in {look.color for look in looks}
    assert style.order(["zeta", "fine_tune", "lr_rewind"]) == ["lr_rewind", "fine_tune", "zeta"]


def test_several_studies_have_a_panel_each(tidy_file, tmp_path, monkeypatch):
    other = pd.read_csv(tidy_file).assign(study="other")
    write_table(other, tmp_path / "other.csv")
    drawn = {}
    monkeypatch.setattr(style, "save", lambda figure, pdf, png: drawn.update(figure=figure))
    paths = {kind: tmp_path / f"f.{kind}" for kind in ("pdf", "png", "csv")}
    rewind_vs_finetune([tidy_file, tmp_path / "other.csv"], {"s": "First"}, {}, **paths)
    titles = [axes.get_title() for axes in drawn["figure"].axes]
    assert titles == ["First, iterative (n=3)", "other, iterative (n=3)"]


def test_tables_that_are_not_tidy_are_named(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(PruningError, match=r"x\.csv lacks the columns study"):
        read_table(tmp_path / "x.csv")
    (tmp_path / "x.csv").write_text("")
    with pytest.raises(PruningError, match=r"x\.csv cannot be read"):
        read_table(tmp_path / "x.csv")


@pytest.fixture
def panel(tidy_file, tmp_path, monkeypatch):
    drawn = {}
    monkeypatch.setattr(style, "save", lambda figure, pdf, png: drawn.update(figure=figure))
    paths = {k: tmp_path / f"f.{k}" for k in ("pdf", "png", "csv")}
    rewind_vs_finetune([tidy_file], {"s": "S"}, {}, **paths)
    return drawn["figure"].axes[0], pd.read_csv(paths["csv"])


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
