"""Networks that shrink while they train, through the workflow."""

import json

import pandas as pd
import pytest

from pruning.deploy.trained import load_trained
from pruning.training.checkpoint import load_state
from tests.workflow.conftest import TINY, make_project

SECTION = """
prunetrain:
  methods: [prunetrain, prunetrain_one_time, train_then_prune]
  ratios: [0.3, 0.5]
  ratios_by_method: {prunetrain_one_time: [0.5], train_then_prune: [0.5]}
  interval: 5
  threshold: 0.01
  epsilon: 1.0e-4
  recipe:
    epochs: 30
    batches: {size: 64}
    optimizer: {weight_decay: 5.0e-4, options: {momentum: 0.9}}
    schedule: {learning_rate: 0.1, milestones: [20]}
  finetune:
    epochs: 1
    batches: {size: 64}
    schedule: {learning_rate: 0.01}
"""
TABLES = tuple(
    f"results/small/prunetrain{name}.csv"
    for name in ("", "_epochs", "_layers", "_channels", "_filters", "_seconds")
)
FOLDER = "results/small/seed0/prunetrain"
RULES = ("shrink", "finetune", "dense")
STEPS = int(30 * 1352 / 64)  # of 30 epochs; batches straddle them


def with_section(root):
    project = make_project(root)
    text = TINY[: TINY.index("rewinding:")]
    text = text.replace("{name: mlp, options: {widths: [16]}}", "{name: small_cnn}")
    (project.root / "config/studies/small.yaml").write_text(text + SECTION)
    return project


def planned(project, *arguments):
    jobs = project.plan(*arguments, target=TABLES[0])
    return {rule: count for rule, count in jobs.items() if rule in RULES}


@pytest.fixture(scope="module")
def finished_once(tmp_path_factory):
    project = with_section(tmp_path_factory.mktemp("prunetrain") / "project")
    project.snakemake(*TABLES)
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
    assert (told["shrink"], told["finetune"]) == (4, 1)
    assert "Nothing to be done" in finished_once.snakemake("--dry-run", *TABLES)
    steps = {r: w.steps for r, w in planning.plan(study, {"kind": "digits"}).work.items()}
    assert steps["shrink"] == 4 * STEPS


def test_the_tidy_table_counts_what_is_left_and_what_it_cost(finished_once):
    table = pd.read_csv(finished_once.root / TABLES[0])
    test = table[(table["split"] == "test") & (table["metric"] == "accuracy")]
    rows = test.set_index(["method", "variant", "level"])
    dense = test[test["method"] == "dense"].iloc[0]
    shrunk = rows.loc[("prunetrain", "unmodified", 2)]
    assert shrunk["density"] < 0.9
    assert shrunk["macs"] < dense["macs"]
    assert shrunk["density"] == shrunk["mask_density"] == shrunk["effective_density"]
    network = load_trained(finished_once.root / FOLDER / "prunetrain/unmodified/level2")
    assert network.macs == shrunk["macs"]
    # The dense training has 3 epochs, the others 30; they cost less as they shrink.
    once = rows.loc[("prunetrain_one_time", "unmodified", 2)]
    assert once["training_macs"] == 3 * dense["macs"] * 64 * STEPS > shrunk["training_macs"]
    first = rows.loc[("train_then_prune", "unmodified", 2)]
    tuned = rows.loc[("train_then_prune", "fine_tuned", 2)]
    assert first["training_steps"] == once["training_steps"] + dense["training_steps"]
    assert tuned["macs"] == first["macs"]
    assert tuned["training_macs"] - first["training_macs"] == pytest.approx(
        3 * 1352 * tuned["macs"], rel=0.02
    )  # an epoch


def test_gathered_tables_say_cells_and_agree(finished_once):
    epochs, layers, channels, filters, seconds = (
        pd.read_csv(finished_once.root / name) for name in TABLES[1:]
    )
    assert set(epochs["method"]) == {"prunetrain", "prunetrain_one_time", "train_then_prune"}
    mine = epochs[(epochs["method"] == "prunetrain") & (epochs["level"] == 2)]
    assert (mine["ratio"] == 0.5).all()
    assert len(mine) == 30
    assert mine["parameters"].is_monotonic_decreasing
    summary = json.loads(
        (finished_once.root / FOLDER / "prunetrain/unmodified/level2/summary.json").read_text()
    )
    assert mine["strength"].unique() == pytest.approx([summary["strength"]])
    assert mine["rate_times_strength"].iloc[0] == pytest.approx(0.1 * summary["strength"])
    own = layers[(layers["method"] == "prunetrain") & (layers["level"] == 2)].set_index("layer")
    state = load_state(
        finished_once.root / FOLDER / "prunetrain/unmodified/level2/state.safetensors"
    )
    for name in ("conv1", "conv2", "fc1", "fc2"):
        assert own.loc[name, "outputs"] == len(state.weights[f"{name}.weight"])
        assert own.loc[name, "inputs"] == state.weights[f"{name}.weight"].shape[1]
    assert own["inference_macs"].sum() == summary["macs"]
    assert set(channels["method"]) == {"prunetrain_one_time", "train_then_prune"}
    assert sorted(channels["epoch"].unique()) == [5, 10, 15, 20, 25, 30]
    assert (channels["threshold"] == 0.01).all()
    assert set(filters["layer"]) == {"conv1", "conv2"}
    assert (seconds["seconds"] > 0).all()
    assert len(seconds) == 4 * 30


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("interval: 5", "interval: 6", {"shrink": 4, "finetune": 1}),
        ("schedule: {learning_rate: 0.01}", "schedule: {learning_rate: 0.02}", {"finetune": 1}),
        ("ratios: [0.3, 0.5]", "ratios: [0.3, 0.5, 0.6]", {"shrink": 1}),
    ],
)
def test_a_change_repeats_what_it_reaches_and_no_more(finished, old, new, expected):
    finished.edit("config/studies/small.yaml", old, new)
    assert planned(finished) == expected
