"""Global sparse momentum SGD on tasks that are judged by BLEU or by perplexity."""

import dataclasses

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from pruning.analysis.claims import Claim
from pruning.figures import style
from pruning.figures.context import Context
from pruning.registry import load
from pruning.systems.gsm.catalog import FIGURES
from pruning.systems.gsm.evidence import GSM2019, differences, evidence
from tests.conftest import REPOSITORY
from tests.figure_checks import check
from tests.other_scores import SCORES, check_texts, restated, told
from tests.systems.gsm.test_figures import (
    PASSIVE,
    curve_rows,
    layer_rows,
    magnitude_rows,
    sensitivity_rows,
    study_rows,
)
from tests.twins import twins

PUBLISHED = REPOSITORY / "resources" / "published"
OF_WEIGHTS = ("gsm_passive_decay", "gsm_magnitudes")
TABLES = {
    "gsm": study_rows,
    "gsm_curves": curve_rows,
    "gsm_layers": layer_rows,
    "gsm_sensitivity": sensitivity_rows,
    "gsm_magnitudes": magnitude_rows,
}


@pytest.fixture(params=SCORES)
def score(request, monkeypatch):
    monkeypatch.setenv("PRUNING_METRICS", told(request.param))
    style.use()
    yield request.param
    plt.close("all")


def draw(name, score, options=None):
    entry = FIGURES[name]
    found = {t: restated(pd.DataFrame(TABLES[t]()), score) for t in entry.tables}
    first, *others = entry.tables
    more = {name: found[name] for name in others}
    trainings = {"passive": PASSIVE}
    options = {"lenet": trainings | (options or {}), "densenet": trainings}
    context = Context(dict.fromkeys(options, "A study"), options, entry.settings, PUBLISHED, more)
    return load(entry.draw)(found[first], context)


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_speaks_of_its_score_and_of_no_other(name, score):
    drawn = draw(name, score)
    check(drawn)
    check_texts(drawn.figure, *([] if name in OF_WEIGHTS else [SCORES[score][0].axis]))
    for column in drawn.table.select_dtypes(exclude="number"):
        assert not drawn.table[column].astype(str).str.contains("accuracy").any()


def test_accuracies_that_were_published_are_not_laid_over_other_scores(score):
    drawn = draw("gsm_accuracy", score, {"gsm_published": "gsm2019"})
    assert set(drawn.table["source"]) == {"study"}


def test_curves_keep_their_values_and_name_their_score(score):
    drawn = draw("gsm_reselection", score)
    assert set(drawn.table["quantity"]) == {f"test_{score}", f"zeroed_test_{score}"}
    last = drawn.table[drawn.table["epoch"] == drawn.table["epoch"].max()]
    restate = SCORES[score][1]
    assert last.loc[last["quantity"] == f"test_{score}", "mean"].between(
        *sorted((restate(0.95), restate(1.0)))
    ).all()  # fmt: skip


def test_tickets_that_collapsed_are_marked_where_they_are_worse(score):
    drawn = draw("gsm_tickets", score)
    labels = {text.get_text() for text in drawn.figure.legends[0].get_texts()}
    side = "Below the axis" if score == "bleu" else "Above the axis"
    assert {label.partition(":")[0] for label in labels if "the axis:" in label} == {side}


def test_the_rank_correlation_is_with_what_is_lost(score):
    drawn = [draw("gsm_layers", one).table for one in (score, "bleu")]
    found, wanted = (table[table["quantity"] == "rank_correlation"]["mean"] for table in drawn)
    assert len(found)
    assert found.tolist() == wanted.tolist()  # both order what is lost in the same way


def test_differences_are_in_the_unit_of_the_score_and_larger_is_better(score):
    metric, _ = SCORES[score]
    tidy = restated(pd.DataFrame(study_rows(("lenet",), 1)), score)
    found = differences(evidence(tidy, PUBLISHED)).set_index("level")
    assert set(found["unit"]) == {metric.change_unit}
    assert (found["direct"] > 0).all()  # GSM loses less
    values = tidy[(tidy["split"] == "test") & (tidy["level"] == 1)]
    values = values[values["metric"] == score].set_index("method")["value"]
    lead = values["gsm"] - values["magnitude_without_retraining"]
    assert found.loc[1, "direct"] == pytest.approx(metric.sign * lead)
    claims = dataclasses.replace(GSM2019, tolerance={metric.change_unit: 0.0})
    claim = Claim("8b", "GSM is better.", "differences", "direct", unit=metric.change_unit)
    counted = claims.count(claim, evidence(twins(tidy), PUBLISHED))
    assert (counted["cells"], counted["verdict"]) == (2, "holds")
    assert counted["unit"] == metric.change_unit


def test_the_page_says_what_its_numbers_are(score):
    tidy = restated(pd.DataFrame(study_rows()), score)
    found = evidence(tidy, PUBLISHED)
    text = GSM2019.appendix(GSM2019, found)
    assert f"{SCORES[score][0].axis}; published accuracies in percent; ours as mean" in text
    counted = GSM2019.counts(found)
    assert (counted["cells"] == 0).all()  # limits of the paper are in points of accuracy
