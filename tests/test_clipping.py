"""Clipping: by hand, in groups, by several processes, and with masks."""

import itertools
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import pruning
from pruning.errors import PruningError
from pruning.share import WHOLE, Share
from pruning.stages.trial import few
from pruning.study.study import load_study
from pruning.training.backward import backward_of, clip_
from pruning.training.callback import Callback
from pruning.training.loop import Run, train
from pruning.training.recipe import Recipe
from pruning.training.resume import ResumeFile
from tests import together
from tests.conftest import REPOSITORY, SCHEMAS, assert_same_state
from tests.test_callback import Killed, Killing
from tests.test_tasks import RECIPE, Draws, Regression

CUT = ("0.weight", "2.weight")


class Shared(Draws):
    """Batches that can be shared out; every third has three examples."""

    def size(self, index):
        return 3 if index % 3 == 2 else 16

    def batch(self, index, share=WHOLE):
        first, stop = share.rows(self.size(index))
        return {key: value[first:stop] for key, value in super().batch(index).items()}


class Sharing(Regression):
    def batches(self, seed, stream):
        return Shared(*self.data("train"), 7)

    def loss(self, module, batch):
        error = (module(batch["given"]) - batch["wanted"]).square()
        return error.sum() if self.recipe.loss == "sum" else error.mean()


def task(**changes):
    return Sharing({"train": 160, "validation": 50, "test": 100}, replace(RECIPE, **changes))


def gradients(given, module, mask=lambda: None, callback=None):
    for parameter in module.parameters():
        parameter.grad = None
    loss = backward_of(given, module, given.batches(0, ()), callback, mask)(0, 0)
    return [p.grad.clone() for p in module.parameters()], loss


def norm_of(tensors):
    return sum(float(t.double().square().sum()) for t in tensors) ** 0.5


def test_what_is_longer_is_scaled_to_the_norm_and_what_is_shorter_stays_bit_for_bit():
    given = [torch.tensor([3.0, 0.0]), torch.tensor([[4.0]])]
    clip_(given, 2.5)
    assert [t.tolist() for t in given] == [[1.5, 0.0], [[2.0]]]
    short = [torch.rand(50), torch.rand(3, 4)]
    same = [t.clone() for t in short]
    clip_(short, 1e3)
    assert all(map(torch.equal, short, same))
    nothing = [torch.zeros(3)]
    clip_(nothing, 1.0)
    assert not nothing[0].any()
    clip_([], 1.0)


@pytest.mark.parametrize("loss", ["mean", "sum"])
@pytest.mark.parametrize("groups", [1, 8, 5])
def test_parts_are_clipped_each_by_itself_and_added_up(loss, groups):
    given = task(loss=loss, clip=0.3, clip_groups=groups)
    module = given.build(0)
    found, reported = gradients(given, module)
    batch, expected, total = given.batches(0, ()).batch(0), None, 0.0
    for number in range(groups):
        first, stop = Share(number, groups).rows(16)
        part = {key: value[first:stop] for key, value in batch.items()}
        error = (module(part["given"]) - part["wanted"]).square()
        value = error.sum() / (16 if loss == "mean" else 1)
        each = torch.autograd.grad(value, list(module.parameters()))
        factor = min(1.0, 0.3 / norm_of(each))
        each = [g * factor for g in each]
        before = expected or [torch.zeros_like(g) for g in each]
        expected = [a + b for a, b in zip(before, each, strict=True)]
        total += float(value.detach())
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)
    assert float(reported) == pytest.approx(total, rel=1e-6)
    if loss == "sum":  # all of them are clipped, so the sum is not of the norm itself
        assert (abs(norm_of(found) - 0.3) < 1e-6) == (groups == 1)


