"""Searches of a tiny study through Snakemake: jobs, reruns, and a search that is killed."""

import csv
import json

from safetensors.numpy import load_file

STUDY = """
title: Gems
dataset: digits
network: {name: mlp, options: {widths: [16]}}
seeds: [0]
recipe: &recipe
  epochs: 3
  batches: {size: 64}
  optimizer: {options: {momentum: 0.9}}
  schedule: {learning_rate: 0.1}
gem_miner:
  methods: [gem_miner, edge_popup, smart_ratio]
  densities: [0.5]
  search:
    epochs: 3
    batches: {size: 64}
    optimizer: {options: {momentum: 0.9}}
    schedule: {shape: cosine, learning_rate: 0.5}
  finetune: *recipe
  period: 1
  strengths: {gem_miner: 1.0e-3}
  variants_by_method: {gem_miner: [unmodified, shuffled, reinitialized]}
  sweep: {method: gem_miner, level: 1, strengths: [0]}
"""
TARGETS = (
    "results/gems/gem_miner.csv",
    "results/gems/gem_miner_layers.csv",
    "plots/gems/gem_miner_sanity.pdf",
    "plots/gems/gem_miner_densities.pdf",
    "plots/gems/gem_miner_claims.md",
)
SEARCH = "results/gems/seed0/gem_miner/search"


def test_searches_run_from_the_study_to_figures_and_follow_edits(project):
    (project.root / "config/studies/gems.yaml").write_text(STUDY)
    project.snakemake(*TARGETS)
    for target in TARGETS:
        assert project.plan(target=target) == {}

    with open(project.root / TARGETS[0]) as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    scored = {(row["method"], row["variant"], row["metric"]) for row in rows}
    for variant in ("unmodified", "shuffled", "reinitialized", "strength_0"):
        assert {("gem_miner", variant, m) for m in ("accuracy", "start_accuracy")} <= scored
    for variant in ("searched_unmodified", "searched_strength_0"):
        assert ("gem_miner", variant, "accuracy") in scored
    assert ("smart_ratio", "unmodified", "accuracy") in scored

    values = {key[:3]: float(row["value"]) for key, row in _keyed(rows)}
    assert values["gem_miner", "unmodified", "start_accuracy"] > 0.3  # nothing was trained
    assert values["gem_miner", "reinitialized", "start_accuracy"] < 0.3

    place = project.root / SEARCH
    networks = [
        load_file(place / cell / "level1/network.safetensors")
        for cell in ("gem_miner/unmodified", "gem_miner/strength_0", "edge_popup/unmodified")
    ]
    names = [name for name in networks[0] if name.endswith(".weight")]
    assert len(names) == 2
    for name in names:
        assert all((network[name] == networks[0][name]).all() for network in networks)

    spent = {key[:2]: int(row["training_steps"]) for key, row in _keyed(rows)}
    assert spent["gem_miner", "unmodified"] == 2 * spent["smart_ratio", "unmodified"]

    project.edit("config/studies/gems.yaml", "1.0e-3}", "2.0e-3}")
    assert project.plan(target=TARGETS[0]) == {
        "search": 1, "prune": 2, "report": 2, "found": 3, "collect": 1
    }  # fmt: skip
    told = json.loads((place / "gem_miner/unmodified/level1/summary.json").read_text())
    assert (told["strength"], told["density"]) == (1e-3, 0.5)


def _keyed(rows):
    return [((row["method"], row["variant"], row["metric"]), row) for row in rows]
