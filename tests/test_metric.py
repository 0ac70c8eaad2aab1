"""Scores other than accuracy, through tables, choices, axes and claims."""

import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from pruning import registry
from pruning.analysis.cells import best_validated, cells, pruned
from pruning.analysis.claims import Claim, ClaimSet
from pruning.analysis.claims_page import claims_page
from pruning.analysis.gathering import gather
from pruning.analysis.score import find, scored, scores_of
from pruning.analysis.tidy import collect
from pruning.errors import PruningError
from pruning.figures import outside, replicates, style
from pruning.files import write_json, write_text
from pruning.systems.rewinding.algorithm import judge, matches
from pruning.training.metric import ACCURACY, BLEU, Metric
from tests.other_scores import PERPLEXITY, told
from tests.test_figures import table


@pytest.fixture(autouse=True)
def _perplexity(monkeypatch):
    monkeypatch.setenv("PRUNING_METRICS", told("perplexity"))
    yield
    plt.close("all")


def of(metric, tidy):
    return tidy.assign(metric=tidy["metric"].replace("accuracy", metric))


@pytest.mark.parametrize(
    ("metric", "axis", "change_axis", "unit"),
    [
        (ACCURACY, "Test accuracy (%)", "Accuracy change (pp)", "pp"),
        (BLEU, "Test BLEU", "BLEU change", "BLEU"),
        (PERPLEXITY, "Test perplexity", "Perplexity change", "perplexity"),
        (Metric("mse", "V²", higher_is_better=False), "Test mse (V²)", "Mse change (V²)", "V²"),
        (Metric("r", "", higher_is_better=True), "Test r", "R change", ""),
    ],
)
def test_what_axes_say(metric, axis, change_axis, unit):
    assert (metric.axis, metric.change_axis, metric.change_unit) == (axis, change_axis, unit)


def test_guessing_among_classes_is_known_of_accuracy():
    assert ACCURACY.factor * ACCURACY.chance(10) == 10
    assert BLEU.chance is None


def test_metrics_are_found_by_name_those_from_outside_too(monkeypatch):
    assert find("accuracy") is ACCURACY
    assert find("bleu") is BLEU
    assert find("perplexity") == PERPLEXITY
    monkeypatch.setenv("PRUNING_METRICS", "mine=pruning.seeds:derive")
    with pytest.raises(PruningError, match=r"pruning\.seeds:derive is no Metric"):
        find("mine")
    with pytest.raises(PruningError, match="perplexity"):
        find("perplexity")