def test_masked_weights_do_not_count_in_the_norm():
    given = task(clip=0.01, loss="sum")
    module = given.build(0)
    first = next(module.parameters())

    def mask():
        first.grad.mul_(0)

    found, _ = gradients(given, module, mask)
    assert not found[0].any()
    assert norm_of(found) == pytest.approx(0.01)
    parts, _ = gradients(task(clip=0.01, clip_groups=2, loss="sum"), module, mask)
    assert not parts[0].any()
    assert 0.01 < norm_of(parts) <= 0.02 + 1e-8


def test_a_clipped_training_of_a_masked_network_keeps_its_zeros_and_its_norm():
    given = task(clip=1e-3, clip_groups=4, loss="sum")
    state = given.initial_state(0)
    masks = {n: torch.rand_like(state.weights[n]) < 0.5 for n in given.prunable()}
    run = Run(3, lambda step: 1.0, 0, ("clipped",))
    plain = replace(given.recipe.optimizer, weight_decay=0.0, options={})
    given = replace(given, recipe=replace(given.recipe, optimizer=plain))
    ended = train(given, state.masked(masks), run).state
    moved = [ended.weights[n] - state.masked(masks).weights[n] for n in state.weights]
    assert 0 < norm_of(moved) <= 3 * 4e-3 + 1e-6
    for name, mask in masks.items():
        assert not ended.weights[name][~mask].any()


WAYS = {
    "whole": {"loss": "sum", "clip": 0.05},
    "parts": {"loss": "sum", "clip": 0.05, "clip_groups": 4},
    "parts of a mean": {"clip": 0.05, "clip_groups": 4},
    "a sum": {"loss": "sum"},
    "a mean": {},
}


def trained(count):
    """Weights and losses of trainings of a masked network, in each way."""
    found = {}
    for name, changes in WAYS.items():
        given = task(processes=count, **changes)
        state = given.initial_state(0)
        state = state.masked(pruning.select({n: state.weights[n].abs() for n in CUT}, 0.5))
        ended = train(given, state, Run(4, lambda step: 0.001, 0, ("clipped",)))
        weights = {n: weight.numpy() for n, weight in ended.state.weights.items()}
        found[name] = weights, ended.metrics[-1]["train_loss"]
    return found


def test_two_processes_make_of_a_batch_what_one_makes():
    """Clipped or not, of a mean or a sum, and where a batch has fewer examples than parts."""
    alone, (first, second) = trained(1), together.run(2, trained, 2)
    for way, (weights, loss) in alone.items():
        assert first[way][1] == second[way][1] == pytest.approx(loss, rel=1e-5), way
        for name, weight in weights.items():
            assert (first[way][0][name] == second[way][0][name]).all()
            np.testing.assert_allclose(first[way][0][name], weight, rtol=1e-5, atol=1e-7)
    apart = {way: weights["0.weight"] for way, (weights, _) in alone.items()}
    for one, other in itertools.combinations(apart, 2):
        assert np.abs(apart[one] - apart[other]).max() > 1e-6, (one, other)


@pytest.mark.parametrize("groups", [1, 4])
def test_a_clipped_training_that_was_killed_ends_in_the_same_bits(groups, tmp_path):
    given = task(clip=0.05, clip_groups=groups, loss="sum")
    run = Run(30, lambda step: 0.1, 0, ("clipped",))
    whole = train(given, given.initial_state(0), run)
    with pytest.raises(Killed):
        train(given, given.initial_state(0), run, resume=Killing(tmp_path / "r", 1))
    again = train(given, given.initial_state(0), run, resume=ResumeFile(tmp_path / "r", "same"))
    assert_same_state(whole.state, again.state)
    assert whole.metrics == again.metrics


class Partly(nn.Module):
    """Of three layers one never takes part, and one only where there are so many examples."""

    def __init__(self, count):
        super().__init__()
        self.never, self.rarely, self.last = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 1)
        self.count = count

    def forward(self, x):
        return self.last(self.rarely(x) if len(x) == self.count else x)


