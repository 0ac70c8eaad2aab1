"""Channels followed through networks, and networks that lose some of them."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from pruning.errors import PruningError
from pruning.models import shape
from pruning.models.build import build
from pruning.models.channels import follow
from pruning.models.config import NetworkConfig
from pruning.models.cost import network_macs
from pruning.models.shape import Gate, cuts
from pruning.systems.prunetrain.cost import totals
from pruning.training import optimizers
from pruning.training.checkpoint import load_state, save_state
from pruning.training.recipe import OptimizerConfig
from pruning.training.state import State, capture, load_into

IMAGE = (3, 32, 32)
CUT = {  # networks, and how much of their channels may go
    "resnet8": {},
    "resnet20": {"shortcut": "identity"},
    "vgg11": {"width": 0.125, "conv_bias": True},
    "small_cnn": {},
    "wide_resnet28": {"widening": 0.5},
    "mobilenet_v2": {"width": 0.25},
    "densenet40": {},
}


def network(name, options=None, seed=0, size=IMAGE):
    """With batch norms that are not at their start, so that they matter."""
    module = build(NetworkConfig(name, options=options or {}), size, 10, seed)
    torch.manual_seed(seed)
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.weight.uniform_(0.5, 1.5)
                layer.bias.normal_(std=0.3)
                layer.running_mean.normal_(std=0.3)
                layer.running_var.uniform_(0.5, 1.5)
    return module


def example(size=IMAGE):
    return (torch.ones(1, *size),)


def channels_of(module, size=IMAGE):
    return follow(module, example(size))


def some_of(channels, every=3):
    """A third of the channels of every space, those that may go."""
    gone = set()
    for space in channels.spaces():
        free = [channel for channel in space if channel not in channels.fixed]
        gone.update(free[: len(free) // every])
    everything = {c for layer in channels.layers.values() for c in (*layer.source, *layer.target)}
    return everything - gone, gone


def silence(module, channels, gone):
    """Set a channel to zero wherever it is made and wherever it is read."""
    with torch.no_grad():
        for layer in channels.layers.values():
            if layer.kind != "weight":
                continue
            weight = module.get_submodule(layer.name).weight
            for index, channel in enumerate(layer.outputs):
                if channel in gone:
                    weight[index] = 0
            for index, channel in enumerate(layer.inputs):
                if channel in gone:
                    weight[:, index] = 0


def cut(module, change, options):
    """The smaller network, made by the path that trainings take."""
    name, values = options
    state = capture(module).cut(change)
    small = shape.apply(build(NetworkConfig(name, options=values), IMAGE, 10, None), state.shape)
    small = small.to(next(module.parameters()).dtype)
    load_into(small, state)
    return small.train(module.training)


@pytest.mark.parametrize("name", CUT)
@pytest.mark.parametrize("training", [False, True])
def test_a_network_without_its_silent_channels_gives_the_same_logits_and_gradients(name, training):
    options = (name, CUT[name])
    module = network(*options).double()
    channels = channels_of(module.float())
    module = module.double().train(training)
    kept, gone = some_of(channels)
    assert len(gone) > 10
    silence(module, channels, gone)
    change = cuts(channels, kept)
    small = cut(module, change, options)
    load_into(small, capture(module).cut(change))
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in module.parameters())
    images = torch.randn(4, *IMAGE, dtype=torch.double)
    torch.manual_seed(1)
    whole = module(images)
    torch.manual_seed(1)
    without = small(images)
    assert torch.allclose(whole, without, rtol=1e-10, atol=1e-10)
    whole.square().sum().backward()
    without.square().sum().backward()
    gradients = {n: p.grad for n, p in module.named_parameters()}
    wanted = shape.cut_tensors(gradients, change)
    for parameter_name, parameter in small.named_parameters():
        torch.testing.assert_close(
            parameter.grad, wanted[parameter_name], rtol=1e-8, atol=1e-8, msg=parameter_name
        )


def test_a_channel_that_only_its_maker_lost_is_still_heard():
    """Batch norm turns a channel of zeros into its shift: cutting it off changes the network."""
    options = ("vgg11", {"width": 0.125})
    module = network(*options).eval()
    channels = channels_of(module)
    kept, gone = some_of(channels)
    with torch.no_grad():
        for layer in channels.layers.values():
            if layer.kind != "weight":
                continue
            weight = module.get_submodule(layer.name).weight
            for index, channel in enumerate(layer.outputs):
                if channel in gone:
                    weight[index] = 0
    images = torch.randn(4, *IMAGE)
    small = cut(module, cuts(channels, kept), options)
    assert (module(images) - small(images)).norm() > 1e-2 * module(images).norm()


def test_channels_of_a_residual_network_are_those_of_its_stages_and_inside_its_blocks():
    channels = channels_of(network("resnet20"))
    sizes = sorted(len(space) for space in channels.spaces())
    # A stage each, and the inside of each of its three blocks; the classes.
    assert sizes == sorted([*(4 * [16]), *(4 * [32]), *(4 * [64]), 10])
    makers, readers = channels.makers(), channels.readers()
    stage = channels.layers["stages.1.0.conv2"].outputs
    assert {name for name, _ in makers[stage[0]]} == {
        "stages.1.0.conv2", "stages.1.1.conv2", "stages.1.2.conv2", "stages.1.0.shortcut.0",
    }  # fmt: skip
    assert {name for name, _ in readers[stage[0]]} == {
        "stages.1.1.conv1", "stages.1.2.conv1", "stages.2.0.conv1", "stages.2.0.shortcut.0",
    }  # fmt: skip
    assert channels.layers["conv"].inputs == tuple(
        c for c in channels.layers["conv"].inputs if c in channels.fixed
    )
    assert set(channels.layers["fc"].outputs) <= channels.fixed
    assert channels.branches[0].modules == tuple(
        f"stages.0.0.{part}" for part in ("conv1", "norm1", "conv2", "norm2")
    )
    assert len(channels.branches) == 9


def test_a_channel_that_is_flattened_is_several_inputs():
    channels = channels_of(network("lenet_5", size=(1, 28, 28)), (1, 28, 28))
    inputs = channels.layers["fc1"].inputs
    assert inputs == tuple(c for c in channels.layers["conv2"].outputs for _ in range(16))


def test_the_grouping_is_torch_prunings():
    """Another library's dependency graph, where it is installed."""
    pruning = pytest.importorskip("torch_pruning")
    module = network("resnet20")
    graph = pruning.DependencyGraph().build_dependency(module, example_inputs=example()[0])
    theirs = set()
    for group in graph.get_all_groups(ignored_layers=[module.fc]):
        makers = {
            dep.target.name.split(" ")[0]
            for dep, _ in group
            if graph.is_out_channel_pruning_fn(dep.handler)
            and isinstance(dep.target.module, nn.Conv2d)
        }
        theirs.add(frozenset(makers))
    channels = channels_of(module)
    makers = channels.makers()
    ours = {
        frozenset(name for channel in space for name, _ in makers[channel])
        for space in channels.spaces()
        if not set(space) & channels.fixed
    }
    assert ours == theirs


