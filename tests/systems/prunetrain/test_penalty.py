"""The penalty: value, gradient, soft-thresholding, strength."""

import math

import pytest
import torch

from pruning.models.build import build
from pruning.models.channels import follow
from pruning.models.config import NetworkConfig
from pruning.systems.prunetrain.penalty import (
    add_gradient,
    bound,
    groups_of,
    penalty,
    soften,
    strength_of,
)

RGB32 = (3, 32, 32)


def network(name, classes=10, shape=RGB32, **options):
    config = NetworkConfig(name, "kaiming_normal_fan_out", options)
    module = build(config, shape, classes, 0)
    return module, follow(module, (torch.ones(1, *shape),))


# G at the start: measured by the reference for the authors' networks and initialization.
PUBLISHED = {
    ("alexnet", 10): 2663,
    ("alexnet", 100): 2726,
    ("vgg8", 10): 3039,
    ("vgg8", 100): 3127,
    ("vgg11", 10): 6660,
    ("vgg13", 10): 7203,
    ("vgg13", 100): 7290,
    ("resnet32", 10): 3242,
    ("resnet32", 100): 3276,
    ("resnet50_bottleneck", 10): 14211,
}


@pytest.mark.parametrize(("name", "classes"), PUBLISHED)
def test_the_penalty_of_an_untrained_network(name, classes):
    value = penalty(groups_of(*network(name, classes)), 1e-8).detach()
    assert float(value) == pytest.approx(PUBLISHED[name, classes], rel=3e-3)


def test_the_penalty_is_a_sum_of_norms_by_hand():
    module, channels = network("small_cnn", shape=(1, 8, 8), widths=[3, 4], hidden=5)
    total = 0.0
    with torch.no_grad():
        for name, takes_inputs, takes_outputs in (
            ("conv1", False, True),  # its input is the image
            ("conv2", True, True),
            ("fc1", True, True),
            ("fc2", True, False),  # its outputs are the classes
        ):
            weight = module.get_submodule(name).weight
            if takes_outputs:
                total += sum(math.sqrt(float((w**2).sum()) + 1e-6) for w in weight)
            if takes_inputs:
                columns = weight.transpose(0, 1)
                total += sum(math.sqrt(float((w**2).sum()) + 1e-6) for w in columns)
    assert float(penalty(groups_of(module, channels), 1e-6).detach()) == pytest.approx(
        total, rel=1e-6
    )


def test_groups_may_count_by_their_size():
    module, channels = network("lenet_300_100", shape=(1, 28, 28))
    weight = module.get_submodule("fc2").weight.detach()
    plain, scaled = (groups_of(module, channels, s)["fc2"] for s in (False, True))
    assert plain.inputs.tolist() == [1.0] * 300
    assert scaled.inputs.tolist() == pytest.approx([math.sqrt(100)] * 300)
    assert scaled.outputs.tolist() == pytest.approx([math.sqrt(300)] * 100)
    alone = {"fc2": scaled}
    wanted = math.sqrt(300) * weight.norm(dim=1).sum() + math.sqrt(100) * weight.norm(dim=0).sum()
    assert float(penalty(alone, 1e-12).detach()) == pytest.approx(float(wanted), rel=1e-5)


def test_depthwise_layers_norms_and_biases_are_in_no_group():
    module, channels = network("mobilenet_v2", width=0.25)
    names = groups_of(module, channels)
    assert "stages.1.0.conv1" in names
    assert "stages.1.0.conv2" not in names  # depthwise
    assert not any("norm" in name for name in names)
    assert "stages.0.0.shortcut.0" in names  # projections are


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("name", ["resnet8", "vgg8", "mobilenet_v2"])
def test_the_gradient_is_that_of_the_penalty(name, scaled):
    module, channels = network(name, **({"width": 0.25} if name == "mobilenet_v2" else {}))
    module = module.double()
    groups = groups_of(module, channels, scaled)
    (0.3 * penalty(groups, 1e-6)).backward()
    wanted = {n: p.grad for n, p in module.named_parameters() if p.grad is not None}
    given = torch.manual_seed(0)
    for parameter in module.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=given, dtype=torch.double)
    before = {n: p.grad.clone() for n, p in module.named_parameters()}
    add_gradient(groups, 0.3, 1e-6)
    for parameter_name, parameter in module.named_parameters():
        added = parameter.grad - before[parameter_name]
        expected = wanted.get(parameter_name, torch.zeros_like(added))
        torch.testing.assert_close(added, expected, rtol=1e-9, atol=1e-9)


def test_soft_thresholding_shrinks_every_norm_by_as_much():
    module, channels = network("lenet_300_100", shape=(1, 28, 28))
    groups = {"fc3": groups_of(module, channels)["fc3"]}  # one kind of group: its outputs are fixed
    weight = module.get_submodule("fc3").weight
    with torch.no_grad():
        weight[:, 0] *= 1e-3
    before = weight.detach().norm(dim=0)
    direction = (weight / weight.norm(dim=0)).detach()
    soften(groups, 0.05)
    after = weight.detach().norm(dim=0)
    torch.testing.assert_close(after, (before - 0.05).clamp(min=0), rtol=1e-4, atol=1e-6)
    assert after[0] == 0
    alive = after > 0
    torch.testing.assert_close((weight / after).detach()[:, alive], direction[:, alive])


@pytest.mark.parametrize("ratio", [0.05, 0.2, 0.4])
def test_the_strength_makes_the_penalty_that_share_of_the_loss(ratio):
    strength = strength_of(ratio, 2.3, 3242.0)
    assert strength * 3242.0 / (2.3 + strength * 3242.0) == pytest.approx(ratio, abs=1e-6)


def test_a_recorded_strength_of_the_authors():
    # ResNet-32, CIFAR-10, ratio 0.2: lambda 1.978e-4, at a loss that ten classes start with.
    assert strength_of(0.2, 2.565, 3242) == pytest.approx(1.978e-4, rel=1e-3)


def test_the_bound_of_stability():
    assert bound(1e-8, 0.9) == pytest.approx(1.9e-4)


@pytest.mark.parametrize(("factor", "settles"), [(0.5, True), (2.5, False)])
def test_within_the_bound_a_dead_channel_stays_dead(factor, settles):
    """Heavy-ball descent on the penalty of one channel alone, near zero."""
    epsilon, momentum, rate = 1e-8, 0.9, 0.1
    strength = factor * bound(epsilon, momentum) / rate
    weight, velocity, seen = 5e-5, 0.0, []
    for _ in range(2000):
        gradient = 2 * strength * weight / math.sqrt(weight**2 + epsilon)
        velocity = momentum * velocity + gradient
        weight -= rate * velocity
        seen.append(abs(weight))
    assert (max(seen[-100:]) < 1e-8) == settles
