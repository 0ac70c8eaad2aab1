"""Batch norm by groups, against a loop written out by hand, and where trainings use it."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from pruning.data.batches import Batching
from pruning.errors import PruningError
from pruning.models.batch_norm import check_groups, in_groups
from pruning.models.build import build
from pruning.models.config import NetworkConfig
from pruning.stages.trial import few, try_batches
from pruning.training.classification import Classification
from pruning.training.loop import Run, train
from pruning.training.network import training_network
from tests.conftest import assert_same_state

LAYERS = {
    "1d": (nn.BatchNorm1d, (6,)),
    "1d with lengths": (nn.BatchNorm1d, (6, 5)),
    "2d": (nn.BatchNorm2d, (6, 4, 3)),
    "3d": (nn.BatchNorm3d, (6, 2, 3, 2)),
}
SETTINGS = {
    "as usual": {},
    "no scale": {"affine": False},
    "no running statistics": {"track_running_stats": False},
    "cumulative": {"momentum": None},
    "other constants": {"momentum": 0.3, "eps": 0.1},
}


def layer_of(kind, **settings):
    layer = kind(6, dtype=torch.float64, **settings)
    source = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for tensor in layer.parameters():
            tensor.copy_(torch.randn(6, generator=source, dtype=torch.float64))
        if layer.track_running_stats:
            layer.running_mean.copy_(torch.randn(6, generator=source, dtype=torch.float64))
            layer.running_var.copy_(torch.rand(6, generator=source, dtype=torch.float64) + 0.5)
    return layer


def batch_of(shape, count, seed=0):
    source = torch.Generator().manual_seed(seed)
    # Groups that differ, so that whose statistics these are shows.
    drift = torch.arange(count, dtype=torch.float64).view(-1, *[1] * len(shape))
    return torch.randn(count, *shape, generator=source, dtype=torch.float64) * (1 + drift) + drift


def by_hand(layer, x, group):
    """What a layer gives, and its running statistics, by the formulas of the paper."""
    around = [1, -1, *[1] * (x.ndim - 2)]
    made, means, variances = [], [], []
    for start in range(0, len(x), group):
        part = x[start : start + group]
        columns = part.transpose(0, 1).flatten(1)
        mean, square = columns.mean(1), (columns - columns.mean(1)[:, None]).square()
        scaled = (part - mean.view(around)) / (square.mean(1) + layer.eps).sqrt().view(around)
        if layer.affine:
            scaled = scaled * layer.weight.view(around) + layer.bias.view(around)
        made.append(scaled)
        means.append(mean.detach() * len(part))
        variances.append(square.sum(1).detach() / (columns.shape[1] - 1) * len(part))
    if not layer.track_running_stats:
        return torch.cat(made), ()
    step = layer.momentum or 1 / (1 + int(layer.num_batches_tracked))
    found = sum(means) / len(x), sum(variances) / len(x)
    before = layer.running_mean, layer.running_var
    moved = (b * (1 - step) + f * step for b, f in zip(before, found, strict=True))
    return torch.cat(made), tuple(moved)


def gradients(layer, made, x):
    weights = torch.linspace(-1, 2, made.numel(), dtype=made.dtype).view(made.shape)
    return torch.autograd.grad((weights * made).sum(), [x, *layer.parameters()])


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize(("kind", "shape"), LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize(("count", "group"), [(12, 4), (11, 4), (10, 2)])
def test_groups_equal_a_loop_over_them(kind, shape, count, group, settings):
    """Values, gradients and running statistics, twice; the last group may be smaller."""
    layer = layer_of(kind, **settings)
    grouped = in_groups(copy.deepcopy(layer), group)
    for seed in (0, 1):
        x = batch_of(shape, count, seed).requires_grad_()
        expected, statistics = by_hand(layer, x, group)
        made = grouped(x)
        assert torch.allclose(made, expected, atol=1e-12, rtol=1e-12)
        for one, other in zip(
            gradients(grouped, made, x), gradients(layer, expected, x), strict=True
        ):
            assert torch.allclose(one, other, atol=1e-9, rtol=1e-9)
        if statistics:
            running = grouped.running_mean, grouped.running_var
            for one, other in zip(running, statistics, strict=True):
                assert torch.allclose(one, other, atol=1e-12, rtol=1e-12)
            assert int(grouped.num_batches_tracked) == seed + 1  # once for a batch
            layer.load_state_dict(grouped.state_dict())


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize(("kind", "shape"), LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize("group", [8, 100])
def test_one_group_is_torchs_own_layer_to_the_bit(kind, shape, group, settings):
    layer = layer_of(kind, **settings).float()
    grouped = in_groups(copy.deepcopy(layer), group)
    for seed in (0, 1):
        x = batch_of(shape, 8, seed).float().requires_grad_()
        made = [one(x) for one in (layer, grouped)]
        assert torch.equal(*made)
        parts = [gradients(layer, m, x) for m in made[:1]] + [gradients(grouped, made[1], x)]
        assert all(torch.equal(a, b) for a, b in zip(*parts, strict=True))
        states = layer.state_dict(), grouped.state_dict()
        assert all(torch.equal(a, b) for a, b in zip(*(s.values() for s in states), strict=True))


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_evaluation_is_unchanged(settings):
    layer = layer_of(nn.BatchNorm2d, **settings).eval()
    grouped, x = in_groups(copy.deepcopy(layer), 2), batch_of((6, 4, 3), 7)
    assert torch.equal(layer(x), grouped(x))
    assert layer.state_dict().keys() == grouped.state_dict().keys()


def test_layers_stay_what_they_are():
    module = build(NetworkConfig("resnet8"), (3, 32, 32), 10, seed=0)
    names, layers = list(module.state_dict()), list(module.modules())
    grouped = in_groups(module, 16)
    assert list(grouped.state_dict()) == names
    assert all(a is b for a, b in zip(grouped.modules(), layers, strict=True))
    norms = [m for m in grouped.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 9
    assert all(norm.group == 16 and type(norm) is not nn.BatchNorm2d for norm in norms)
    assert all(type(m) is not nn.BatchNorm2d for m in copy.deepcopy(grouped).modules())
    in_groups(grouped, None)
    assert all(type(norm) is nn.BatchNorm2d for norm in norms)


def test_a_layer_in_two_places_moves_its_statistics_twice_and_stays_one():
    norm = nn.BatchNorm1d(6, dtype=torch.float64)
    module = in_groups(nn.Sequential(norm, nn.ReLU(), norm), 4)
    assert module[0] is module[2] is norm
    module(batch_of((6,), 8))
    assert int(norm.num_batches_tracked) == 2


class Mine(nn.BatchNorm2d):
    def forward(self, x):
        return super().forward(x).relu()


def test_what_cannot_be_split_is_refused():
    with pytest.raises(PruningError, match=r"batch_norm_group is 4, but this .* no batch norm"):
        check_groups(nn.Sequential(nn.Conv2d(3, 4, 1), nn.GroupNorm(2, 4)), 4)
    for layer in (Mine(4), nn.SyncBatchNorm(4)):
        with pytest.raises(PruningError, match=f"'0' is a batch norm .*{type(layer).__name__}"):
            check_groups(nn.Sequential(layer), 4)
        with pytest.raises(PruningError, match="batch_norm_group does not know"):
            in_groups(nn.Sequential(layer), 4)
    changed = nn.BatchNorm2d(4)
    changed.forward = lambda x: x
    with pytest.raises(PruningError, match="a forward pass of its own"):
        check_groups(nn.Sequential(changed), 4)
    check_groups(nn.Sequential(nn.Linear(2, 2)), None)


# -- in trainings -----------------------------------------------------------------------------


def resnet_task(make_task, **recipe):
    task = make_task("resnet8", {"widths": [4, 6, 8]}, epochs=1, milestones=(), **recipe)
    assert isinstance(task, Classification)
    return task


def trained(task, steps=3):
    run = Run(steps, task.timeline.schedule(), 0, ("t",))
    return train(task, task.initial_state(0, "dense"), run).state


def test_a_training_normalizes_by_the_groups_of_its_recipe(make_task):
    whole, same = (trained(resnet_task(make_task, batch_norm_group=g)) for g in (None, 64))
    assert_same_state(whole, same)
    split = trained(resnet_task(make_task, batch_norm_group=16))
    assert any(not torch.equal(split.weights[n], w) for n, w in whole.weights.items())


def test_a_batch_of_groups_trains_as_the_sum_of_its_groups(make_task):
    """One step of 4 x 16 images is the mean of the gradients of 16 each."""
    task = resnet_task(make_task, batch_norm_group=16)
    images, labels = task.batches(0, ("t",)).batch(0)
    state = task.initial_state(0, "dense")
    grouped = training_network(task, state).double()
    task.loss(grouped, (images.double(), labels)).backward()
    whole = training_network(resnet_task(make_task), state).double()
    for part in range(0, 64, 16):
        some = images[part : part + 16].double(), labels[part : part + 16]
        (task.loss(whole, some) / 4).backward()
    for one, other in zip(grouped.parameters(), whole.parameters(), strict=True):
        assert torch.allclose(one.grad, other.grad, atol=1e-12, rtol=1e-9)


def test_a_network_without_batch_norm_is_refused_before_it_trains(make_task):
    with pytest.raises(PruningError, match="has no batch norm"):
        make_task("mlp", batch_norm_group=16).prunable()


def test_groups_are_of_a_batch(make_task):
    for group in (0, 65):
        with pytest.raises(PruningError, match=f"batch_norm_group is {group}, but a batch has 64"):
            make_task(batch_norm_group=group)


class Norm(nn.Module):
    """A batch norm of one value per channel and image."""

    def __init__(self, shape, classes):
        super().__init__()
        self.linear, self.norm = nn.Linear(64, 12), nn.BatchNorm1d(12)
        self.out = nn.Linear(12, classes)

    def forward(self, x):
        return self.out(self.norm(self.linear(x.flatten(1))).relu())


@pytest.mark.parametrize(
    ("size", "group", "boundary", "alone"),
    [
        (64, 32, "straddle", False),
        (64, 63, "straddle", True),
        (64, 1, "straddle", True),
        (65, 16, "drop", True),
        (65, 16, "keep", True),  # the whole batches; the last has 52 of the 1,352 images
        (90, 16, "keep", False),  # 1,352 = 15 x 90 + 2, and 90 = 5 x 16 + 10
        (103, 10, "keep", False),
        (135, 7, "keep", False),  # the last has 2
        (50, 49, "drop", True),
        (50, 50, "keep", False),
        (1351, 1000, "keep", True),  # the last batch
    ],
)
def test_an_example_that_is_alone_in_its_group_is_refused(make_task, size, group, boundary, alone):
    recipe = make_task(batches=Batching(size, boundary), batch_norm_group=group).recipe
    task = replace(make_task(), network=Norm, recipe=recipe)
    assert task.examples("train") == 1352
    run = Run(1, task.timeline.schedule(), 0, ("t",))
    if alone:
        with pytest.raises(PruningError, match="batch_norm_group: 1|groups of .* one is alone"):
            train(task, task.initial_state(0), run)
    else:
        train(task, task.initial_state(0), run)


class Functional(Norm):
    """Normalizes once more without a layer."""

    def forward(self, x):
        x = self.norm(self.linear(x.flatten(1))).relu()
        own = torch.zeros(12), torch.ones(12)
        return self.out(nn.functional.batch_norm(x, *own, training=self.training))


def test_a_batch_norm_that_is_no_layer_is_refused(make_task):
    """It would go on to normalize whole batches."""
    recipe = make_task(batch_norm_group=16).recipe
    tasks = {n: replace(make_task(), network=n, recipe=recipe) for n in (Norm, Functional)}
    for tried in (tasks[Norm], few(tasks[Norm])):
        try_batches(tried, 0)
    for tried in (tasks[Functional], few(tasks[Functional])):
        with pytest.raises(PruningError, match=r"1 of the \d batch norms .* of no layer"):
            try_batches(tried, 0)
    try_batches(replace(tasks[Functional], recipe=replace(recipe, batch_norm_group=None)), 0)
