"""Global sparse momentum SGD through the workflow."""

import json

import pandas as pd
import pytest
import torch

from pruning.training.checkpoint import load_masks, load_state
from tests.workflow.conftest import TINY, make_project

SECTION = """
gsm:
  recipe:
    epochs: 2
    batches: {size: 64}
    optimizer:
      name: gsm
      weight_decay: 1.0e-3
      decay_exclude: [bias]
      options: {momentum: 0.98}
    schedule: {learning_rate: 0.05}
  ratios: [4, 10]
  ablations:
    slow: {options: {momentum: 0.9}}
    frozen: {options: {reselect: false}}
  ablation_levels: [2]
  tickets: [gsm, magnitude]
  sensitivity: [0.5, 0.1]
"""
FIGURES = ("accuracy", "layers", "magnitudes", "momentum", "passive_decay", "reselection",
           "tickets")  # fmt: skip
TRAININGS, ZEROED, TICKETS = 4, 6, 4
FOLDER = "results/small/seed0/gsm"


@pytest.fixture(scope="module")
def finished_once(tmp_path_factory):
    project = make_project(tmp_path_factory.mktemp("gsm") / "project")
    text = TINY[: TINY.index("rewinding:")]
    (project.root / "config/studies/small.yaml").write_text(text + SECTION)
    project.snakemake("plots_small")
    return project


@pytest.fixture
def finished(finished_once, tmp_path):
    return finished_once.copy(tmp_path / "project")


def state_of(project, method):
    return load_state(project.root / FOLDER / method / "unmodified/level2/state.safetensors")


def test_every_figure_and_page_is_there_and_nothing_is_left_to_do(finished_once):
    plots = finished_once.root / "plots/small"
    for name in FIGURES:
        for ending in ("pdf", "png", "csv"):
            assert (plots / f"gsm_{name}.{ending}").stat().st_size > 0
    assert (plots / "gsm_claims.md").read_text().startswith("# Tiny\n")
    assert finished_once.plan(target="plots_small") == {}


def test_every_cell_has_a_row_and_says_what_it_is(finished_once):
    table = pd.read_csv(finished_once.root / "results/small/gsm.csv")
    test = table[(table["split"] == "test") & (table["metric"] == "accuracy")]
    assert len(test) == 1 + ZEROED + TICKETS
    rows = test.set_index(["method", "variant", "level"])
    dense, gsm = rows.loc["dense"].iloc[0], rows.loc[("gsm", "unmodified", 2)]
    assert gsm["density"] == 0.1
    assert gsm["training_steps"] == dense["training_steps"] + 42  # int(2 * 21.125)
    ticket = rows.loc[("gsm_ticket", "unmodified", 2)]
    assert ticket["training_steps"] == gsm["training_steps"] + dense["training_steps"]
    straight = rows.loc[("magnitude_without_retraining", "unmodified", 2)]
    assert straight["training_steps"] == dense["training_steps"]
    before = table[(table["split"] == "test") & (table["metric"] == "accuracy_before_zeroing")]
    before = before.set_index(["method", "level", "variant"])["value"]
    assert (before["magnitude_without_retraining"] == dense["value"]).all()
    curves = pd.read_csv(finished_once.root / "results/small/gsm_curves.csv")
    last = curves[curves["method"] == "gsm"].groupby(["variant", "level"]).last()
    for (variant, level), row in last.iterrows():
        assert row["zeroed_test_score"] == rows.loc[("gsm", variant, level), "value"]
        assert row["test_score"] == before["gsm", level, variant]
    assert last.loc[("slow", 2), "momentum"] == 0.9
    assert not last.loc[("frozen", 2), "reselect"]


def test_zeroed_networks_are_what_the_masks_say(finished_once):
    folder = finished_once.root / FOLDER / "gsm/unmodified/level2"
    masks, state = load_masks(folder / "mask.safetensors"), load_state(folder / "state.safetensors")
    trained = load_state(
        finished_once.root / FOLDER / "training/unmodified/level2/state.safetensors"
    )
    total = sum(mask.numel() for mask in masks.values())
    assert sum(int(mask.sum()) for mask in masks.values()) == total - int(total * 0.9)
    for name, mask in masks.items():
        assert torch.equal(state.weights[name], trained.weights[name] * mask)
    ticket = load_state(
        finished_once.root / FOLDER / "gsm_ticket/unmodified/level2/state.safetensors"
    )
    for name, mask in masks.items():
        assert torch.equal(ticket.weights[name] != 0, mask)
    histogram = pd.read_csv(folder / "magnitudes.csv")
    assert histogram["count"].sum() == total
    told = json.loads((folder / "mask.json").read_text())
    assert told["kept"] == total - int(total * 0.9)