# What is not understood stays whole.


class Odd(nn.Module):
    """Between two convolutions, what a test says."""

    def __init__(self, between):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3)
        self.fc = nn.Linear(8, 10)
        self.scale = nn.Parameter(torch.ones(8, 1, 1))
        self.between = between

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.second(self.between(self, self.first(x))).mean((2, 3)))


ODD = {
    "channels are shuffled": lambda self, x: (
        x.view(1, 4, 2, 30, 30).transpose(1, 2).reshape(x.shape)
    ),
    "channels are reversed": lambda self, x: x.flip(1),
    "a parameter per channel": lambda self, x: x * self.scale,
    "softmax over channels": lambda self, x: x.softmax(1),
    "some channels are taken": lambda self, x: torch.cat([x[:, :4], x[:, 4:]], 1),
    "the layer is used twice": lambda self, x: self.second(nn.functional.pad(x, (1, 1, 1, 1))),
    "channels are cropped": lambda self, x: nn.functional.pad(
        nn.functional.pad(x, (0, 0, 0, 0, 0, 2)), (0, 0, 0, 0, -2, 0)
    ),
    "the size is asked for": lambda self, x: x.view(x.shape[0], x.shape[1], x.shape[2], 30),
}


@pytest.mark.parametrize("what", ODD)
def test_what_is_not_understood_is_fixed(what):
    module = Odd(ODD[what])
    channels = channels_of(module)
    assert set(channels.layers["first"].outputs) <= channels.fixed
    assert channels.whole or what == "a parameter per channel"


