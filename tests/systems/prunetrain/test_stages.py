"""What the stages write, against what was trained."""

import csv
import json
from dataclasses import replace

import pytest
import torch

from pruning.models.cost import training_macs
from pruning.stages.context import StageContext
from pruning.stages.dense import dense
from pruning.systems.prunetrain import records
from pruning.systems.prunetrain.method import Settings, train_prunetrain
from pruning.systems.prunetrain.stages.finetune import finetune
from pruning.systems.prunetrain.stages.shrink import _spent, shrink
from pruning.training.checkpoint import load_state
from pruning.training.loop import Trained

SETTINGS = {
    "ratio": 0.5, "interval": 4, "threshold": 0.01, "epsilon": 1e-4,
    "growth": {"maximum": 1024, "multiple": 32},
}  # fmt: skip
RECIPE = {
    "epochs": 16,
    "batches": {"size": 64, "epoch_boundary": "keep"},
    "optimizer": {"weight_decay": 5e-4, "options": {"momentum": 0.8}},
    "schedule": {"shape": "step", "learning_rate": 0.1, "milestones": [12]},
}
OWN = {**RECIPE, "epochs": 2}
BOUND = 1.8 * 0.01  # (1 + momentum) * sqrt(epsilon)


def study(network="small_cnn", options=None):
    return StageContext(
        "tiny", 0,
        {
            "kind": "classification",
            "dataset": "digits",
            "validation": {"source": "test", "fraction": 0.2},
            "network": {"name": network, "initialization": "kaiming_normal",
                        "options": options or {}},
            "recipe": OWN,
            "exempt": [],
        },
        "v",
    )  # fmt: skip


def told(folder):
    return json.loads((folder / "summary.json").read_text())


def rows(folder, name):
    return list(csv.DictReader((folder / f"{name}.csv").open()))


@pytest.fixture(scope="module")
def trained(digits_file, tmp_path_factory):
    """The stages of a study: dense, PruneTrain, and a network that is pruned and trained on."""
    folder = tmp_path_factory.mktemp("prunetrain")
    context = study()
    dense(context, digits_file, folder / "dense", ())
    for name, start in (
        ("prunetrain", None),
        ("train_then_prune", folder / "dense/state.safetensors"),
    ):
        shrink(
            context, digits_file, start, folder / name, method=name, variant="unmodified", level=2,
            recipe=RECIPE, settings=SETTINGS | {"method": name},
        )  # fmt: skip
    finetune(
        context, digits_file, folder / "train_then_prune", folder / "fine_tuned",
        method="train_then_prune", variant="fine_tuned", level=2, recipe=OWN, ratio=0.5,
    )  # fmt: skip
    return folder


def test_the_summary_says_how_strong_the_penalty_was(trained, digits_file):
    summary = told(trained / "prunetrain")
    assert (summary["ratio"], summary["threshold"]) == (0.5, 0.01)
    assert summary["bound"] == pytest.approx(BOUND)
    assert 2 < summary["initial_loss"] < 4 < 50 < summary["initial_penalty"]
    strength = summary["initial_loss"] / summary["initial_penalty"]  # at a ratio of a half
    assert summary["strength"] == pytest.approx(strength)
    assert (summary["retrain_time"], summary["training_time"]) == (16, 2)
    # Its own data order, but the initial weights of PruneTrain: not those it begins with.
    other = told(trained / "train_then_prune")
    assert other["initial_penalty"] == summary["initial_penalty"]


def test_costs_are_of_what_each_epoch_trained(trained):
    metrics = rows(trained / "prunetrain", "metrics")
    macs = [int(row["inference_macs"]) for row in metrics]
    assert macs[0] > macs[-1]
    assert len(set(macs)) > 2
    summary = told(trained / "prunetrain")
    assert summary["training_macs"] == sum(training_macs(m, 1352) for m in macs)
    assert summary["training_steps"] == int(metrics[-1]["step"]) == 16 * 22
    before, after = told(trained / "dense"), told(trained / "train_then_prune")
    assert after["training_macs"] == before["training_macs"] + 16 * training_macs(macs[0], 1352)
    assert after["training_steps"] == before["training_steps"] + 16 * 22
    tuned = told(trained / "fine_tuned")
    assert tuned["training_macs"] == after["training_macs"] + training_macs(tuned["macs"], 2 * 1352)