@pytest.mark.parametrize("count", [4, 3])  # parts of 4, 3, 3, 3 and 3
def test_what_has_a_gradient_in_some_parts_has_it_and_what_has_none_anywhere_has_none(count):
    given, module = task(clip=0.05, clip_groups=5, loss="sum"), Partly(count)
    backward_of(given, module, given.batches(0, ()), None)(0, 0)
    had = {name for name, p in module.named_parameters() if p.grad is not None}
    assert had == {f"{n}.{what}" for n in ("rarely", "last") for what in ("weight", "bias")}
    whole = task(clip=0.05, loss="sum")
    module.zero_grad()
    backward_of(whole, module, whole.batches(0, ()), None)(0, 0)
    assert module.rarely.weight.grad is None
    assert norm_of(p.grad for p in module.last.parameters()) == pytest.approx(0.05)


class Looking(Callback):
    """Notes the norm and the zeros of gradients, and makes them large."""

    def __init__(self):
        self.norms, self.zeros = [], []

    def before_step(self, module, optimizer, step):
        self.norms.append(norm_of(p.grad for p in module.parameters()))
        self.zeros.append(int((module[0].weight.grad == 0).sum()))
        for parameter in module.parameters():
            parameter.grad.fill_(1.0)


def test_callbacks_see_gradients_that_are_masked_and_clipped_and_what_they_do_is_not():
    plain = replace(RECIPE.optimizer, weight_decay=0.0, options={})
    given = task(clip=1e-3, loss="sum", optimizer=plain)
    start = given.initial_state(0)
    masks = {"0.weight": torch.zeros(16, 4, dtype=torch.bool)}
    masks["0.weight"][0] = True
    start = start.masked(masks)
    looking = Looking()
    ended = train(given, start, Run(2, lambda step: 0.5, 0, ("x",)), callback=looking).state
    assert looking.norms == pytest.approx([1e-3, 1e-3], rel=1e-5)
    assert min(looking.zeros) >= 60
    torch.testing.assert_close(ended.weights["0.weight"][0], start.weights["0.weight"][0] - 1)
    assert not ended.weights["0.weight"][1:].any()  # masked again, after the callback


class Penalized(Callback):
    def penalty(self, module, loss, step):
        return 10 * sum(p.square().sum() for p in module.parameters())


def test_a_penalty_is_clipped_with_the_loss_and_refused_where_parts_are():
    module = task().build(0)
    found, _ = gradients(task(clip=0.3), module, callback=Penalized())
    assert norm_of(found) == pytest.approx(0.3, rel=1e-5)
    without, _ = gradients(task(clip=0.3), module)
    assert not torch.allclose(found[0], without[0])
    with pytest.raises(PruningError, match="clip_groups: 2`, and Penalized adds a penalty"):
        gradients(task(clip=0.3, clip_groups=2), module, callback=Penalized())


class Counting(nn.Module):
    """Remembers how many batches it saw, and something that is no number and never changes."""

    def __init__(self, moves):
        super().__init__()
        self.last, self.moves = nn.Linear(4, 1), moves
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))
        self.register_buffer("never", torch.tensor([float("nan"), float("-inf")]))

    def forward(self, x):
        self.seen += self.moves
        return self.last(x)


def test_layers_for_which_parts_would_be_batches_are_refused():
    norm = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 1))
    for module, message in (
        (norm, "the network has batch norms"),
        (Counting(1), "the network's forward pass changes seen, as if each part were a batch"),
    ):
        with pytest.raises(PruningError, match=message):
            gradients(task(clip=0.3, clip_groups=2), module)
        gradients(task(clip=0.3), module)
    gradients(task(clip=0.3, clip_groups=2), Counting(0))


def test_layers_that_normalize_each_example_are_not():
    layers = nn.Unflatten(1, (2, 2)), nn.InstanceNorm1d(2, affine=True), nn.Flatten()
    gradients(task(clip=0.3, clip_groups=2), nn.Sequential(*layers, nn.Linear(4, 1)))