def test_layers_that_share_a_weight_are_fixed():
    module = Odd(lambda self, x: self.third(x))
    module.third = nn.Conv2d(8, 8, 3, padding=1)
    module.third.weight = module.second.weight
    channels = channels_of(module)
    for name in ("first", "third"):
        assert set(channels.layers[name].outputs) <= channels.fixed
    assert "the same weight" in " ".join(channels.whole)


def test_a_network_whose_forward_pass_depends_on_values_is_refused():
    module = Odd(lambda self, x: x if x.sum() > 0 else -x)
    with pytest.raises(PruningError, match=r"cannot be followed.*must not depend on values"):
        channels_of(module)
    assert module.training  # left as it was


# Bodies of residual blocks.


@pytest.mark.parametrize("name", ["resnet8", "wide_resnet28", "mobilenet_v2"])
def test_a_block_whose_body_is_gone_is_its_shortcut_and_a_constant(name):
    options = (name, CUT[name])
    module = network(*options).eval()
    channels = channels_of(module)
    branch = channels.branches[1]
    inside = {c for inner in branch.inside.values() for c in inner}
    everything = {c for layer in channels.layers.values() for c in (*layer.source, *layer.target)}
    last = branch.modules[-1]
    constant = torch.randn(len(channels.layers[last].target))
    change = cuts(channels, everything - inside, without=[branch], constants={last: constant})
    small = cut(module, change, options)
    hook = module.get_submodule(last).register_forward_hook(
        lambda layer, given, made: constant.view(1, -1, 1, 1).expand_as(made)
    )
    images = torch.randn(2, *IMAGE)
    torch.testing.assert_close(small(images), module(images), rtol=1e-5, atol=1e-5)
    hook.remove()
    assert not [n for n, _ in small.named_parameters() if n.startswith(f"{branch.modules[0]}.")]
    again = channels_of(small)  # it can be followed, and cut, once more
    kept, gone = some_of(again)
    silence(small, again, gone)
    smaller = capture(small).cut(change := cuts(again, kept))
    assert change
    twice = capture(module).cut(
        cuts(channels, everything - inside, without=[branch], constants={last: constant})
    )
    twice = State(capture(small).weights, capture(small).buffers, shape=twice.shape).cut(change)
    rebuilt = shape.apply(
        build(NetworkConfig(name, options=CUT[name]), IMAGE, 10, None), twice.shape
    )
    load_into(rebuilt, twice)
    torch.testing.assert_close(rebuilt.eval()(images), small(images), rtol=1e-4, atol=1e-4)
    assert smaller.weights.keys() == twice.weights.keys()


def test_a_gated_branch_reads_some_channels_and_adds_to_some():
    options = ("resnet8", {})
    module = network(*options).eval()
    channels = channels_of(module)
    branch = channels.branches[0]
    first, last = branch.modules[0], branch.modules[-1]
    conv = branch.modules[-2]
    stage = channels.layers[last].outputs
    everything = {c for layer in channels.layers.values() for c in (*layer.source, *layer.target)}
    change = cuts(channels, everything, gates=[Gate(branch, stage[2:9], stage[5:])])
    small = cut(module, change, options)
    assert small.get_submodule(first).in_channels == 7
    assert small.get_submodule(conv).out_channels == small.get_submodule(last).num_features == 11
    images = torch.randn(2, *IMAGE)
    with torch.no_grad():
        outside = [i for i in range(16) if i not in range(2, 9)]
        module.get_submodule(first).weight[:, outside] = 0
        module.get_submodule(conv).weight[:5] = 0
        module.get_submodule(last).weight[:5] = 0
        module.get_submodule(last).bias[:5] = 0
    torch.testing.assert_close(small(images), module(images), rtol=1e-5, atol=1e-5)
    # Cutting a shared channel from a gated network moves what is read and written.
    again = channels_of(small)
    stage = again.layers[last].target
    gone = {stage[3], stage[7]}
    everything = {c for layer in again.layers.values() for c in (*layer.source, *layer.target)}
    silence(small, again, gone)
    second = cuts(again, everything - gone)
    state = replace(capture(small), shape=capture(module).cut(change).shape)
    state = state.cut(second)
    smaller = shape.apply(build(NetworkConfig("resnet8"), IMAGE, 10, None), state.shape)
    load_into(smaller, state)
    torch.testing.assert_close(smaller.eval()(images), small(images), rtol=1e-4, atol=1e-4)


