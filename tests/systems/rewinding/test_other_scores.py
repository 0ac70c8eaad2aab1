"""Re-training methods on tasks that are judged by BLEU or by perplexity."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from pruning.analysis.cells import cells, pruned
from pruning.figures.context import Context
from pruning.registry import load
from pruning.stages.claims import claims
from pruning.systems.rewinding.catalog import FIGURES
from pruning.systems.rewinding.claims import CLAIMS
from pruning.systems.rewinding.evidence import RENDA2020, Evidence
from pruning.systems.rewinding.rules import RULES
from tests.conftest import REPOSITORY
from tests.other_scores import SCORES, check_texts, restated, told
from tests.test_figures import table

PUBLISHED = REPOSITORY / "resources" / "published"
MODES = ("iterative", "one_shot", "structured_a")


@pytest.fixture(params=SCORES)
def score(request, monkeypatch):
    monkeypatch.setenv("PRUNING_METRICS", told(request.param))
    yield request.param
    plt.close("all")


def study():
    """Accuracies of every method, at some levels and retrain times."""
    random = np.random.default_rng(0)
    found = []
    for mode in MODES:
        rows = [(s, "dense", 0, 1.0, 0.9 + 0.01 * s) for s in range(3)]
        for method in RULES:
            for level in (1, 5, 8):
                for time in (10.0, 18.0, 20.0):
                    lost = 0.01 * level + 0.02 * random.random()
                    lost += 0.3 * (method == "low_lr_weight_rewind" and time == 20)
                    rows += [(s, method, level, 0.8**level, 0.9 - lost, 0.9 - lost, time)
                             for s in range(3)]  # fmt: skip
        tidy = table(*rows)
        found.append(tidy.assign(variant=tidy["variant"].replace("iterative", mode)))
    tidy = pd.concat(found, ignore_index=True)
    return tidy[
        (tidy["method"] != "dense") | ~tidy.duplicated(["method", "seed", "split", "metric"])
    ]


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_speaks_of_its_score_and_of_no_other(name, score):
    entry, metric = FIGURES[name], SCORES[score][0]
    tidy = restated(study(), score)
    drawn = load(entry.draw)(tidy, Context({"s": "A study"}, {}, entry.settings, PUBLISHED))
    check_texts(drawn.figure, *([] if name == "speedup" else [metric.change_axis]))
    assert set(drawn.table["unit"]) == {metric.change_unit}


@pytest.mark.parametrize("name", ["rewind_vs_finetune", "accuracy_vs_retrain_time"])
def test_published_changes_of_another_score_are_not_laid_over(name, score):
    entry = FIGURES[name]
    for network, metric in (("resnet56", "accuracy"), ("gnmt", "bleu")):
        options = {"s": {"published": f"renda2020:{network}"}}
        context = Context({"s": "A study"}, options, entry.settings, PUBLISHED)
        drawn = load(entry.draw)(restated(study(), score), context)
        assert (len(set(drawn.table["source"])) == 2) == (metric == score)


def test_what_is_far_worse_stays_in_the_frame_of_a_score_without_ends(score):
    """Nothing tells how much is far; of accuracies half of all there are is."""
    entry = FIGURES["accuracy_vs_retrain_time"]
    tidy = restated(study(), score)
    drawn = load(entry.draw)(tidy, Context({"s": "A study"}, {}, entry.settings, PUBLISHED))
    low, high = drawn.figure.axes[0].get_ylim()
    shown = drawn.table.query("variant == 'iterative'")
    assert low < min(0, shown["min"].min())
    assert high > max(0, shown["max"].max())


def test_evidence_is_positive_where_the_score_became_better(score):
    tidy = restated(study(), score)
    change = pruned(cells(tidy))["median"]
    gain = Evidence.of(cells(tidy)).cells["median"]
    sign = SCORES[score][0].sign
    assert gain.tolist() == (sign * change).tolist()
    assert (gain < 0).mean() > 0.8  # of either score pruning takes something


def test_claims_in_bleu_are_counted_over_bleu(monkeypatch, tmp_path):
    tidy = restated(study(), "bleu")
    counted = RENDA2020.counts(Evidence.of(cells(tidy))).set_index("claim")
    of_bleu = [claim.name for claim in CLAIMS if claim.unit == "BLEU"]
    assert (counted.loc[of_bleu, "cells"] > 0).any()
    assert set(counted.loc[counted["cells"] > 0, "unit"]) == {"BLEU"}
    tidy.to_csv(tmp_path / "tidy.csv", index=False)
    claims(
        tmp_path / "tidy.csv",
        claims="pruning.systems.rewinding.evidence:RENDA2020",
        title="Claims",
        options={"last_drop": {"s": 10}},
        resources=PUBLISHED,
        csv=tmp_path / "claims.csv",
        page=tmp_path / "claims.md",
    )
    rows = [line.split(" | ") for line in (tmp_path / "claims.md").read_text().splitlines()]
    margins = [row[-3] for row in rows if row[0].startswith("| ") and len(row) == 6]
    margins = [margin for margin in margins if margin not in ("-", "worst margin")]
    assert margins
    assert all(margin.endswith(" BLEU") for margin in margins)
