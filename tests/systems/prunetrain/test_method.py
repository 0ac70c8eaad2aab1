"""Trainings that shrink: what they record, and that a killed one goes on to the same bytes."""

import logging
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from pruning.data.batching import Batching
from pruning.errors import PruningError
from pruning.library import evaluate
from pruning.models.channels import follow
from pruning.systems.prunetrain import method as method_module
from pruning.systems.prunetrain import penalty
from pruning.systems.prunetrain.batches import Growth
from pruning.systems.prunetrain.cost import totals
from pruning.systems.prunetrain.method import Settings, measure, train_prunetrain
from pruning.training.loop import Run
from pruning.training.network import network_of
from pruning.training.recipe import OptimizerConfig
from pruning.training.resume import ResumeFile
from tests.conftest import assert_same_state
from tests.test_callback import Killed, Killing, assert_same_bytes

HOW = Settings(ratio=0.4, interval=2, threshold=1e-2, epsilon=1e-4)


@pytest.fixture
def task(make_task):
    """Small enough to train in a second, and channels of it die."""
    return make_task(
        "small_cnn",
        {"widths": [8, 16], "hidden": 24},
        epochs=12,
        milestones=(8, 10),
        batches=Batching(32, epoch_boundary="keep"),
    )


def trained(task, how=HOW, **more):
    return train_prunetrain(task, task.initial_state(0, "dense"), how, seed=0, **more)


def test_the_penalty_is_that_share_of_the_loss_on_the_first_batch(task):
    state = task.initial_state(0, "dense")
    run = Run(1, task.timeline.schedule(), 0, ("prunetrain",))
    start = measure(task, state, HOW, run)
    share = start.strength * start.value / (start.loss + start.strength * start.value)
    assert share == pytest.approx(HOW.ratio, abs=1e-6)
    module = network_of(task, state).train()
    loss = task.loss(module, task.batches(0, ("prunetrain",)).batch(0))
    assert start.loss == pytest.approx(float(loss.detach()), rel=1e-6)
    groups = penalty.groups_of(module, follow(module, task.example()))
    assert start.value == pytest.approx(float(penalty.penalty(groups, HOW.epsilon).detach()))


def test_a_step_is_one_on_the_loss_with_the_penalty(task):
    """Against a training by hand that differentiates the whole."""
    short = replace(task, recipe=replace(task.recipe, epochs=1))
    how = replace(HOW, interval=1, threshold=1e-9)
    state = short.initial_state(0, "dense")
    result = train_prunetrain(short, state, how, seed=0)
    module = network_of(short, state).train()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    groups = penalty.groups_of(module, follow(module, short.example()))
    batches = short.batches(0, ("prunetrain",))
    for step in range(short.timeline.total_steps):
        optimizer.zero_grad()
        loss = short.loss(module, batches.batch(step))
        (loss + result.start.strength * penalty.penalty(groups, how.epsilon)).backward()
        optimizer.step()
    for name, parameter in module.named_parameters():
        torch.testing.assert_close(
            result.trained.state.weights[name], parameter.detach(), rtol=1e-3, atol=1e-4, msg=name
        )
    last = result.trained.metrics[-1]
    value = result.start.strength * penalty.penalty(groups, how.epsilon).detach()
    assert last["penalty"] == pytest.approx(float(value), rel=1e-4)


def test_a_network_shrinks_and_its_records_say_how(task):
    result = trained(task)
    rows = result.trained.metrics
    assert [row["epoch"] for row in rows] == list(range(1, 13))
    assert sum(row["removed_channels"] for row in rows) >= 5
    assert all(row["removed_channels"] == 0 for row in rows if row["epoch"] % 2)
    for name in ("inference_macs", "training_macs", "norm_traffic", "parameters", "out_channels"):
        values = [row[name] for row in rows]
        assert values == sorted(values, reverse=True), name  # never more again
    # An epoch has the costs of the network it trained, so a cut shows in the next.
    first = next(i for i, row in enumerate(rows) if row["removed_channels"])
    assert rows[first]["parameters"] == rows[0]["parameters"] > rows[first + 1]["parameters"]
    module = network_of(task, result.trained.state)
    costs = totals(module, task.example())
    assert costs.inference_macs <= rows[-1]["inference_macs"]
    assert all(row["logit_change"] < 1e-2 for row in rows)
    assert all(abs(row["score_change"]) <= 0.01 for row in rows)
    scores = evaluate(task, result.trained.state)
    assert scores["test"]["accuracy"] == rows[-1]["test_accuracy"] > 0.8
    assert rows[0]["rate_times_strength"] == pytest.approx(0.1 * result.start.strength)
    assert rows[-1]["rate_times_strength"] == pytest.approx(0.001 * result.start.strength)