# States.


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "RMSprop", "Adafactor", "NAdam"])
def test_slots_are_cut_along_and_the_next_step_is_the_same(optimizer):
    options = ("resnet8", {})
    module = network(*options).double()
    channels = channels_of(module.float())
    module = module.double()
    kept, gone = some_of(channels)
    silence(module, channels, gone)
    settings = {"momentum": 0.9} if optimizer in ("SGD", "RMSprop") else {}

    def step(network, state=None, count=1):
        made = getattr(torch.optim, optimizer)(network.parameters(), lr=0.01, **settings)
        if state is not None:
            from pruning.training.state import load_slots

            load_slots(made, network, state.slots)
        torch.manual_seed(2)
        for _ in range(count):
            network.zero_grad()
            network(torch.randn(4, *IMAGE, dtype=torch.double)).square().sum().backward()
            made.step()
        return made

    made = step(module)
    silence(module, channels, gone)
    change = cuts(channels, kept)
    state = capture(module, made).cut(change)
    small = cut(module, change, options)
    load_into(small, state)
    if optimizer == "Adafactor":  # its rows and columns are means, which a cut changes
        step(small, state)
        return
    assert state.slots.keys() == capture(module, made).slots.keys()
    step(small, state)
    torch.manual_seed(2)
    module.zero_grad()
    module(torch.randn(4, *IMAGE, dtype=torch.double)).square().sum().backward()
    made.step()
    wanted = shape.cut_tensors(dict(module.named_parameters()), change)
    for name, parameter in small.named_parameters():
        torch.testing.assert_close(parameter, wanted[name], rtol=1e-8, atol=1e-8, msg=name)


def test_a_state_of_a_smaller_network_survives_the_disk(tmp_path):
    module = network("resnet8").eval()
    channels = channels_of(module)
    kept, _ = some_of(channels)
    state = capture(module).cut(cuts(channels, kept))
    save_state(state, tmp_path / "state.safetensors")
    loaded = load_state(tmp_path / "state.safetensors")
    assert loaded.shape
    assert loaded.shape.keys() == state.shape.keys()
    rebuilt, first = (
        shape.apply(build(NetworkConfig("resnet8"), IMAGE, 10, None), s.shape)
        for s in (loaded, state)
    )
    load_into(rebuilt, loaded)
    load_into(first, state)
    images = torch.randn(2, *IMAGE)
    assert torch.equal(rebuilt.eval()(images), first.eval()(images))


def test_a_shape_of_another_network_is_refused():
    module = network("vgg11")
    channels = channels_of(module)
    kept, _ = some_of(channels)
    state = capture(module).cut(cuts(channels, kept))
    with pytest.raises(PruningError, match="is of another network"):
        shape.apply(build(NetworkConfig("resnet8"), IMAGE, 10, None), state.shape)


def test_a_layer_that_would_keep_nothing_is_refused():
    channels = channels_of(network("vgg11"))
    space = channels.layers["features.0"].outputs
    everything = {c for layer in channels.layers.values() for c in (*layer.source, *layer.target)}
    with pytest.raises(PruningError, match="Nothing would be left of layer 'features.0'"):
        cuts(channels, everything - set(space))


def test_optimizers_of_studies_keep_slots_that_can_be_cut():
    module = network("resnet8")
    made = optimizers.make(OptimizerConfig("adam"), module)
    module(torch.randn(2, *IMAGE)).sum().backward()
    made.step()
    channels = channels_of(module)
    kept, _ = some_of(channels)
    state = capture(module, made).cut(cuts(channels, kept))
    for key, slot in state.slots.items():
        weight = state.weights[key.partition("/")[2]]
        assert slot.shape == weight.shape or slot.ndim == 0


# Bodies that other people write.


class Residual(nn.Module):
    """A stem, a block by what a test says, and a classifier."""

    def __init__(self, add, middle=None, stride=1):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.first = nn.Conv2d(8, 8, 3, stride, padding=1, bias=False)
        self.middle = middle or nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.skip = nn.Conv2d(8, 8, 1, stride) if stride > 1 else nn.Identity()
        self.fc = nn.Linear(8, 10)
        self.scale = nn.Parameter(torch.ones(1, 8, 1, 1))
        self.add = add

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        y = self.norm(self.second(self.middle(self.first(x)).relu()))
        return self.fc(self.add(self, y, x).relu().mean((2, 3)))


