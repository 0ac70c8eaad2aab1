"""Which kept weights are on a path, by boolean reachability, and what a report says of it."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pruning.data.splits import Split, Splits
from pruning.masks import mask as masking
from pruning.masks.report import channel_sparsity, report
from pruning.masks.weights import prune
from pruning.models.build import build, norm_scale_names, prunable_names
from pruning.models.config import NetworkConfig
from pruning.models.densenet import densenet
from pruning.models.paths import on_a_path
from pruning.seeds import generator
from pruning.training.classification import Classification, one_image
from pruning.training.recipe import Batching, Recipe
from pruning.training.schedules import StepDecay

GREY8, RGB32 = (1, 8, 8), (3, 32, 32)


def network(name, shape=RGB32, classes=10, seed=0, **options):
    return build(NetworkConfig(name, options=options), shape, classes, seed)


def random_masks(module, density, seed, names=None):
    named = dict(module.named_parameters())
    return {
        name: torch.rand(named[name].shape, generator=generator(seed, name)) < density
        for name in names or prunable_names(module)
    }


def dense_masks(module):
    return masking.dense(dict(module.named_parameters()), prunable_names(module))


def count(masks):
    return masking.counts(masks)[0]


# Reachability in booleans, no gradient and no arithmetic.


def linear_forward(mask, alive):
    return (mask & alive[None, :]).any(1)


def linear_effective(mask, alive, wanted):
    """Weights on a path, and which inputs are wanted."""
    used = mask & alive[None, :] & wanted[:, None]
    return used, (mask & wanted[:, None]).any(0)


def taps(mask, padding, side):
    """(output channel, input channel, slice of the padded input) for each kept weight."""
    size = side + 2 * padding - mask.shape[2] + 1
    for o, i, y, x in np.argwhere(mask):
        yield o, i, y, x, (slice(y, y + size), slice(x, x + size))


def conv_forward(mask, alive, padding):
    side = alive.shape[1]
    padded = np.pad(alive, ((0, 0), (padding,) * 2, (padding,) * 2))
    size = side + 2 * padding - mask.shape[2] + 1
    result = np.zeros((mask.shape[0], size, size), dtype=bool)
    for o, i, _, _, window in taps(mask, padding, side):
        result[o] |= padded[i][window]
    return result


def conv_effective(mask, alive, wanted, padding):
    side = alive.shape[1]
    padded = np.pad(alive, ((0, 0), (padding,) * 2, (padding,) * 2))
    used, wanted_inputs = np.zeros_like(mask), np.zeros_like(padded)
    for o, i, y, x, window in taps(mask, padding, side):
        used[o, i, y, x] = (padded[i][window] & wanted[o]).any()
        wanted_inputs[i][window] |= wanted[o]
    inside = slice(padding, padding + side)
    return used, wanted_inputs[:, inside, inside]


def pool(alive):
    """2x2, any of four; an odd last row or column is left out."""
    half = alive.shape[1] // 2
    return alive[:, : 2 * half, : 2 * half].reshape(len(alive), half, 2, half, 2).any((2, 4))


def unpool(wanted, side):
    result = np.zeros((len(wanted), side, side), dtype=bool)
    grown = wanted.repeat(2, 1).repeat(2, 2)
    result[:, : grown.shape[1], : grown.shape[2]] = grown
    return result


def reachable(masks, shape, padding):
    """Effective masks of two convolutions, each with a 2x2 pooling behind, and two linear layers.

    ``norm1`` and ``norm2``, where given, silence channels.
    """
    conv1, conv2, fc1, fc2 = (
        masks[f"{name}.weight"].numpy() for name in ("conv1", "conv2", "fc1", "fc2")
    )
    scale1, scale2 = (
        masks[name].numpy() if name in masks else np.ones(len(conv), dtype=bool)
        for name, conv in (("norm1.weight", conv1), ("norm2.weight", conv2))
    )
    x0 = np.ones(shape, dtype=bool)
    y1 = conv_forward(conv1, x0, padding)
    z1 = y1 & scale1[:, None, None]
    x1 = pool(z1)
    y2 = conv_forward(conv2, x1, padding)
    z2 = y2 & scale2[:, None, None]
    x2 = pool(z2)
    flat = x2.reshape(-1)
    hidden = linear_forward(fc1, flat)
    used, result = {}, {}
    used["fc2"], wanted = linear_effective(fc2, hidden, np.ones(len(fc2), dtype=bool))
    used["fc1"], wanted = linear_effective(fc1, flat, wanted)
    w2 = unpool(wanted.reshape(x2.shape), z2.shape[1])
    result["norm2.weight"] = scale2 & (y2 & w2).any((1, 2))
    used["conv2"], wanted = conv_effective(conv2, x1, w2 & scale2[:, None, None], padding)
    w1 = unpool(wanted, z1.shape[1])
    result["norm1.weight"] = scale1 & (y1 & w1).any((1, 2))
    used["conv1"], _ = conv_effective(conv1, x0, w1 & scale1[:, None, None], padding)
    result |= {f"{name}.weight": mask for name, mask in used.items()}
    return {name: torch.from_numpy(result[name]) for name in masks}


def assert_same(got, expected):
    assert list(got) == list(expected)
    for name in got:
        assert got[name].dtype == torch.bool
        assert torch.equal(got[name], expected[name]), name


@given(
    st.lists(st.integers(1, 5), min_size=0, max_size=3), st.floats(0.05, 0.9), st.integers(0, 10**9)
)
def test_weights_of_a_perceptron_on_a_path_are_those_reachability_finds(widths, density, seed):
    module = network("mlp", (1, 2, 2), 3, widths=widths)
    masks = random_masks(module, density, seed)
    arrays = [mask.numpy() for mask in masks.values()]
    alive = [np.ones(4, dtype=bool)]
    for mask in arrays:
        alive.append(linear_forward(mask, alive[-1]))
    wanted, expected = np.ones(3, dtype=bool), []
    for mask, inputs in zip(arrays[::-1], alive[-2::-1], strict=True):
        used, wanted = linear_effective(mask, inputs, wanted)
        expected.append(torch.from_numpy(used))
    assert_same(
        on_a_path(module, masks, one_image((1, 2, 2))),
        dict(zip(masks, expected[::-1], strict=True)),
    )


@settings(max_examples=60)
@given(st.floats(0.02, 0.6), st.integers(0, 10**9), st.booleans())
def test_weights_of_a_convolutional_network_on_a_path_are_those_reachability_finds(
    density, seed, scales
):
    """Through max-pooling a path may lead by any of the four; scales silence channels."""
    module = network("small_cnn", GREY8, 3, widths=[3, 4], hidden=5)
    masks = random_masks(module, density, seed)
    if scales:
        masks |= random_masks(module, 0.6, seed, norm_scale_names(module))
    assert_same(on_a_path(module, masks, one_image(GREY8)), reachable(masks, GREY8, padding=1))


@settings(max_examples=30)
@given(st.floats(0.02, 0.5), st.integers(0, 10**9))
def test_weights_of_lenet_on_a_path_are_those_reachability_finds(density, seed):
    module = network("lenet_5", (1, 18, 18), 3, widths=[2, 3], hidden=4)
    masks = random_masks(module, density, seed)
    assert_same(
        on_a_path(module, masks, one_image((1, 18, 18))), reachable(masks, (1, 18, 18), padding=0)
    )


def test_readable_example():
    """2 - 2 - 2: hidden 0 hears nothing, output 1 hears only hidden 0, hidden 1 is heard."""
    module = network("mlp", (1, 1, 2), 2, widths=[2])
    masks = {
        "fc1.weight": torch.tensor([[False, False], [True, False]]),
        "fc2.weight": torch.tensor([[True, True], [True, False]]),
    }
    effective = on_a_path(module, masks, one_image((1, 1, 2)))
    assert effective["fc1.weight"].tolist() == [[False, False], [True, False]]
    assert effective["fc2.weight"].tolist() == [[False, True], [False, False]]


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(
    "name", ["resnet20", "vgg11", "resnet18", "densenet40", "mobilenet_v2", "wide_resnet28"]
)
def test_dense_networks_are_on_paths_throughout(name, affine):
    """But for the taps of 3x3 kernels that only ever see padding, in 1x1 images."""
    options = {"norm_affine": affine, "classifier_bias": affine}
    options |= {"vgg11": {"width": 0.1}, "mobilenet_v2": {"width": 0.25}}.get(name, {})
    module = network(name, **options)
    masks = dense_masks(module)
    effective = on_a_path(module, masks, one_image(RGB32))
    for layer, mask in effective.items():
        if name == "resnet18" and layer.startswith("stages.3.") and mask.shape[-1] == 3:
            continue
        assert mask.all(), layer


def test_one_path_through_many_dead_inputs_is_found_in_a_deep_network():
    """Row 0 of each layer keeps everything, of which only channel 0 is alive: the signal shrinks
    by the fan-in of every layer and must still not be taken for nothing.
    """
    module = network("vgg19", width=0.5)
    masks = {}
    for name, mask in dense_masks(module).items():
        masks[name] = mask.clone()
        if name != "fc.weight":
            masks[name][1:] = False
    effective = on_a_path(module, masks, one_image(RGB32))
    assert [int(mask.sum()) for mask in effective.values()] == [27, *15 * [9], 10]
    assert all(mask[:, 0].any() for mask in effective.values())


def test_dense_paths_are_too_many_for_a_number_and_are_still_found():
    """100^161 paths are beyond float64; what a unit hears is shared out among its inputs."""
    module = network("mlp", (1, 1, 4), 3, widths=[100] * 161)
    masks = dense_masks(module)
    masks["fc3.weight"][:, 9] = False  # a unit that nobody hears, where gradients are largest
    masks["fc160.weight"][7] = False  # and one that hears nothing, where activations are
    effective = on_a_path(module, masks, one_image((1, 1, 4)))
    lost = {name: int((mask & ~effective[name]).sum()) for name, mask in masks.items()}
    assert {name: n for name, n in lost.items() if n} == {"fc2.weight": 100, "fc161.weight": 100}


def test_a_dead_layer_leaves_no_path():
    module = network("small_cnn", GREY8)
    for name in prunable_names(module):
        masks = dense_masks(module)
        masks[name] = torch.zeros_like(masks[name])
        assert count(on_a_path(module, masks, one_image(GREY8))) == 0, name


def test_silenced_channels_take_their_weights_along():
    module = network("small_cnn", GREY8)
    masks = dense_masks(module)
    masks["norm1.weight"] = torch.arange(8) != 2
    effective = on_a_path(module, masks, one_image(GREY8))
    gone = {name: mask ^ effective[name] for name, mask in masks.items()}
    assert gone["conv1.weight"][2].all()
    assert gone["conv2.weight"][:, 2].all()
    assert count(gone) == 9 + 16 * 9


def test_shortcuts_keep_paths_alive():
    module = network("resnet8", widths=[4, 5, 6])
    whole = dense_masks(module)

    def lost(*names):
        """What is kept but on no path when these tensors keep nothing."""
        masks = {n: torch.zeros_like(m) if n in names else m for n, m in whole.items()}
        effective = on_a_path(module, masks, one_image(RGB32))
        return {n for n in masks if n not in names and not effective[n].all()}

    # An identity, and a projection: only the other half of the branch is lost.
    assert lost("stages.0.0.conv1.weight") == {"stages.0.0.conv2.weight"}
    assert lost("stages.1.0.conv2.weight") == {"stages.1.0.conv1.weight"}
    # The branch goes on without its projection.
    assert lost("stages.1.0.shortcut.0.weight") == set()
    everything = set(whole)
    cut = {"stages.1.0.shortcut.0.weight", "stages.1.0.conv1.weight"}
    assert lost(*cut) == everything - cut
    assert lost("conv.weight") == everything - {"conv.weight"}


def test_a_depthwise_layer_leads_each_channel_to_itself():
    module = network("mobilenet_v2", width=0.25, norm_affine=False)
    masks, block = dense_masks(module), "stages.1.1"
    masks[f"{block}.conv2.weight"][4] = False
    effective = on_a_path(module, masks, one_image(RGB32))
    assert not effective[f"{block}.conv1.weight"][4].any()
    assert not effective[f"{block}.conv3.weight"][:, 4].any()
    gone = sum(int((masks[n] & ~effective[n]).sum()) for n in masks)
    assert gone == 2 * 6  # six channels go in and out of the block


def test_identity_shortcuts_that_pad_keep_only_what_they_lead_to():
    """Option A: padded channels hear nothing, so weights that listen to them are on no path."""
    module = network("resnet8", widths=[4, 8, 16], shortcut="identity")
    masks = dense_masks(module)
    masks["stages.1.0.conv2.weight"] = torch.zeros_like(masks["stages.1.0.conv2.weight"])
    effective = on_a_path(module, masks, one_image(RGB32))
    heard = effective["stages.2.0.conv1.weight"].any(dim=(0, 2, 3))
    assert heard.tolist() == [False] * 2 + [True] * 4 + [False] * 2


def test_the_weights_themselves_do_not_matter_and_stay_as_they_are():
    """Also not those of a network that was built without any, where memory holds anything."""
    module = network("small_cnn", GREY8).train()
    module.fc1.eval()
    masks = random_masks(module, 0.1, 0)
    module.conv1.weight.requires_grad_(False)
    expected = on_a_path(module, masks, one_image(GREY8))
    broken = copy.deepcopy(module)
    with torch.no_grad():
        for tensor in (*broken.parameters(), *broken.buffers()):
            tensor.copy_(torch.full_like(tensor, -1 if tensor.dtype == torch.int64 else torch.nan))
    before = {name: t.clone() for name, t in module.state_dict().items()}
    generator_state = torch.get_rng_state()
    assert_same(on_a_path(broken, masks, one_image(GREY8)), expected)
    assert_same(on_a_path(module, masks, one_image(GREY8)), expected)
    assert torch.equal(torch.get_rng_state(), generator_state)
    after = module.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert [module.training, module.fc1.training, module.fc2.training] == [True, False, True]
    assert not module.conv1.weight.requires_grad
    assert module.fc1.weight.requires_grad
    assert all(p.grad is None and p.dtype == torch.float32 for p in module.parameters())
    # Pooling is as it was.
    assert torch.nn.functional.max_pool2d(torch.arange(4.0).view(1, 1, 2, 2), 2).item() == 3


# Dense blocks: two layers each, channels 3 + 2 + 2, 7 + 2 + 2 and 11 + 2 + 2, linear layer from 15.


def tiny_densenet():
    return densenet(GREY8, 3, depth=10, growth=2, stem_width=3, norm={})


def reachable_in_densenet(masks):
    """Effective masks of :func:`tiny_densenet`, in booleans."""
    kept = {name.removesuffix(".weight"): mask.numpy() for name, mask in masks.items()}
    convs = list(kept)[:-1]
    x = np.ones(GREY8, dtype=bool)
    inputs = {}
    for name in convs:  # forward: what is alive
        inputs[name] = x
        y = conv_forward(kept[name], x, padding=int(kept[name].shape[2] == 3))
        if name.startswith("block"):
            y = np.concatenate([x, y])
        x = pool(y) if name.startswith("transition") else y
    last, wanted = linear_effective(kept["fc"], x.any((1, 2)), np.ones(3, dtype=bool))
    used = {"fc": last}
    wanted = np.broadcast_to(wanted[:, None, None], x.shape)
    for name in reversed(convs):  # backward: what is wanted
        x = inputs[name]
        if name.startswith("transition"):
            wanted = unpool(wanted, x.shape[1])
        passed = wanted[: len(x)] if name.startswith("block") else False
        new = wanted[-len(kept[name]) :]
        padding = int(kept[name].shape[2] == 3)
        used[name], wanted = conv_effective(kept[name], x, new, padding)
        wanted = wanted | passed
    return {f"{name}.weight": torch.from_numpy(used[name]) for name in kept}


@settings(max_examples=60)
@given(st.floats(0.02, 0.6), st.integers(0, 10**9))
def test_weights_of_a_densenet_on_a_path_are_those_reachability_finds(density, seed):
    module = tiny_densenet()
    masks = random_masks(module, density, seed)
    assert_same(on_a_path(module, masks, one_image(GREY8)), reachable_in_densenet(masks))


@pytest.mark.parametrize(
    ("written", "readers"),
    [
        # The filter that writes a channel, and all that reads it.
        (("conv", 1), {"block1.layer1": 1, "block1.layer2": 1, "transition1": 1}),
        (("block1.layer1", 0), {"block1.layer2": 3, "transition1": 3}),
        (("block1.layer2", 1), {"transition1": 6}),
        (("transition1", 6), {"block2.layer1": 6, "block2.layer2": 6, "transition2": 6}),
        (("block2.layer1", 1), {"block2.layer2": 8, "transition2": 8}),
        (("block3.layer1", 1), {"block3.layer2": 12, "fc": 12}),
        (("block3.layer2", 0), {"fc": 13}),
    ],
)
def test_a_concatenated_channel_is_lost_when_its_last_reader_is(written, readers):
    module = tiny_densenet()
    whole = dense_masks(module)

    def kernel(layer):
        return f"{layer}.weight" if layer in ("conv", "fc") else f"{layer}.conv.weight"

    def lost(deaf):
        """What is kept but on no path when these layers do not listen to the channel."""
        masks = {name: mask.clone() for name, mask in whole.items()}
        for layer in deaf:
            masks[kernel(layer)][:, readers[layer]] = False
        effective = on_a_path(module, masks, one_image(GREY8))
        return {name: mask & ~effective[name] for name, mask in masks.items()}

    layer, channel = written
    filters = {name: torch.zeros_like(mask) for name, mask in whole.items()}
    filters[kernel(layer)][channel] = True
    assert_same(lost(readers), filters)
    for listening in readers:
        assert count(lost(readers.keys() - {listening})) == 0, listening


# Nominal 98 % and what is on a path of ResNet-20 (reference, section 2).


def images_free_task(name, **options):
    """A task on one black image, for scores that look at none."""
    split = Split(torch.zeros(1, 32, 32, 3, dtype=torch.uint8), torch.zeros(1).long())
    data = Splits("none", tuple("0123456789"), split, split, split, (0,) * 3, (1,) * 3, {})
    config = NetworkConfig(name, "kaiming_normal_uniform_scale", options)
    return Classification(data, config, Recipe(1, Batching(128), StepDecay(0.1, ())))


@pytest.mark.parametrize(
    ("score", "sparsity", "effective"),
    # Three draws differ by 0.06 at most for 98 %.
    [
        ("random", 98, 98.27),
        ("magnitude", 98, 98.08),
        ("synflow", 98, 98.00),
        ("random", 99.8, 99.99),
        ("magnitude", 99.8, 99.88),
    ],
)
def test_effective_sparsities_of_resnet20_are_those_of_the_reference(score, sparsity, effective):
    task = images_free_task("resnet20")
    iterations = 30 if score == "synflow" else 1
    sparsities = []
    for seed in range(1 if score == "synflow" else 3):
        state = task.initial_state(seed)
        selection = dict(iterations=iterations)
        masks = prune(task, state, 1 - sparsity / 100, score=score, **selection, seed=seed)
        on = on_a_path(task.build(), masks, one_image(RGB32))
        assert not any((on[name] & ~mask).any() for name, mask in masks.items())
        sparsities.append(100 * (1 - masking.density(on)))
    mean = sum(sparsities) / len(sparsities)
    assert mean == pytest.approx(effective, abs=0.1 if sparsity == 98 else 0.04)


# The report.


def test_a_report_counts_kernels_and_paths_and_lists_scales(make_task):
    task = make_task("small_cnn")
    names = [*task.prunable(), "norm1.weight", "norm2.weight"]
    masks = masking.dense(task.initial_state(0).weights, names)
    masks["conv1.weight"][1:] = False
    masks["norm2.weight"][0] = False
    masks["fc2.weight"][:] = False
    masks["fc2.weight"][0, 0] = True
    got = report(task, dict(reversed(masks.items())))  # a file has its own order
    assert list(got["kept_by_layer"]) == names
    assert list(got["kind_by_layer"].values()) == 4 * ["kernel"] + 2 * ["norm_scale"]
    assert got["prunable"] == 3592
    assert got["kept"] == 9 + 8 * 16 * 9 + 64 * 32 + 1
    assert got["mask_density"] == got["kept"] / 3592
    # One channel, into 15 that are not silenced, into the one hidden unit that is heard.
    assert got["effective_by_layer"] == {
        "conv1.weight": 9,
        "conv2.weight": 15 * 9,
        "fc1.weight": 15 * 4,
        "fc2.weight": 1,
        "norm1.weight": 1,
        "norm2.weight": 15,
    }
    assert got["effective_density"] == (9 + 135 + 60 + 1) / 3592
    assert got["kept_by_layer"]["norm2.weight"] == 15
    assert got["prunable_by_layer"]["norm1.weight"] == 8
    assert (got["collapsed"], got["collapsed_layers"]) == ([], 0)
    assert sum(got["channel_sparsity"]) == 8 + 16 + 32 + 10
    assert got["channel_sparsity"][0] == 1 + 16 + 32
    assert got["channel_sparsity"][96] == 1  # 31 of 32
    assert got["channel_sparsity"][100] == 7 + 9
    masks["fc2.weight"][0, 0] = False
    got = report(task, masks)
    assert (got["collapsed"], got["collapsed_layers"]) == (["fc2.weight"], 1)
    assert got["effective_density"] == 0


def test_channels_that_lost_everything_are_counted_apart():
    masks = torch.ones(4, 100, dtype=torch.bool)
    masks[1, :1] = False  # 1 %: the second bin
    masks[2, :99] = False
    masks[3] = False
    histogram = channel_sparsity({"a": masks, "b": masks.view(4, 4, 5, 5)})
    assert {i: n for i, n in enumerate(histogram) if n} == {0: 2, 1: 2, 99: 2, 100: 2}
    assert len(histogram) == 101
