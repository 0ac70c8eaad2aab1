"""Training under masks that were cut before training: degeneracies, and what starts from where."""

import re

import pytest
import torch

import pruning
from pruning.errors import PruningError
from pruning.masks.weights import prune, prune_weights
from pruning.systems.at_init.rules import METHODS, VARIANTS, mask_variant, method, variant
from pruning.systems.at_init.section import read
from pruning.systems.rewinding.method import retrain
from pruning.systems.rewinding.rules import Rule, rule
from pruning.training.dense import train_dense
from pruning.training.pruned import train_pruned
from tests.conftest import REPOSITORY, assert_same_state


@pytest.fixture
def setting(make_task):
    task = make_task("small_cnn", epochs=3, milestones=(1, 2))
    return task, train_dense(task, 0, (3.0, 2.0))


def test_training_from_initialization_is_weight_rewinding_to_step_0(setting):
    task, dense = setting
    masks = prune(task, dense.rewind[3.0], 0.2, score="snip")
    own = train_pruned(task, masks, dense.rewind[3.0], stream=("x",))
    same = retrain(
        task,
        rule("weight_rewind"),
        masks=masks,
        retrain_time=3.0,
        final=dense.final,
        rewind=dense.rewind[3.0],
        stream=("x",),
    )
    assert_same_state(own.state, same.state)
    assert own.steps == task.timeline.total_steps


def test_a_lottery_ticket_is_weight_rewinding_with_a_fresh_optimizer(setting):
    task, dense = setting
    masks = prune(task, dense.final, 0.2)
    own = train_pruned(task, masks, dense.rewind[2.0], schedule="rest", stream=("x",))
    row = Rule("rewind", "rewind", "fresh", "rewind", "schedule")
    same = retrain(
        task,
        row,
        masks=masks,
        retrain_time=2.0,
        final=dense.final,
        rewind=dense.rewind[2.0],
        stream=("x",),
    )
    assert_same_state(own.state, same.state)
    assert own.steps == task.timeline.total_steps - dense.rewind[2.0].step


def test_after_training_the_whole_schedule_begins_anew(setting):
    task, dense = setting
    masks = prune(task, dense.final, 0.2)
    own = train_pruned(task, masks, dense.final)
    assert own.steps == own.state.step == task.timeline.total_steps
    assert own.metrics[0]["learning_rate"] == pytest.approx(0.1)
    with pytest.raises(PruningError, match="the schedule ends at step 63, and the weights are of"):
        train_pruned(task, masks, dense.final, schedule="rest")


def test_fresh_weights_are_new_for_every_run_and_masks_hold(setting):
    task, dense = setting
    masks = prune(task, dense.rewind[3.0], 0.2, score="synflow")
    runs = [train_pruned(task, masks, None, stream=(name,)).state for name in ("a", "a", "b")]
    assert_same_state(runs[0], runs[1])
    name = "conv1.weight"
    assert not torch.equal(runs[0].weights[name], runs[2].weights[name])
    for name, mask in masks.items():
        assert not runs[0].weights[name][~mask].any()


def test_pruning_nothing_is_dense_training(setting):
    task, dense = setting
    state = dense.rewind[3.0]
    pruned = prune_weights(task, state, density=0.02, score="synflow", ranked="nothing")
    assert all(mask.all() for mask in pruned.masks.values())
    own = train_pruned(task, pruned.masks, state, stream=("dense",)).state
    for name, weight in dense.final.weights.items():
        assert torch.equal(own.weights[name], weight), name


def test_silenced_channels_stay_silent(setting):
    task, dense = setting
    masks = prune_weights(
        task,
        dense.rewind[3.0],
        density=0.3,
        score="magnitude",
        keep="smallest",
        ranked="kernels_and_norm_scales",
    ).masks
    assert not masks["norm1.weight"].any()  # scales of 1 are the largest of all
    trained = train_pruned(task, masks, dense.rewind[3.0])
    assert not trained.state.weights["norm1.weight"].any()
    assert trained.metrics[-1]["test_accuracy"] < 0.2


def test_rows_are_found_by_name_and_variants_share_masks():
    assert method("snip") is METHODS["snip"]
    assert variant("inverted") is VARIANTS["inverted"]
    with pytest.raises(PruningError, match="Did you mean 'synflow'"):
        method("sinflow")
    with pytest.raises(PruningError, match="Did you mean 'shuffled'"):
        variant("shuffle")
    assert {name: mask_variant(name) for name in VARIANTS} == {
        "unmodified": "unmodified",
        "shuffled": "shuffled",
        "reinitialized": "unmodified",
        "inverted": "inverted",
    }


def test_the_documents_python_runs(make_task):
    text = (REPOSITORY / "docs" / "pruning-at-init.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    task = make_task("small_cnn")
    images = task.normalize(task.data.train.images[:50])
    names = {"model": task.build(0), "images": images, "labels": task.data.train.labels[:50]}
    exec(code, names)
    assert pruning.density(names["masks"]) == pytest.approx(0.1, abs=1e-3)


def test_the_library_prunes_at_initialization(make_task):
    task = make_task("small_cnn")
    state = task.initial_state(0, "dense")
    selection = dict(iterations=10)
    masks = pruning.prune(task, state, density=0.1, score="synflow", **selection)
    trained = pruning.train_pruned(task, masks, state)
    assert pruning.evaluate(task, trained.state)["test"]["accuracy"] > 0.5


def test_how_long_a_cell_trains_is_what_is_trained(setting):
    """A reinitialized lottery ticket has no step to go on from: it trains for all of T."""
    task, dense = setting
    values = {
        "methods": ["lottery_ticket"],
        "variants": ["unmodified", "reinitialized"],
        "variants_by_method": {},
        "densities": [0.2],
        "iterations": {},
        "score_options": {},
        "images_per_class": 10,
        "rewind_epoch": 1,
    }
    section = read(values, {"recipe": {"epochs": 3}}, {})
    kept, fresh = section.cells
    masks = prune(task, dense.final, 0.2)
    for cell, state in ((kept, dense.rewind[2.0]), (fresh, None)):
        steps = train_pruned(task, masks, state, schedule=method(cell.method).schedule).steps
        assert steps == pytest.approx(section.epochs(cell) * 21.125, abs=1)


def test_only_scores_that_look_at_images_are_told_how_many():
    for name, row in METHODS.items():
        if row.images:
            assert row.score in ("snip", "grasp", "grasp_abs"), name
        else:
            assert row.score in ("random", "magnitude", "synflow"), name
