"""Searches of random networks through the workflow."""

import json
import time

import pandas as pd
import pytest
import torch

from pruning.training.checkpoint import load_masks, load_state
from tests.workflow.conftest import TINY, kill_group, make_project

SECTION = """
gem_miner:
  methods: [gem_miner, edge_popup, smart_ratio]
  densities: [0.5]
  search:
    epochs: 4
    batches: {size: 64}
    optimizer: {weight_decay: 0, options: {momentum: 0.9}}
    schedule: {shape: cosine, learning_rate: 0.1}
  finetune:
    epochs: 4
    batches: {size: 64}
    optimizer: {weight_decay: 1.0e-4, options: {momentum: 0.9}}
    schedule: {learning_rate: 0.1, milestones: [2]}
  period: 1
  strengths: {gem_miner: 1.0e-4}
  variants: [unmodified, shuffled, reinitialized]
  variants_by_method: {edge_popup: [unmodified]}
  sweep: {method: gem_miner, level: 1, strengths: [0, 0.01]}
"""
TABLES = ("results/small/gem_miner.csv", "results/small/gem_miner_layers.csv")
PLOTS = tuple(
    f"plots/small/gem_miner_{name}" for name in ("sanity.pdf", "densities.pdf", "layers.pdf")
)
FOLDER = "results/small/seed0/gem_miner"
SEARCHES = (
    ("gem_miner", "unmodified"), ("gem_miner", "strength_0"), ("gem_miner", "strength_0p01"),
    ("edge_popup", "unmodified"),
)  # fmt: skip
TRAININGS = 7  # three variants, two of the sweep, Edge-Popup, Smart Ratio
RULES = ("search", "found", "prune", "dense", "rewind_state")


def with_section(root):
    project = make_project(root)
    text = TINY[: TINY.index("rewinding:")].replace("epochs: 3", "epochs: 4")
    (project.root / "config/studies/small.yaml").write_text(text + SECTION)
    return project


def planned(project, *arguments):
    """Jobs of what trains and prunes, by rule."""
    jobs = project.plan(*arguments, target=TABLES[0])
    return {rule: count for rule, count in jobs.items() if rule in RULES}


@pytest.fixture(scope="module")
def finished_once(tmp_path_factory):
    project = with_section(tmp_path_factory.mktemp("gem_miner") / "project")
    project.snakemake(*TABLES, *PLOTS)
    return project


@pytest.fixture
def finished(finished_once, tmp_path):
    return finished_once.copy(tmp_path / "project")


def test_jobs_are_those_of_the_plan_and_nothing_is_left_to_do(finished_once):
    from pruning.study import planning
    from pruning.study.study import load_study
    from tests.conftest import SCHEMAS

    study = load_study(
        finished_once.root / "config/studies/small.yaml", SCHEMAS / "study.schema.yaml"
    )
    told = planning.jobs(study)
    assert planned(finished_once, "--forceall") == {rule: told[rule] for rule in RULES}
    assert (told["search"], told["found"]) == (len(SEARCHES), TRAININGS)
    assert [finished_once.plan(target=target) for target in (*TABLES, *PLOTS)] == [{}] * 5
    steps = {r: w.steps for r, w in planning.plan(study, {"kind": "digits"}).work.items()}
    assert steps["found"] == TRAININGS * steps["dense"]
    assert steps["search"] == len(SEARCHES) * steps["dense"]


def test_every_cell_has_a_row_with_its_score_before_training(finished_once):
    table = pd.read_csv(finished_once.root / TABLES[0])
    test = table[table["split"] == "test"]
    trained = test[test["metric"] == "accuracy"].set_index(["method", "variant"])
    start = test[test["metric"] == "start_accuracy"].set_index(["method", "variant"])
    assert len(start) == TRAININGS
    assert set(start.index) <= set(trained.index)
    assert {("gem_miner", f"searched_{v}") for m, v in SEARCHES if m == "gem_miner"} <= set(
        trained.index
    )
    found, searched = trained.loc[("gem_miner", "unmodified")], trained.loc["dense"]
    assert found["training_steps"] == 2 * searched["training_steps"].iloc[0]
    layers = pd.read_csv(finished_once.root / TABLES[1])
    assert {"gem_miner", "edge_popup", "smart_ratio"} <= set(layers["method"])


