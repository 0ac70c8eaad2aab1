"""What is cut out, and what that does to a network."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from pruning.models import shape
from pruning.models.build import build
from pruning.models.channels import follow
from pruning.models.config import NetworkConfig
from pruning.systems.prunetrain.reconfiguration import reconfigure, sizes_of
from pruning.training.state import capture, load_into

RGB32 = (3, 32, 32)
TAU = 1e-4


def network(name="resnet8", **options):
    module = build(NetworkConfig(name, options=options), RGB32, 10, 0)
    torch.manual_seed(0)
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.weight.uniform_(0.5, 1.5)
                layer.bias.normal_(std=0.3)
                layer.running_mean.normal_(std=0.3)
                layer.running_var.uniform_(0.5, 1.5)
    return module.eval()


def followed(module):
    return follow(module, (torch.ones(1, *RGB32),))


def small_of(module, found, name="resnet8", **options):
    state = capture(module).cut(found.cuts)
    small = shape.apply(build(NetworkConfig(name, options=options), RGB32, 10, None), state.shape)
    load_into(small, state)
    return small.eval(), state


@torch.no_grad()
def starve(module, channels, wanted, size=TAU / 2, sides=("outputs", "inputs"), but=()):
    """Make channels sparse in all layers, but not quite zero."""
    for layer in channels.layers.values():
        if layer.kind != "weight" or layer.name in but:
            continue
        weight = module.get_submodule(layer.name).weight
        for side, axis in (("outputs", 0), ("inputs", 1)):
            if side not in sides:
                continue
            for index, channel in enumerate(getattr(layer, side)):
                if channel in wanted:
                    part = weight.select(axis, index)
                    part.copy_(part.sign() * size)


def some(channels):
    return {
        channel
        for space in channels.spaces()
        for channel in [c for c in space if c not in channels.fixed][::3]
    }


def change_of_logits(module, small):
    images = torch.randn(8, *RGB32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        whole, without = module(images), small(images)
    return float((whole - without).norm() / whole.norm())


@pytest.mark.parametrize("name", ["resnet8", "vgg8", "resnet50_bottleneck", "mobilenet"])
def test_channels_that_are_sparse_everywhere_go_and_nobody_notices(name):
    options = {"width": 0.25} if name == "mobilenet" else {}
    module = network(name, **options)
    channels = followed(module)
    wanted = some(channels)
    starve(module, channels, wanted)
    found = reconfigure(module, channels, TAU)
    assert found.channels == len(wanted) > 20
    assert not found.branches
    small, _ = small_of(module, found, name, **options)
    assert change_of_logits(module, small) < 1e-3
    again = reconfigure(small, followed(small), TAU)
    assert not again.cuts  # twice in a row changes nothing
    # Every layer of a space has the same channels.
    rest = followed(small)
    for space in rest.spaces():
        for layer in rest.layers.values():
            if set(layer.outputs) & set(space):
                assert set(layer.outputs) <= set(space)
    # A threshold below what they have keeps everything: the change is the threshold's.
    assert not reconfigure(module, channels, TAU / 4).cuts


@pytest.mark.parametrize("sides", [("outputs",), ("inputs",)])
def test_a_channel_that_one_layer_still_wants_stays(sides):
    module = network("vgg8")
    channels = followed(module)
    starve(module, channels, some(channels), sides=sides)
    assert not reconfigure(module, channels, TAU).cuts


def test_one_of_many_layers_of_a_stage_is_enough():
    module = network()
    channels = followed(module)
    stage = set(channels.layers["stages.1.0.conv2"].outputs)
    starve(module, channels, stage, but=("stages.1.0.shortcut.0",))
    assert not stage & _gone(channels, reconfigure(module, channels, TAU))


def _gone(channels, found):
    return {
        layer.outputs[i]
        for name, layer in channels.layers.items()
        if name in found.cuts.layers
        for i in set(range(len(layer.outputs))) - set(found.cuts.layers[name].outputs)
    }


def test_the_size_of_a_weight_decides_and_not_its_sign():
    module = network("vgg8")
    channels = followed(module)
    wanted = some(channels)
    with torch.no_grad():
        for layer in channels.layers.values():
            if layer.kind == "weight":
                module.get_submodule(layer.name).weight.copy_(
                    -module.get_submodule(layer.name).weight.abs() - 0.01
                )
    assert not reconfigure(module, channels, TAU).cuts
    starve(module, channels, wanted, size=-TAU / 2)
    assert reconfigure(module, channels, TAU).channels == len(wanted)


def test_the_largest_weight_of_a_channel_decides():
    module = network("vgg8")
    sizes = sizes_of(module, followed(module))
    weight = module.get_submodule("features.4").weight.detach()
    assert torch.equal(sizes.outputs["features.4"], weight.abs().amax((1, 2, 3)))
    assert torch.equal(sizes.inputs["features.4"], weight.abs().amax((0, 2, 3)))
    built = {name: len(size) for name, size in sizes.outputs.items()}
    assert sizes.share("outputs", 0.0, built) == 1.0
    assert sizes.share("outputs", 0.0, built | {"gone": 5}) == 6 / 7
    assert sizes.share("outputs", 0.0, {"features.4": 256}) == 0.5


def test_a_plain_network_keeps_the_largest_channel_of_a_dead_layer():
    module = network("vgg8")
    channels = followed(module)
    space = channels.layers["features.4"].outputs
    starve(module, channels, set(space), size=1e-6)
    with torch.no_grad():
        module.get_submodule("features.8").weight[0, 5, 0, 0] = 5e-5
    found = reconfigure(module, channels, TAU)
    assert found.cuts.layers["features.4"].outputs == (5,)
    small, _ = small_of(module, found, "vgg8")
    assert torch.isfinite(small(torch.randn(2, *RGB32))).all()


def test_input_and_classes_are_never_touched():
    module = network("vgg8")
    channels = followed(module)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(1e-6)
    small, _ = small_of(module, reconfigure(module, channels, TAU), "vgg8")
    assert small.get_submodule("features.0").in_channels == 3
    assert small.fc.out_features == 10
    assert all(m.out_channels == 1 for m in small.modules() if isinstance(m, nn.Conv2d))


@pytest.mark.parametrize("which", [0, 1])
def test_a_block_without_signal_goes(which):
    """Which of the bottleneck's two inner tensors is dead makes no difference."""
    module = network("resnet50_bottleneck")
    channels = followed(module)
    branch = channels.branches[3]
    inside = list(branch.inside.values())[which]
    starve(module, channels, set(inside), size=1e-9)
    changes = {}
    for folded in (False, True):
        found = reconfigure(module, channels, TAU, folded=folded)
        assert [b.modules for b in found.branches] == [branch.modules]
        small, state = small_of(module, found, "resnet50_bottleneck")
        last = branch.modules[-1]
        assert found.constants[last].norm() > 0.1
        assert folded == bool(state.buffers[f"{last}.value"].any())
        changes[folded] = change_of_logits(module, small)
    assert changes[True] < changes[False] / 3  # at the edges of images, padding makes a difference