def in_place(self, y, x):
    y += self.skip(x)
    return y


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [16, 17])
def test_a_body_that_is_added_to_in_place_can_go(stride, size):
    """As torchvision's blocks are: what stands in has to be a tensor of its own."""
    images = torch.randn(4, 3, size, size)
    module = Residual(in_place, stride=stride).eval()
    channels = follow(module, (images[:1],))
    (branch,) = channels.branches
    assert branch.strides == (stride, stride)
    inside = {c for made in branch.inside.values() for c in made}
    everything = {c for layer in channels.layers.values() for c in (*layer.source, *layer.target)}
    constant = torch.randn(8)
    change = cuts(channels, everything - inside, without=[branch], constants={"norm": constant})
    state = capture(module).cut(change)
    small = shape.apply(Residual(in_place, stride=stride), state.shape).eval()
    load_into(small, state)
    module.norm.register_forward_hook(lambda layer, given, made: made * 0 + constant.view(8, 1, 1))
    torch.testing.assert_close(small(images), module(images), rtol=1e-5, atol=1e-5)
    assert torch.equal(small(images), small(images))  # nothing is added to its constant


@pytest.mark.parametrize(
    "add", [lambda self, y, x: y + 0.5, lambda self, y, x: y + self.scale], ids=["number", "scale"]
)
def test_what_is_added_to_no_image_is_no_body_of_a_block(add):
    assert not channels_of(Residual(add)).branches


class Flattening(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4 * 8 * 8, 10)
        self.features = features

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.max_pool2d(self.conv(x), 4)
        return self.fc(x.view(-1, self.features) if self.features > 0 else x.view(x.size(0), -1))


def test_a_number_of_features_that_the_code_says_fixes_channels():
    written, counted = (channels_of(Flattening(n)) for n in (256, -1))
    assert set(written.layers["conv"].outputs) <= written.fixed
    assert not set(counted.layers["conv"].outputs) & counted.fixed


class Standardized(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.conv2d(x, self.weight - self.weight.mean(), self.bias)


@pytest.mark.parametrize(
    "second",
    [
        lambda: Standardized(8, 8, 3),
        lambda: nn.utils.parametrizations.weight_norm(nn.Conv2d(8, 8, 3)),
        lambda: nn.utils.parametrizations.spectral_norm(nn.Conv2d(8, 8, 3)),
    ],
)
def test_layers_that_are_not_what_they_seem_stay_whole(second):
    module = Odd(lambda self, x: x)
    module.second = second()
    channels = channels_of(module)
    assert set(channels.layers["first"].outputs) <= channels.fixed
    assert "no ordinary layer" in " ".join(channels.whole)


def test_a_weight_that_is_used_outside_of_its_layer_stays_whole():
    module = Odd(lambda self, x: x + nn.functional.conv2d(x, self.second.weight, padding=1))
    channels = channels_of(module)
    assert "second has weights that are used outside of it" in channels.whole
    assert set(channels.layers["second"].outputs) <= channels.fixed


def test_tensors_may_be_concatenated_by_name():
    module = Odd(lambda self, x: torch.cat(tensors=[x, x], dim=1)[:, :8])
    assert channels_of(module)


# Costs of gated networks.


@pytest.mark.parametrize("name", ["resnet8", "wide_resnet28"])
def test_a_gated_layer_costs_what_it_makes(name):
    """Behind it, the tensor is as wide as before."""
    options = (name, CUT[name])
    module = network(*options).eval()
    channels = channels_of(module)
    everything = {c for layer in channels.layers.values() for c in (*layer.source, *layer.target)}
    branch = channels.branches[0]
    last = branch.tail(channels)[0]
    stage = channels.layers[last].outputs
    read = channels.layers[branch.modules[0]].inputs
    change = cuts(channels, everything, gates=[Gate(branch, read, stage[:3])])
    small = cut(module, change, options)
    layer = small.get_submodule(last)
    assert layer.out_channels == 3
    macs = network_macs(small, example())
    assert macs[f"{last}.weight"] == layer.weight.numel() * 32 * 32
    whole, left = totals(module, example()), totals(small, example())
    per_map = 32 * 32
    assert whole.activations - left.activations == (len(stage) - 3) * per_map
    norms = sum(isinstance(small.get_submodule(n), nn.BatchNorm2d) for n in branch.tail(channels))
    assert whole.norm_traffic - left.norm_traffic == norms * 8 * (len(stage) - 3) * per_map
    assert left.inference_macs == sum(macs.values())
