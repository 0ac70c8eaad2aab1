"""A study of another kind of task, of which the lower score is the better one, from outside."""

import csv
import json

TASK = '''
"""Reading a digit as a number: the squared error of what the network says."""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from pruning.training.classification import Classification, from_values
from pruning.training.metric import Metric

TASK_KINDS = {"reading": "reading"}
METRICS = {"squared_error": "SQUARED_ERROR"}
SQUARED_ERROR = Metric("squared_error", "squared digits", higher_is_better=False, title="error")


@dataclass(frozen=True)
class Reading(Classification):
    metric: ClassVar[Metric] = SQUARED_ERROR

    def build(self, seed=None):
        from pruning.models.build import build

        return build(self.network, self.data.shape, 1, seed)

    def loss(self, module, batch):
        images, labels = batch
        return (module(images).squeeze(1) - labels.float()).square().mean()

    def scoring_loss(self, module, batch, temperature=1.0):
        return self.loss(module, batch)

    def evaluate(self, module, split):
        chosen = getattr(self.data, split)
        images = self.normalize(chosen.images)
        return {"squared_error": float(self.loss(module, (images, chosen.labels)))}


def reading(values, data, *, device, name):
    return Reading(**vars(from_values(values, data, device=device, name=name)))
'''
STUDY = """
title: Reading digits
task: reading
dataset: digits
network: {name: mlp, options: {widths: [16]}}
seeds: [0]
recipe:
  epochs: 4
  batches: {size: 64}
  optimizer: {options: {momentum: 0.9}}
  schedule: {learning_rate: 0.01}
rewinding: {methods: [lr_rewind, fine_tune], fraction: 0.5, levels: 1, retrain_times: [2, 4]}
at_init: {methods: [snip, magnitude], densities: [0.5]}
"""
FIGURE = "plots/reading/rewind_vs_finetune.pdf"
INITIAL = "plots/reading/at_init_accuracy.pdf"
CLAIMS = "plots/reading/claims.md"


def test_another_kind_of_task_runs_from_its_study_to_figures_and_claims(project):
    folder = project.root / "mine"
    folder.mkdir()
    (folder / "task.py").write_text(TASK)
    (project.root / "config/studies/reading.yaml").write_text(STUDY)
    project.edit(
        "config/config.yaml", "# auto: a GPU", "extensions: [mine/task.py]\n\n# auto: a GPU"
    )
    project.snakemake(FIGURE, INITIAL, CLAIMS)
    dense = json.loads((project.root / "results/reading/seed0/dense/summary.json").read_text())
    assert dense["metric"] == "squared_error"
    assert list(dense["scores"]["test"]) == ["squared_error"]
    assert 0 < dense["scores"]["test"]["squared_error"] < 8.2  # the variance of the digits
    with open(project.root / FIGURE.replace(".pdf", ".csv")) as file:
        rows = list(csv.DictReader(file))
    assert {row["unit"] for row in rows} == {"squared digits"}
    page = (project.root / CLAIMS).read_text()
    assert "BLEU" in page  # no claim of the paper is about squared digits, and none is counted so
    assert "none holds, none fails and 36 could not be judged.**" in page
    assert "| claim |" not in page
    assert "test images" not in page
    for target in (FIGURE, INITIAL, CLAIMS):
        assert project.plan(target=target) == {}
    project.edit("mine/task.py", "labels.float()", "1.0 * labels")
    again = project.plan(target=FIGURE)
    assert (again["dense"], again["retrain"]) == (1, 2 * 2)