@pytest.mark.parametrize("name", ["prunetrain", "train_then_prune", "fine_tuned"])
def test_sizes_are_those_of_the_network_that_is_left(trained, name):
    state, summary = load_state(trained / name / "state.safetensors"), told(trained / name)
    kernels = sum(w.numel() for w in state.weights.values() if w.ndim > 1)
    assert summary["parameters"] == sum(w.numel() for w in state.weights.values()) < 3682
    assert summary["density"] == kernels / 3592
    assert summary["density"] == summary["mask_density"] == summary["effective_density"]


def test_tables_of_layers_and_seconds(trained):
    folder = trained / "prunetrain"
    state = load_state(folder / "state.safetensors")
    for position, row in enumerate(rows(folder, "layers")):
        weight = state.weights[f"{row['layer']}.weight"]
        assert int(row["position"]) == position
        assert (int(row["outputs"]), int(row["inputs"])) == tuple(weight.shape[:2])
        assert int(row["outputs_before"]) >= int(row["outputs"])
    assert [int(r["outputs_before"]) for r in rows(folder, "layers")] == [8, 16, 32, 10]
    seconds = rows(folder, "seconds")
    assert [int(row["steps"]) for row in seconds] == [22] * 16
    assert len({row["parameters"] for row in seconds}) > 1


def test_tables_of_channels_and_filters(make_task):
    task = make_task("small_cnn", {"widths": [8, 16], "hidden": 24}, epochs=12, milestones=(8,))
    how = Settings(ratio=0.5, interval=2, threshold=1e-2, epsilon=1e-4)
    result = train_prunetrain(task, task.initial_state(0, "dense"), how)
    found = records.channel_rows(result)
    for row in found:
        history = result.history[row["epoch"]][row["layer"]].tolist()
        size = result.sizes[row["epoch"]][row["layer"]][history.index(row["channel"])]
        assert row["size"] == float(size)
    last = [r["channel"] for r in found if r["epoch"] == 12 and r["layer"] == "fc1"]
    assert last != list(range(len(last)))  # places in the layer as built
    weights = dict(result.last.weights)
    weights["conv2.weight"] = -weights["conv2.weight"].abs()
    negative = replace(result, last=replace(result.last, weights=weights))
    sizes = weights["conv2.weight"].abs().amax((2, 3))
    filters = [r for r in records.filter_rows(negative) if r["layer"] == "conv2"]
    assert len(filters) == sizes.numel()
    assert sizes.shape[0] != sizes.shape[1]
    for row in filters:
        assert row["size"] == float(sizes[row["output"], row["input"]])


def test_a_network_without_convolutions_has_no_filters(digits_file, tmp_path):
    shrink(
        study("mlp", {"widths": [24]}), digits_file, None, tmp_path / "x", method="prunetrain",
        variant="unmodified", level=1, recipe={**RECIPE, "epochs": 5},
        settings=SETTINGS | {"method": "prunetrain"},
    )  # fmt: skip
    assert rows(tmp_path / "x", "filters") == []
    assert (tmp_path / "x/filters.csv").read_text() == "layer,position,input,output,size\n"
    assert told(tmp_path / "x")["parameters"] <= 24 * 65 + 250
    assert torch.isfinite(load_state(tmp_path / "x/state.safetensors").weights["fc1.weight"]).all()


def test_costs_are_of_the_images_that_were_seen_however_epochs_are_counted(make_task):
    """Two epochs of 10 steps and a half are 25 batches of 64."""
    task = make_task(epochs=3, milestones=(), epoch_steps=10)
    ends = [{"epoch": e, "inference_macs": macs} for e, macs in ((1.0, 7), (2.0, 5), (2.5, 3))]
    trained = Trained(task.initial_state(0), ends, {}, steps=25, seconds=1.0)
    spent = _spent(task, trained, None)
    images = {7: 640, 5: 640, 3: 320}
    assert spent["training_steps"] == 25
    assert spent["training_macs"] == sum(training_macs(m, n) for m, n in images.items())