def test_what_a_dead_block_gives_is_the_shift_of_its_last_norm():
    module = network()
    channels = followed(module)
    branch = channels.branches[0]
    starve(module, channels, set(*branch.inside.values()), size=0.0)
    found = reconfigure(module, channels, TAU, folded=True)
    norm = module.get_submodule(branch.modules[-1])
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    wanted = (norm.bias - norm.running_mean * scale).detach()
    torch.testing.assert_close(found.constants[branch.modules[-1]], wanted)
    small, _ = small_of(module, found)
    assert change_of_logits(module, small) < 1e-5


def test_channels_that_only_a_dead_block_wanted_go_with_it():
    module = network("resnet50_bottleneck")
    channels = followed(module)
    branch = channels.branches[2]
    made = list(branch.inside.values())
    stage = channels.layers[branch.modules[-1]].outputs
    starve(module, channels, set(stage[:9]), but=(branch.modules[-2],))
    starve(module, channels, set(made[0]))  # dead before its last layer, which still wants some
    found = reconfigure(module, channels, TAU)
    assert len(found.branches) == 1
    assert set(stage[:9]) <= _gone(channels, found) | set()
    small, _ = small_of(module, found, "resnet50_bottleneck")
    assert not reconfigure(small, followed(small), TAU).cuts


def test_gating_keeps_what_each_branch_wants():
    module = network()
    channels = followed(module)
    branch = channels.branches[1]
    conv = branch.modules[-2]
    stage = channels.layers[conv].outputs
    with torch.no_grad():
        module.get_submodule(conv).weight[4:20] *= 1e-9
        module.get_submodule(branch.modules[0]).weight[:, :6] *= 1e-9
    union, gated = (reconfigure(module, channels, TAU, gated=g) for g in (False, True))
    assert not union.cuts  # others want these channels
    small, state = small_of(module, gated)
    assert small.get_submodule(conv).out_channels == len(stage) - 16
    assert small.get_submodule(branch.modules[0]).in_channels == 16 - 6
    images = torch.randn(2, *RGB32)
    norm = module.get_submodule(branch.modules[-1])
    with torch.no_grad():  # what gating leaves out
        norm.weight[4:20] = 0
        norm.bias[4:20] = 0
    torch.testing.assert_close(small(images), module(images), rtol=1e-4, atol=1e-4)
    again = reconfigure(small, followed(small), TAU, gated=True)
    assert not again.cuts
    assert state.shape


def test_gating_in_a_plain_network_keeps_what_is_dense_on_both_sides():
    module = network("vgg8")
    channels = followed(module)
    with torch.no_grad():
        module.get_submodule("features.4").weight[:10] *= 1e-9
        module.get_submodule("features.8").weight[:, 5:30] *= 1e-9
    found = reconfigure(module, channels, TAU, gated=True)
    assert found.cuts.layers["features.4"].outputs == tuple(range(30, 128))


def test_the_states_slots_are_those_of_the_channels_that_are_left():
    module = network().train()
    channels = followed(module)
    starve(module, channels, some(channels))
    optimizer = torch.optim.SGD(module.parameters(), lr=0.0, momentum=0.9)
    module(torch.randn(4, *RGB32)).square().sum().backward()
    optimizer.step()
    state = capture(module, optimizer)
    found = reconfigure(module, channels, TAU)
    cut = replace(state, step=7).cut(found.cuts)
    name = "stages.1.0.conv1"
    told = found.cuts.layers[name]
    for key in (f"{name}.weight",):
        rows, columns = torch.tensor(told.outputs), torch.tensor(told.inputs)
        slot = f"momentum_buffer/{key}"
        assert torch.equal(cut.slots[slot], state.slots[slot][rows][:, columns])
        assert torch.equal(cut.weights[key], state.weights[key][rows][:, columns])
    norm = "stages.1.0.norm1"
    for key in (f"{norm}.running_mean", f"{norm}.running_var"):
        assert torch.equal(cut.buffers[key], state.buffers[key][list(told.outputs)])
    assert cut.step == 7
