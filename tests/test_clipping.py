"""Clipping: by hand, in groups, by several processes, and with masks."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from pruning.errors import PruningError
from pruning.share import Share
from pruning.training.backward import backward_of, clip_
from pruning.training.callback import Callback
from pruning.training.loop import Run, train
from pruning.training.recipe import Recipe
from tests import together
from tests.test_tasks import RECIPE, Draws, Regression


class Shared(Draws):
    """Batches that can be shared out."""

    def size(self, index):
        return 16

    def batch(self, index, share=None):
        whole = super().batch(index)
        if share is None:
            return whole
        first, stop = share.rows(16)
        return {key: value[first:stop] for key, value in whole.items()}


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


def trained(groups, count):
    given = task(clip=0.05, clip_groups=groups, processes=count, loss="sum")
    run = Run(4, lambda step: 0.1, 0, ("clipped",))
    state = train(given, given.initial_state(0), run).state
    return {name: weight.numpy() for name, weight in state.weights.items()}


@pytest.mark.parametrize("groups", [1, 4])
def test_two_processes_clip_what_one_clips(groups):
    alone = trained(groups, 1)
    states = together.run(2, trained, groups, 2)
    for name, weight in alone.items():
        assert (states[0][name] == states[1][name]).all()
        np.testing.assert_allclose(states[0][name], weight, rtol=1e-5, atol=1e-7)


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


def test_batch_norms_are_refused_where_parts_are():
    module = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 1))
    with pytest.raises(PruningError, match="the network has batch norms"):
        gradients(task(clip=0.3, clip_groups=2), module)
    gradients(task(clip=0.3), module)


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