def test_a_study_says_them_and_is_told_what_does_not_go_together(tmp_path):
    shutil.copy(REPOSITORY / "config" / "studies" / "digits.yaml", tmp_path)
    path = tmp_path / "a.yaml"
    schedule = "{shape: pieces, learning_rate: 0.1, pieces: [[8, 0.5]], climb_steps: 2}"
    said = (
        "extends: digits\nrecipe: {{clip: {clip}, clip_groups: {groups}, loss: sum, schedule: "
        "{schedule}}}\n"
    )

    def read(**values):
        told = {"clip": 5, "groups": 8, "schedule": "{learning_rate: 0.1}"} | values
        path.write_text(said.format(**told))
        return load_study(path, SCHEMAS / "study.schema.yaml").task["recipe"]

    recipe = read()
    assert (recipe["clip"], recipe["clip_groups"], recipe["loss"]) == (5, 8, "sum")
    for values, message in (
        ({"clip": "null"}, "recipe: clip_groups is 8, and nothing is clipped"),
        ({"clip": 0}, "recipe.clip is 0; it must be greater than 0"),
        ({"groups": 1.5}, "recipe.clip_groups is 1.5; it must be of type integer"),
        ({"schedule": schedule}, "does not go with `shape: pieces`"),
    ):
        with pytest.raises(PruningError, match=message):
            read(**values)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clip": 0.0}, "clip is a norm above 0"),
        ({"clip": 1.0, "clip_groups": 0}, "clip_groups is 0"),
        ({"clip": 1.0, "clip_groups": 17}, "a batch has 16 examples"),
        ({"clip_groups": 2}, "nothing is clipped: say `clip` too"),
        ({"clip": 1.0, "clip_groups": 3, "processes": 2}, "cannot be shared out evenly"),
        ({"loss": "median"}, "median"),
        ({"label_smoothing": 1.0}, "label_smoothing must lie in"),
    ],
)
def test_impossible_recipes_are_refused(changes, message):
    with pytest.raises(PruningError, match=message):
        replace(RECIPE, **changes)
    values = RECIPE.to_dict() | {"clip": 5.0, "clip_groups": 8, "loss": "sum"}
    assert Recipe.from_dict(values).to_dict() == values


def test_masked_weights_do_not_count_in_the_norm_of_a_training():
    """Every step is clipped, so plain SGD moves what is left by just the norm."""
    plain = replace(RECIPE.optimizer, weight_decay=0.0, options={})
    given = task(clip=1e-3, loss="sum", optimizer=plain)
    state = given.initial_state(0)
    masks = {name: torch.zeros_like(state.weights[name]) > 0 for name in given.prunable()}
    masks["2.weight"][0, 3] = True
    masks["0.weight"][3] = True
    start = state.masked(masks)
    ended = train(given, start, Run(1, lambda step: 1.0, 0, ("clipped",))).state
    moved = norm_of([ended.weights[n] - start.weights[n] for n in start.weights])
    assert moved == pytest.approx(1e-3, rel=1e-3)


def test_images_have_sums_and_smoothed_labels_too(make_task):
    task = make_task()
    module = task.build(0)
    batch = task.batches(0, ("x",)).batch(0)
    images, labels = batch
    for reduction, smoothing in (("mean", 0.0), ("sum", 0.0), ("sum", 0.2), ("mean", 0.2)):
        recipe = replace(task.recipe, loss=reduction, label_smoothing=smoothing)
        given = replace(task, recipe=recipe)
        expected = nn.functional.cross_entropy(
            module(images), labels, reduction=reduction, label_smoothing=smoothing
        )
        assert torch.equal(given.loss(module, batch), expected)
        mean = nn.functional.cross_entropy(module(images), labels, label_smoothing=smoothing)
        assert torch.equal(given.scoring_loss(module, batch), mean)
        assert given.weight(2, 8) == (1.0 if reduction == "sum" else 0.25)


def test_a_trial_clips_in_as_many_parts_as_it_has_examples():
    assert few(task(clip=1.0, clip_groups=8)).recipe.clip_groups == 2
    assert few(task(clip=1.0)).recipe.clip_groups == 1