def test_a_reconfiguration_changes_no_logits_to_speak_of(task):
    """Columns are compared with the states before and after the last one."""
    once = trained(task, replace(HOW, method="prunetrain_one_time"))
    last = once.trained.metrics[-1]
    assert last["removed_channels"] > 0
    assert all(row["removed_channels"] == 0 for row in once.trained.metrics[:-1])
    images, _ = task.batches(0, ("prunetrain",)).batch(0)
    with torch.no_grad():
        before = network_of(task, once.last).eval()(images)
        after = network_of(task, once.trained.state).eval()(images)
    change = float((after - before).norm() / before.norm())
    assert last["logit_change"] == pytest.approx(change, rel=1e-3, abs=1e-7)
    scores = [evaluate(task, s)["test"]["accuracy"] for s in (once.last, once.trained.state)]
    assert last["score_change"] == pytest.approx(scores[1] - scores[0])


METHODS = {
    "prunetrain": {},
    "prunetrain_dynamic_batch": {"ratio": 0.7, "growth": Growth(96, 4)},
    "prunetrain_gating": {},
    "prunetrain_proximal": {"ratio": 0.3},
}


def test_a_larger_batch_and_epochs_of_so_many_steps_exclude_each_other(task):
    how = replace(HOW, method="prunetrain_dynamic_batch", **METHODS["prunetrain_dynamic_batch"])
    counted = replace(task, recipe=replace(task.recipe, epoch_steps=22))
    with pytest.raises(PruningError, match=r"epoch_steps: 22.*Take epoch_steps out"):
        train_prunetrain(counted, task.initial_state(0), how, steps=0)


def test_lambda_follows_from_the_loss_of_groups(task):
    """The first batch is normalized as the training normalizes it."""
    start = []
    for group in (None, 32, 8):
        grouped = replace(task, recipe=replace(task.recipe, batch_norm_group=group))
        start.append(train_prunetrain(grouped, task.initial_state(0), HOW, steps=0).start)
    assert start[0] == start[1]
    assert start[2].loss != start[0].loss
    assert start[2].value == start[0].value


@pytest.mark.parametrize(
    ("method", "epoch"),
    [("prunetrain", 3), ("prunetrain", 5), *((m, epoch) for m in METHODS for epoch in (4, 9))],
)
def test_a_killed_training_goes_on_to_the_same_bytes(task, tmp_path, method, epoch):
    """Killed before, at and after reconfigurations."""
    how = replace(HOW, method=method, **METHODS[method])
    whole = trained(task, how)
    assert sum(row["removed_channels"] for row in whole.trained.metrics) > 0
    grows = whole.trained.metrics[-1]["batch"] > whole.trained.metrics[0]["batch"]
    assert grows == (method == "prunetrain_dynamic_batch")
    with pytest.raises(Killed):
        trained(task, how, resume=Killing(tmp_path / "r", epoch))
    again = trained(task, how, resume=ResumeFile(tmp_path / "r", "same"))
    assert_same_bytes(whole.trained, again.trained, tmp_path)
    assert again.start == whole.start
    assert again.sizes.keys() == whole.sizes.keys()
    for which in ("sizes", "history"):
        for by_epoch, other in zip(
            getattr(whole, which).values(), getattr(again, which).values(), strict=True
        ):
            assert all(torch.equal(by_epoch[name], other[name]) for name in by_epoch)
    assert_same_state(whole.last, again.last)


@pytest.mark.parametrize("moment", ["reconfigure", "network_of"])
def test_a_training_killed_inside_a_reconfiguration_goes_on_to_the_same_bytes(
    task, tmp_path, monkeypatch, moment
):
    class Saving(ResumeFile):
        def offer(self, progress):
            self.save(progress())

    whole = trained(task)
    kept = getattr(method_module, moment)
    calls = []

    def killing(*arguments, **more):
        calls.append(moment)
        if len(calls) == 3:
            raise Killed
        return kept(*arguments, **more)

    monkeypatch.setattr(method_module, moment, killing)
    with pytest.raises(Killed):
        trained(task, resume=Saving(tmp_path / "r", "same"))
    monkeypatch.undo()
    done = ResumeFile(tmp_path / "r", "same").load().done
    assert 0 < done < whole.trained.steps
    again = trained(task, resume=ResumeFile(tmp_path / "r", "same"))
    assert_same_bytes(whole.trained, again.trained, tmp_path)