def test_a_file_of_ones_own_may_name_a_metric(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PRUNING_METRICS", "")
    monkeypatch.setenv("PRUNING_SYSTEMS", "")
    write_text(
        tmp_path / "mine.py",
        "from pruning.training.metric import Metric\n"
        'METRICS = {"wer": "WER"}\n'
        'WER = Metric("wer", "words", higher_is_better=False)\n',
    )
    try:
        registry.extend(["mine.py"])
        registry._EXTENDED.clear()  # as in a job, which is told no files
        assert find("wer").sign == -1
    finally:
        registry.extend([])
    assert "wer" not in registry.known("metric")


def test_the_score_is_the_first_metric_that_is_known():
    tidy = table((0, "dense", 0, 1.0, 0.9))
    both = pd.concat([of("perplexity", tidy), tidy[tidy["metric"] == "accuracy"]])
    assert scores_of(both) == {"s": "perplexity"}
    assert set(scored(both)["metric"]) == {"perplexity"}
    assert set(scored(both)["split"]) == {"test"}
    assert set(scored(both, split=None)["split"]) == {"test", "validation"}
    with pytest.raises(PruningError, match="'s' has no metric of accuracy, bleu, perplexity"):
        scored(of("f1", tidy))


def summary(folder, metric, scores, **more):
    told = {"network": "n", "data": {"dataset": "d"}, "seed": 0, "training_steps": 1}
    told |= {"training_macs": 1, "training_time": 1.0, "macs": 1, "metric": metric} | more
    write_json(folder / "summary.json", told | {"scores": {"test": scores}})
    write_json(folder / "timing.json", {"seconds": 1.0})


def test_collecting_puts_the_score_of_the_task_first(tmp_path):
    summary(tmp_path, "perplexity", {"accuracy": 0.5, "loss": 1.0, "perplexity": 2.7})
    tidy = collect("s", [(tmp_path, None)])
    assert tidy["metric"].tolist() == ["perplexity", "accuracy", "loss"]
    assert tidy["value"].tolist() == [2.7, 0.5, 1.0]
    assert scores_of(tidy) == {"s": "perplexity"}


def test_gathering_names_columns_by_what_they_are(tmp_path):
    summary(tmp_path, "bleu", {})
    write_text(tmp_path / "rows.csv", "epoch,test_bleu,zeroed_test_bleu,test_loss\n1,20,19,3\n")
    columns = ("metric", "epoch", "test_score", "zeroed_test_score", "test_loss")
    found = gather("s", [(tmp_path / "summary.json", tmp_path / "rows.csv")], columns)
    assert found.to_numpy().tolist() == [["bleu", 1, 20, 19, 3]]


def test_changes_are_in_the_unit_of_the_score():
    tidy = of("perplexity", table((0, "dense", 0, 1.0, 4.0), (0, "lr_rewind", 1, 0.5, 4.5)))
    row = pruned(cells(tidy)).iloc[0]
    assert (row["median"], row["unit"], row["metric"]) == (0.5, "perplexity", "perplexity")


@pytest.mark.parametrize(("metric", "chosen"), [("bleu", 5), ("perplexity", 20)])
def test_the_best_validated_time_is_the_best_as_the_score_has_it(metric, chosen):
    tidy = table(
        (0, "dense", 0, 1.0, 10.0),
        (0, "lr_rewind", 1, 0.5, 10.0, 12.0, 5.0),
        (0, "lr_rewind", 1, 0.5, 10.0, 11.0, 10.0),
        (0, "lr_rewind", 1, 0.5, 10.0, 8.0, 20.0),
        (0, "lr_rewind", 1, 0.5, 10.0, 8.0, 25.0),
    )
    found = pruned(best_validated(cells(of(metric, tidy))))
    assert found["retrain_time"].tolist() == [chosen]


def curve(*means):
    rows = pd.DataFrame({"density": [0.5, 0.25, 0.1][: len(means)], "mean": means})
    return replicates.Curve(style.Style("m", 0, "o"), rows.assign(std=float("nan"), n=1))


DENSE = pd.DataFrame({"mean": [10.0], "std": [0.5], "n": [3]})


@pytest.mark.parametrize(
    ("metric", "far", "ends"),
    [(BLEU, 4.0, (9 - 0.09, 10.5 + 0.09)), (PERPLEXITY, 21.0, (9 - 0.09, 10.5 + 0.09))],
)
def test_what_collapsed_leaves_the_frame_where_it_is_worse(metric, far, ends):
    _, axes = plt.subplots()
    shown = curve(10.0, 9.0, far)
    replicates.limit(axes, [shown], DENSE, None, metric)
    assert axes.get_ylim() == pytest.approx(ends)
    replicates.draw(axes, [shown], "density")
    axes.set_xscale("log")
    axes.set_xlim(1, 0.05)
    outside.mark(axes)
    ((side, (_, points)),) = outside.counted([axes]).items()
    assert (side, points) == ("Below the axis" if metric is BLEU else "Above the axis", 1)
    (mark,) = (line for line in axes.lines if (line.get_gid() or "").startswith(outside.NAME))
    assert mark.get_ydata() == pytest.approx([0 if metric is BLEU else 1])  # of the frame


@pytest.mark.parametrize(("higher", "worst"), [(True, -13.0), (False, -1.0)])
def test_of_scores_below_zero_nothing_is_said_to_have_collapsed(higher, worst):
    metric = Metric("log", "nats", higher_is_better=higher, resolution=0.1)
    _, axes = plt.subplots()
    dense = pd.DataFrame({"mean": [-5.0], "std": [0.0], "n": [1]})
    replicates.limit(axes, [curve(-5.0, worst)], dense, None, metric)
    assert axes.get_ylim() == pytest.approx(
        (-13 - 0.48, -5 + 0.48) if higher else (-5 - 0.24, -1 + 0.24)
    )


def test_axes_are_as_fine_as_the_score_has_it():
    for resolution, margin in ((0.5, 0.03), (0.01, 0.0012)):
        metric = Metric("m", "m", higher_is_better=True, resolution=resolution)
        rows = pd.DataFrame({"mean": [1.0, 1.02], "std": [np.nan, np.nan]})
        found = replicates.around(rows, metric)
        assert found == pytest.approx((1 - margin, 1.02 + margin))


@pytest.mark.parametrize(("metric", "change", "good"), [("bleu", -1, False), ("perplexity", 1, 1)])
def test_a_level_is_judged_as_the_score_has_it(metric, change, good):
    def told(value, level):
        scores = {split: {metric: value} for split in ("validation", "test")}
        return {"level": level, "density": 0.5, "metric": metric, "scores": scores}

    judged = judge(told(20.0, 0), told(19.0, 1))
    assert (judged["dense_test"], judged["pruned_test"]) == (20, 19)
    assert judged["change"] == change
    assert matches(judged, 0.5) == good


def claim_set(tolerance, **more):
    rows = pd.DataFrame({"study": ["s"], "dataset": ["d"], "unit": ["BLEU"], "gain": [-0.2]})
    rows["replicates"] = 3
    claim = Claim("1a", "It gains.", "all", "gain", unit="BLEU")
    return ClaimSet(
        (claim,), lambda: None, {"all": lambda _: rows}, ("study",), tolerance,
        "Granted: {tolerance}.", **more,
    )  # fmt: skip


def test_tolerances_are_by_unit_and_pages_say_it():
    claims = claim_set({"pp": 0.5, "BLEU": 0.3}, tolerance_by_dataset={"d": {"pp": 0.1}})
    counted = claims.counts(None)
    assert counted["verdict"].tolist() == ["holds within noise"]  # the 0.1 are of another unit
    page = claims_page(claims, counted, "Claims")
    assert "Granted: 0.3 BLEU (d: 0.1 pp)." in page
    assert "| -0.20 BLEU |" in page
    stricter = claim_set({"BLEU": 0.3}, tolerance_by_dataset={"d": {"BLEU": 0.1}})
    assert stricter.counts(None)["verdict"].tolist() == ["fails"]


def test_a_claim_set_without_a_tolerance_in_the_unit_is_refused():
    with pytest.raises(PruningError, match="Claim 1a is in BLEU, in which .* only in pp"):
        claim_set({"pp": 0.3}).counts(None)


def test_a_claim_must_say_its_unit():
    with pytest.raises(TypeError, match="unit"):
        Claim("1a", "It gains.", "all", "gain")
    assert math.isinf(Claim("1a", "It gains.", "all", "gain", unit="pp").most)
