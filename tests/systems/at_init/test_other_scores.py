"""Pruning at initialization on tasks that are judged by BLEU or by perplexity."""

import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from pruning.analysis.claims import Claim
from pruning.figures import style
from pruning.figures.context import Context
from pruning.registry import load
from pruning.systems.at_init.catalog import FIGURES
from pruning.systems.at_init.evidence import FRANKLE2021, evidence
from pruning.systems.at_init.tables import cells
from tests.figure_checks import check
from tests.other_scores import SCORES, check_texts, restated, told
from tests.systems.at_init.test_figures import (
    PUBLISHED,
    channel_rows,
    dense,
    layer_rows,
    row,
    study_rows,
)

OF_MASKS = ("at_init_layers", "at_init_neurons", "at_init_effective")


@pytest.fixture(params=SCORES)
def score(request, monkeypatch):
    monkeypatch.setenv("PRUNING_METRICS", told(request.param))
    style.use()
    yield request.param
    plt.close("all")


def draw(name, score, options=None):
    entry = FIGURES[name]
    tables = {
        "at_init": restated(pd.DataFrame(study_rows()), score),
        "at_init_layers": pd.DataFrame(layer_rows()),
        "at_init_channels": pd.DataFrame(channel_rows()),
    }
    first, *others = entry.tables
    more = {name: tables[name] for name in others}
    options = {"s": options or {}}
    context = Context({"s": "A study"}, options, entry.settings, PUBLISHED, more)
    return load(entry.draw)(tables[first], context)


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_speaks_of_its_score_and_of_no_other(name, score):
    drawn = draw(name, score)
    check(drawn)
    check_texts(drawn.figure, *([] if name in OF_MASKS else [SCORES[score][0].axis]))


def test_accuracies_that_were_published_are_not_laid_over_other_scores(score):
    drawn = draw("at_init_ablations", score, {"at_init_published": "comp6258"})
    assert set(drawn.table["source"]) == {"study"}


def test_where_the_score_of_guessing_is_not_known_no_line_says_it(score):
    drawn = draw("at_init_reproduction_errors", score)
    labels = {text.get_text() for text in drawn.figure.legends[0].get_texts()}
    assert "Guessing" not in labels
    (panel,) = (a for a in drawn.figure.axes if a.get_title().endswith("Inverted masks"))
    assert panel.get_ylim() != (0, 100)
    assert f"SynFlow, {SCORES[score][0].title}" in set(drawn.table["panel"])


def test_networks_that_collapsed_are_marked_where_they_are_worse(score):
    drawn = draw("at_init_accuracy", score)
    labels = {text.get_text() for text in drawn.figure.legends[0].get_texts()}
    side = "Below the axis" if score == "bleu" else "Above the axis"
    assert {label.partition(":")[0] for label in labels if "the axis:" in label} == {side}
    low, high = drawn.figure.axes[0].get_ylim()
    means = drawn.table["mean"]
    worse, better = (means < low, means > high)[:: SCORES[score][0].sign]
    assert worse.any()
    assert not better.any()


def two(first, second):
    """SynFlow, unmodified and shuffled, at three replicates each."""
    rows = [dense(0.9, seed) for seed in range(3)]
    for variant, values in (("unmodified", first), ("shuffled", second)):
        rows += [row("synflow", variant, 1, 0.1, v, seed=s) for s, v in enumerate(values)]
    return pd.DataFrame(rows)


def test_evidence_is_in_the_unit_of_the_score_and_larger_is_better(score):
    metric, restate = SCORES[score]
    tidy = restated(two((0.70, 0.72, 0.74), (0.80, 0.82, 0.84)), score)
    found = evidence(tidy).set_index("variant")
    assert set(found["unit"]) == {metric.change_unit}
    assert found.loc["shuffled", "mean"] > found.loc["unmodified", "mean"]
    shown = cells(tidy).set_index("variant")["mean"]
    wanted = np.mean([restate(v) for v in (0.70, 0.72, 0.74)])
    assert shown["unmodified"] == pytest.approx(wanted, abs=1e-5)
    claim = Claim(
        "5a", "Shuffled is better.", "variants", "shuffled", "unmodified", unit=metric.change_unit
    )
    claims = dataclasses.replace(FRANKLE2021, tolerance={metric.change_unit: 0.0})
    margin = claims.margins_of(claim, evidence(tidy))
    gain = abs(found.loc["shuffled", "mean"] - found.loc["unmodified", "mean"])
    assert margin["margin"].tolist() == pytest.approx([gain])


def test_the_page_says_who_leads_in_the_unit_of_the_score(score):
    metric, _ = SCORES[score]
    tidy = restated(pd.DataFrame(study_rows(times=False)), score)
    found = evidence(tidy)
    text = FRANKLE2021.appendix(FRANKLE2021, found)
    assert f"| study | sparsity | best | {metric.title} | lead |" in text
    leaders = text[text.index("## Which of the four") :].splitlines()
    rows = [line.split(" | ") for line in leaders if line.startswith("| s |")]
    assert rows
    for _, _, _, value, lead in rows:
        assert value.endswith(f" {metric.shown_unit}")
        assert float(value.split()[0]) > 0
        assert lead.startswith("+")
        assert f" {metric.change_unit} over " in lead


def test_claims_in_points_are_not_counted_over_other_scores(score):
    counted = FRANKLE2021.counts(evidence(restated(pd.DataFrame(study_rows()), score)))
    assert set(counted.loc[counted["cells"] > 0, "unit"]) == {"rank correlation"}
    later = counted.set_index("claim").loc["11a"]
    assert later["satisfied"] == later["cells"] > 0  # later is better, by either score