def test_batches_grow_as_memory_is_freed(task):
    how = replace(HOW, method="prunetrain_dynamic_batch", ratio=0.7, growth=Growth(96, 4))
    result = trained(task, how)
    rows = result.trained.metrics
    sizes = [row["batch"] for row in rows]
    assert sizes == sorted(sizes)
    assert sizes[0] == 32 < sizes[-1] <= 96
    budget = rows[0]["memory"]
    assert all(row["memory"] <= budget for row in rows)
    images, step = task.examples("train"), 0
    for row in rows:
        assert row["step"] - step == -(-images // row["batch"])
        rate = 0.1 if row["epoch"] <= 8 else 0.01 if row["epoch"] <= 10 else 0.001
        assert row["learning_rate"] == pytest.approx(rate * row["batch"] / 32)
        step = row["step"]
    fixed = trained(task, replace(how, growth=Growth(32, 32)))
    plain = trained(task, replace(how, method="prunetrain"))
    assert fixed.trained.metrics == plain.trained.metrics


def test_a_training_that_begins_trained_has_the_strength_of_one_that_does_not(task):
    initial, dense = task.initial_state(0, "dense"), trained(task, replace(HOW, ratio=0.01))
    how = replace(HOW, method="train_then_prune")
    first = train_prunetrain(task, initial, HOW, seed=0).start
    later = train_prunetrain(task, dense.trained.state, how, initial=initial, seed=0)
    assert later.start == first
    assert later.trained.metrics[0]["train_loss"] < first.loss / 2


def test_a_cut_that_hurts_is_written_down_and_told(task, caplog):
    how = replace(HOW, threshold=0.5, interval=6)
    with caplog.at_level(logging.WARNING, "pruning"):
        result = trained(task, how)
    row = result.trained.metrics[5]
    assert row["removed_channels"] > 5
    assert row["logit_change"] > 0.1
    assert row["score_change"] < -0.02
    assert "changed the logits by" in caplog.text


def test_memory_is_of_the_batch_and_the_network_of_the_epoch(task):
    how = replace(HOW, method="prunetrain_dynamic_batch", ratio=0.7, growth=Growth(96, 4))
    rows = trained(task, how).trained.metrics
    for before, after in pairwise(rows):
        if after["batch"] > before["batch"] and after["parameters"] == before["parameters"]:
            assert after["memory"] > before["memory"]
        if after["batch"] == before["batch"] and after["activations"] < before["activations"]:
            assert after["memory"] < before["memory"]
    # As much as fits: with one multiple more it would not have.
    last = rows[-1]
    per_image = (last["memory"] - 12 * last["parameters"]) / last["batch"]
    assert last["memory"] + 4 * per_image > rows[0]["memory"]


def test_a_network_of_which_nothing_can_go_is_refused_before_it_trains(make_task):
    task = make_task("mlp", {"widths": []})
    with pytest.raises(PruningError, match="no channel of this network may go"):
        trained(task)


def test_larger_ratios_leave_less(task):
    left = [trained(task, replace(HOW, ratio=r)).trained.state for r in (0.05, 0.3, 0.6)]
    counts = [sum(w.numel() for w in state.weights.values()) for state in left]
    assert counts[0] > counts[1] > counts[2]


def test_sizes_of_channels_are_noted_by_their_place_in_the_network_as_built(task):
    result = trained(task)
    assert sorted(result.sizes) == [2, 4, 6, 8, 10, 12]
    first, last = result.history[2], result.history[12]
    assert first["conv2"].tolist() == list(range(16))
    assert set(last["fc1"].tolist()) < set(range(24))
    assert len(result.sizes[12]["fc1"]) == len(last["fc1"])
    kept = result.trained.state.shape["fc1/outputs"].tolist()
    assert set(kept) <= set(last["fc1"].tolist())
    weight = result.last.weights["fc1.weight"]
    assert torch.equal(result.sizes[12]["fc1"], weight.abs().amax(1))


def test_beyond_the_bound_of_stability_there_is_a_warning(task, caplog):
    short = replace(task, recipe=replace(task.recipe, epochs=1))
    for epsilon, warned in ((1e-4, False), (1e-8, True)):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "pruning"):
            how = replace(HOW, interval=1, epsilon=epsilon)
            train_prunetrain(short, short.initial_state(0, "dense"), how)
        assert ("beyond the bound of stability" in caplog.text) == warned


@pytest.mark.parametrize("optimizer", ["adam"])
def test_any_optimizer_shrinks_along(make_task, optimizer):
    task = make_task(
        "small_cnn", {"widths": [8, 16], "hidden": 24}, epochs=12, learning_rate=0.003,
        milestones=(8,), optimizer=OptimizerConfig(optimizer),
    )  # fmt: skip
    result = trained(task, replace(HOW, ratio=0.7, threshold=3e-2, epsilon=1e-3))
    assert sum(row["removed_channels"] for row in result.trained.metrics) > 0
    for key, slot in result.trained.state.slots.items():
        weight = result.trained.state.weights[key.partition("/")[2]]
        assert slot.ndim == 0 or slot.shape == weight.shape


def test_a_network_that_cannot_be_followed_is_refused_before_it_trains(task):
    class Branching(torch.nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    class Odd(type(task)):
        def build(self, seed=None):
            return torch.nn.Sequential(Branching(), super().build(seed))

    odd = Odd(task.data, task.network, task.recipe)
    with pytest.raises(PruningError, match="cannot be followed"):
        train_prunetrain(odd, odd.initial_state(0), HOW)