def test_all_searches_are_of_the_same_network(finished_once):
    states = [
        load_state(finished_once.root / FOLDER / f"search/{m}/{v}/level1/network.safetensors")
        for m, v in SEARCHES
    ]
    for state in states[1:]:
        assert state.weights.keys() == states[0].weights.keys()
        for name, weight in state.weights.items():
            assert torch.equal(weight, states[0].weights[name])


def test_variants_permute_or_share_the_mask_that_was_found(finished_once):
    found, shuffled = (
        load_masks(finished_once.root / FOLDER / f"gem_miner/{v}/level1/mask.safetensors")
        for v in ("unmodified", "shuffled")
    )
    assert any(not torch.equal(found[name], shuffled[name]) for name in found)
    for name, mask in found.items():
        assert mask.sum() == shuffled[name].sum()
    told = json.loads(
        (finished_once.root / FOLDER / "gem_miner/reinitialized/level1/state.json").read_text()
    )
    assert told["parents"]["mask"]["path"].endswith("gem_miner/unmodified/level1/mask.safetensors")
    assert not (
        finished_once.root / FOLDER / "gem_miner/reinitialized/level1/mask.safetensors"
    ).exists()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        # A search, its mask and the shuffled one, and what is trained under them.
        ("strengths: {gem_miner: 1.0e-4}", "strengths: {gem_miner: 2.0e-4}",
         {"search": 1, "prune": 2, "found": 3}),
        ("strengths: [0, 0.01]", "strengths: [0, 0.02]", {"search": 1, "prune": 1, "found": 1}),
        ("weight_decay: 1.0e-4", "weight_decay: 2.0e-4", {"found": 6}),
    ],
)  # fmt: skip
def test_a_change_repeats_what_it_reaches_and_no_more(finished, old, new, expected):
    finished.edit("config/studies/small.yaml", old, new)
    assert planned(finished) == expected


def test_a_killed_search_goes_on_and_ends_in_the_same_bytes(finished_once, tmp_path):
    project = finished_once.copy(tmp_path / "project")
    project.edit("config/studies/small.yaml", "search:\n    epochs: 4", "search:\n    epochs: 250")
    whole = project.copy(tmp_path / "whole")
    target = f"{FOLDER}/search/gem_miner/unmodified/level1/network.safetensors"
    folder = (project.root / target).parent
    index = folder.with_name("level1.resume") / "index.json"
    run = project.start(target)
    deadline = time.monotonic() + 90
    while not index.exists():
        assert run.poll() is None, "the search ended before it could be killed"
        assert time.monotonic() < deadline, f"{index} did not appear"
        time.sleep(0.02)
    kill_group(run)
    project.snakemake("--unlock")
    project.snakemake(target)
    log = project.root / "logs/small/seed0/gem_miner/search/gem_miner/unmodified/level1.log"
    assert "resumed after" in log.read_text()
    whole.snakemake(target)
    assert project.files() == whole.files()
    assert not index.parent.exists()


def test_other_studies_do_not_have_it_and_say_so(finished):
    for target, message in (
        ("results/tiny/gem_miner_layers.csv", "'tiny' has no `gem_miner` section"),
        (f"{FOLDER}/search/gem_miner/shuffled/level1/summary.json", "does not search by gem_miner"),
        (f"{FOLDER}/smart_ratio/shuffled/level1/summary.json", "does not train what is found by"),
    ):
        output = finished.snakemake("--dry-run", target, check=False)
        assert message in output, output
