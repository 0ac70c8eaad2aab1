"""Where residual blocks end, and the initialization that begins them as their shortcuts."""

import pytest
import torch
import torchvision
from torch import nn

from pruning.errors import PruningError
from pruning.models.build import build
from pruning.models.config import NetworkConfig
from pruning.models.initialization import (
    fan_in_truncated_normal,
    fan_in_truncated_normal_zero_last_scale,
)
from pruning.models.residual import last_norms

ZERO = "fan_in_truncated_normal_zero_last_scale"


def conv(inputs=4, outputs=4):
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def norm(channels=4, **more):
    return nn.BatchNorm2d(channels, **more)


class Net(nn.Module):
    """A stem, and a block whose forward pass is given."""

    def __init__(self, forward, **parts):
        super().__init__()
        self.stem = nn.Sequential(conv(3), norm())
        for name, part in parts.items():
            setattr(self, name, part)
        self.given = forward

    def forward(self, x):
        return self.given(self, self.stem(x))


def body(last=None):
    return nn.Sequential(conv(), norm(), nn.ReLU(), conv(), last or norm())


FOUND = {
    "identity": (Net(lambda s, x: x + s.body(x), body=body()), ["body.4"]),
    "the body first": (Net(lambda s, x: s.body(x) + x, body=body()), ["body.4"]),
    "by a function": (Net(lambda s, x: torch.add(x, other=s.body(x)), body=body()), ["body.4"]),
    "in place": (Net(lambda s, x: s.body(x).add_(x), body=body()), ["body.4"]),
    "a projection": (
        Net(lambda s, x: s.body(x) + s.side(x), body=body(), side=nn.Sequential(conv(), norm())),
        ["body.4"],
    ),
    "a projection first": (
        Net(lambda s, x: s.side(x) + s.body(x), body=body(), side=nn.Sequential(conv(), norm())),
        ["body.4"],
    ),
    "a body of one layer": (
        Net(lambda s, x: s.body(x) + x, body=nn.Sequential(conv(), norm())), ["body.1"]
    ),
    "dropout and activation behind": (
        Net(lambda s, x: nn.functional.dropout(s.body(x), 0.1).relu() + x, body=body()),
        ["body.4"],
    ),
    "other normalizations": (
        Net(lambda s, x: s.body(x) + x, body=body(nn.GroupNorm(2, 4))), ["body.4"]
    ),
    "two blocks": (
        Net(lambda s, x: (lambda y: s.two(y) + y)((s.one(x) + x).relu()), one=body(), two=body()),
        ["one.4", "two.4"],
    ),
    "a shortcut without weights": (
        Net(lambda s, x: s.body(x) + nn.functional.pad(x[:, 1:], (0, 0, 0, 0, 0, 1)), body=body()),
        ["body.4"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("module", "names"), FOUND.values(), ids=FOUND)
def test_the_last_normalization_of_each_body_is_found(module, names):
    assert [name for name, _ in last_norms(module)] == names
    same, zero = ({}, {})
    for initialize, found in (
        (fan_in_truncated_normal, same),
        (fan_in_truncated_normal_zero_last_scale, zero),
    ):
        initialize(module, 3)
        found |= {n: p.detach().clone() for n, p in module.named_parameters()}
    scales = {f"{name}.weight" for name in names}
    for name, value in zero.items():
        assert torch.equal(value, torch.zeros(4) if name in scales else same[name]), name


@pytest.mark.parametrize("training", [False, True])
def test_a_block_begins_as_its_shortcut(training):
    module = Net(lambda s, x: s.body(x) + x, body=body()).train(training)
    fan_in_truncated_normal_zero_last_scale(module, 0)
    assert module.training is training
    assert module.body.training is training
    x = torch.randn(4, 3, 5, 5)
    assert torch.equal(module(x), module.stem(x))


REFUSED = {
    "no block": (Net(lambda s, x: s.body(x), body=body()), "no residual block"),
    "a number is added": (Net(lambda s, x: s.body(x) + 1, body=body()), "no residual block"),
    "a convolution at the end": (
        Net(lambda s, x: s.body(x) + x, body=nn.Sequential(norm(), nn.ReLU(), conv())),
        "ends in body.2 has no normalization with a scale",
    ),
    "no scale": (Net(lambda s, x: s.body(x) + x, body=body(norm(affine=False))), "ends in body.3"),
    "two bodies": (Net(lambda s, x: s.one(x) + s.two(x), one=body(), two=body()), "which of them"),
    "another input": (
        Net(lambda s, x: s.one(x) + s.two(x.relu() * x), one=body(), two=nn.Sequential(conv())),
        "which of them",
    ),
    "a gate": (
        Net(lambda s, x: s.body(x) * s.gate(x).sigmoid() + x, body=body(), gate=conv()),
        "which of them",
    ),
    "twice the same": (Net(lambda s, x: s.body(x + x), body=body()), "which of them"),
    "values decide": (
        Net(lambda s, x: s.body(x) + x if x.sum() > 0 else x, body=body()),
        "cannot be found: .*must not depend on values",
    ),
}


@pytest.mark.parametrize(("module", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_residual_block_is_refused(module, message):
    with pytest.raises(PruningError, match=message):
        last_norms(module)


def test_a_normalization_that_is_used_elsewhere_is_refused():
    """Zero there, nothing would pass."""
    shared = norm()
    module = Net(lambda s, x: s.body(s.norm(x)) + s.norm(x).relu(), norm=shared, body=body(shared))
    with pytest.raises(PruningError, match="which of them|used elsewhere too"):
        last_norms(module)
    module = Net(lambda s, x: (lambda y: s.body(y) + y)(s.norm(x)), norm=shared, body=body(shared))
    with pytest.raises(PruningError, match="used elsewhere too"):
        last_norms(module)


@pytest.mark.parametrize("depth", [18, 50])
def test_torchvision_says_the_same_of_its_own(depth):
    theirs = torchvision.models.get_model(f"resnet{depth}", zero_init_residual=True)
    wanted = [n for n, p in theirs.named_parameters() if n.endswith("weight") and not p.any()]
    assert [f"{name}.weight" for name, _ in last_norms(theirs)] == wanted
    assert len(wanted) == (8 if depth == 18 else 16)
    options = {"shortcut": "all_stages"} if depth == 18 else {}
    ours = build(NetworkConfig(f"resnet{depth}", ZERO, options), (3, 32, 32), 10, seed=0)
    zero = [n for n, p in ours.named_parameters() if p.ndim == 1 and "weight" in n and not p.any()]
    assert zero == [
        f"stages.{i}.{j}.norm{2 if depth == 18 else 3}.weight"
        for i, blocks in enumerate((2, 2, 2, 2) if depth == 18 else (3, 4, 6, 3))
        for j in range(blocks)
    ]


@pytest.mark.parametrize("name", ["densenet40", "wide_resnet28", "vgg16"])
def test_networks_without_such_blocks_say_so(name):
    with pytest.raises(PruningError, match="no residual block|no normalization with a scale"):
        build(NetworkConfig(name, ZERO), (3, 32, 32), 10, seed=0)


def test_renda_et_als_imagenet_networks_are_drawn_as_they_say():
    """Section 3.1: truncated normal of variance 1/fan_in, linear weights of deviation 0.01."""
    options = {"shortcut": "all_stages"}
    module = build(NetworkConfig("resnet34", ZERO, options), (3, 32, 32), 1000, seed=0)
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Conv2d):
            kernel = layer.weight.detach() * layer.weight[0].numel() ** 0.5
            margin = 4 * (2 / kernel.numel()) ** 0.5
            assert float(kernel.var()) == pytest.approx(1, abs=margin), name
            assert 1.9 < float(kernel.abs().max()) < 2 / 0.8796 + 1e-4, name
        elif isinstance(layer, nn.BatchNorm2d):
            last = name.endswith("norm2")
            assert (layer.weight == float(not last)).all(), name
            assert not layer.bias.any()
    assert float(module.fc.weight.detach().std()) == pytest.approx(0.01, rel=0.01)
    assert not module.fc.bias.any()
    assert (module.stages[0][0].shortcut[1].weight == 1).all()  # of a projection: unlike the body's