def test_the_tickets_start_from_the_dense_trainings_initial_weights(finished_once):
    folder = finished_once.root / FOLDER
    for method in ("gsm_ticket", "magnitude_ticket"):
        told = json.loads((folder / method / "unmodified/level1/state.json").read_text())
        assert told["parents"]["state"]["path"].endswith("rewind_states/t3.safetensors")
    start = finished_once.root / "results/small/seed0/rewind_states/t3.safetensors"
    assert load_state(start).step == 0


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("slow: {options: {momentum: 0.9}}", "slow: {options: {momentum: 0.8}}",
         {"gsm": 1, "prune": 1, "zero": 1}),
        ("sensitivity: [0.5, 0.1]", "sensitivity: [0.5, 0.2]", {"sensitivity": 1}),
        ("ratios: [4, 10]", "ratios: [4, 10, 20]",
         {"gsm": 1, "prune": 2, "zero": 2, "ticket": 2}),
        ("momentum: 0.98", "momentum: 0.97",
         {"gsm": 3, "prune": 3, "zero": 3, "ticket": 2}),
    ],
)  # fmt: skip
def test_a_change_repeats_what_it_reaches_and_no_more(finished, old, new, expected):
    finished.edit("config/studies/small.yaml", old, new)
    jobs = finished.plan(target="plots_small")
    trained = ("dense", "gsm", "prune", "zero", "ticket", "sensitivity", "rewind_state")
    assert {rule: count for rule, count in jobs.items() if rule in trained} == expected


def test_a_deleted_output_is_made_again_to_the_same_bytes(finished):
    before = finished.files()
    (finished.root / FOLDER / "training/unmodified/level2/state.safetensors").unlink()
    jobs = finished.plan(target="plots_small")
    assert jobs["gsm"] == 1
    assert "dense" not in jobs
    finished.snakemake("plots_small")
    assert finished.files() == before


def test_other_studies_do_not_have_it_and_say_so(finished):
    for target, message in (
        ("results/tiny/gsm_layers.csv", "'tiny' has no `gsm` section"),
        ("results/tiny/gsm_curves.csv", "'tiny' has no `gsm` section"),
        ("plots/tiny/gsm_accuracy.pdf", "'tiny' has not what gsm_accuracy shows"),
        (f"{FOLDER}/training/slow/level1/summary.json", "does not train by GSM slow 1"),
        (f"{FOLDER}/gsm_ticket/slow/level2/summary.json", "does not train tickets"),
    ):
        output = finished.snakemake("--dry-run", target, check=False)
        assert message in output, output


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ratios: [4, 10]", "ratios: [10, 4]", "gsm.densities must fall"),
        ("ratios: [4, 10]", "ratios: [0.5]", "gsm.ratios.0 is 0.5; it must be at least 1"),
        ("  ratios: [4, 10]\n", "", "either `ratios`"),
        ("ratios: [4, 10]", "densities: [0.5, 1.5]", "outside (0, 1]"),
        ("name: gsm", "name: sgd", "the optimizer is gsm, not 'sgd'"),
        ("{momentum: 0.98}", "{momentun: 0.98}", "Did you mean 'momentum'?"),
        ("{momentum: 0.98}", "{density: 0.5}", "the density is said by"),
        ("slow: {options: {momentum: 0.9}}", "unmodified: {weight_decay: 0}", "is taken"),
        ("slow: {options: {momentum: 0.9}}", "slow: {momentum: 0.9}", "unknown key 'momentum'"),
        ("ablation_levels: [2]", "ablation_levels: [3]", "level 3, but there are 2"),
        ("tickets: [gsm, magnitude]", "tickets: [snip]", "Allowed: gsm, magnitude"),
        ("sensitivity: [0.5, 0.1]", "sensitivity: [0]", "greater than 0"),
    ],
)
def test_mistakes_in_the_section_are_named(finished, old, new, message):
    finished.edit("config/studies/small.yaml", old, new)
    output = finished.snakemake("--dry-run", "plots_small", check=False)
    assert message in output, output
    assert "Traceback" not in output


def test_a_plan_counts_its_jobs_and_steps(finished):
    from pruning.study import planning
    from pruning.study.study import load_study
    from tests.conftest import SCHEMAS

    study = load_study(finished.root / "config/studies/small.yaml", SCHEMAS / "study.schema.yaml")
    counted = planning.jobs(study)
    assert counted == finished.plan("--forceall", target="plots_small")
    planned = planning.plan(study, {"kind": "digits"})
    steps = {rule: work.steps for rule, work in planned.work.items()}
    dense = steps["dense"]
    assert steps == {"dense": dense, "gsm": TRAININGS * 42, "ticket": TICKETS * dense}
