"""A study whose network, score and optimizer are in files outside of the package."""

import json

from tests.test_extensions import LAYERS, NETS, SCORING

STUDY = """
title: Mine
dataset: digits
network: {name: my_net, options: {width: 4}}
seeds: [0]
recipe:
  epochs: 2
  batches: {size: 64}
  optimizer: {name: "mine/nets.py:plain", options: {momentum: 0.9}}
  schedule: {learning_rate: 0.1}
rewinding: {methods: [lr_rewind], fraction: 0.5, levels: 1, retrain_times: [1], score: squared}
"""
TARGET = "plots/mine/rewind_vs_finetune.pdf"
PLAIN = """

def plain(groups, **options):
    import torch

    return torch.optim.SGD(groups, lr=0.0, **options)
"""


def test_a_study_of_ones_own_code_trains_and_follows_its_edits(project):
    folder = project.root / "mine"
    folder.mkdir()
    (folder / "nets.py").write_text(NETS + PLAIN)
    (folder / "layers.py").write_text(LAYERS)
    (folder / "scoring.py").write_text(SCORING)
    (project.root / "config/studies/mine.yaml").write_text(STUDY)
    config = "extensions: [mine/nets.py, mine/scoring.py]\n\n# auto: a GPU"
    project.edit("config/config.yaml", "# auto: a GPU", config)

    project.edit("mine/scoring.py", '"squared"}', '"square"}')
    output = project.snakemake(TARGET, "--dry-run", check=False)
    assert "Error: mine/scoring.py, line 4, SCORES: mine/scoring.py defines no 'square'" in output
    assert "Traceback" not in output
    project.edit("mine/scoring.py", '"square"}', '"squared"}')

    project.edit("mine/nets.py", "hidden(width))", "hidden(width), 1 / 0)")
    output = project.snakemake(TARGET, "--dry-run", check=False, trials=True)
    said = "Error: config/studies/mine.yaml: mine/nets.py, line 14 in __init__: ZeroDivisionError: "
    assert said in output
    assert "Traceback" not in output
    project.edit("mine/nets.py", "hidden(width), 1 / 0)", "hidden(width))")

    project.snakemake(TARGET)
    level = project.root / "results/mine/seed0/iterative/lr_rewind/t1/level1"
    summary = json.loads((level / "summary.json").read_text())
    assert summary["network"] == "mine/nets.py:MyNet"
    assert summary["scores"]["test"]["accuracy"] > 0.5
    assert project.plan(target=TARGET) == {}
    project.edit("mine/nets.py", ".relu())", ".relu())  # why")
    project.edit("mine/layers.py", "2 * width", "2 * width  # why")
    assert project.plan(target=TARGET) == {}
    project.edit("mine/scoring.py", "power=2", "power=4")
    after = {"collect": 1, "figure": 1, "prune": 1, "report": 1, "retrain": 1}
    assert project.plan(target=TARGET) == after
    project.edit("mine/layers.py", "2 * width", "3 * width")
    assert project.plan(target=TARGET) == after | {"dense": 1}
