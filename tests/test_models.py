import functools

import pytest
import torch
from torch import nn

from pruning import registry
from pruning.errors import PruningError
from pruning.models.build import build, norm_scale_names, prunable_names
from pruning.models.config import NetworkConfig
from pruning.models.cost import network_macs
from pruning.seeds import generator
from pruning.training.classification import one_image

GREY28, RGB32, GREY8 = (1, 28, 28), (3, 32, 32), (1, 8, 8)
OF_TEXT = ("gnmt",)  # see test_gnmt.py
OF_IMAGES = [name for name in registry.known("network") if name not in OF_TEXT]


def count(name, shape, **options):
    module = build(NetworkConfig(name, options=options), shape, 10, seed=0)
    weights = dict(module.named_parameters())
    return sum(weights[n].numel() for n in prunable_names(module))


@pytest.mark.parametrize(
    ("name", "shape", "options", "prunable"),
    [
        # Ding et al. 2019, reference section 6.
        ("lenet_300_100", GREY28, {}, 266_200),
        ("lenet_5", GREY28, {}, 430_500),
        # Renda et al. 2020, reference section 4: a projection in every stage.
        ("resnet20", RGB32, {"shortcut": "all_stages"}, 271_152),
        ("resnet56", RGB32, {"shortcut": "all_stages"}, 851_760),
        ("resnet110", RGB32, {"shortcut": "all_stages"}, 1_722_672),
        # Frankle et al. 2021: projections where the shape changes.
        ("resnet20", RGB32, {}, 270_896),
        ("vgg16", RGB32, {}, 14_715_584),
        # Sreenivasan et al. 2022: no projections.
        ("resnet20", RGB32, {"shortcut": "identity"}, 268_336),
        ("small_cnn", GREY8, {}, 3_592),
    ],
)
def test_prunable_weight_counts_of_the_references(name, shape, options, prunable):
    assert count(name, shape, **options) == prunable


BARE = {"norm_affine": False, "classifier_bias": False}


@pytest.mark.parametrize(
    ("name", "shape", "classes", "options", "shortcuts", "prunable"),
    [
        ("resnet20", RGB32, 10, {"shortcut": "identity"}, 0, 268_336),
        ("resnet32", RGB32, 10, {"shortcut": "identity"}, 0, 461_872),
        ("resnet32", RGB32, 100, {"shortcut": "identity", "widths": [32, 64, 128]}, 0, 1_856_864),
        ("mobilenet_v2", RGB32, 10, {}, 58_240, 2_261_824),
        ("vgg16", RGB32, 10, {"last_pool": "average"}, 0, 14_715_584),
        ("wide_resnet28", RGB32, 10, {}, 10_752, 1_463_984),
        ("resnet18", RGB32, 10, {"stem": "small"}, 172_032, 11_164_352),
        # The reference counts these without the convolutions of shortcuts.
        ("resnet18", (3, 64, 64), 200, {}, 172_032, 11_097_280 + 172_032),
        ("resnet50", (3, 64, 64), 200, {}, 2_768_896, 21_095_616 + 2_768_896),
        ("resnet50", (3, 64, 64), 1000, {}, 2_768_896, 22_734_016 + 2_768_896),
    ],
)
def test_networks_of_sreenivasan2022_count_as_the_reference_says(
    name, shape, classes, options, shortcuts, prunable
):
    """Reference, section 4: no biases, no batch-norm parameters, so all parameters are prunable."""
    module = build(NetworkConfig(name, options=options | BARE), shape, classes, seed=None)
    sizes = {n: p.numel() for n, p in module.named_parameters()}
    assert sum(sizes.values()) == prunable
    assert set(prunable_names(module)) == set(sizes)
    paths = [n.removesuffix(".weight") for n in sizes if "shortcut" in n.split(".")]
    assert sum(sizes[f"{n}.weight"] for n in paths) == shortcuts
    kept = prunable_names(module, tuple(paths))
    assert sum(sizes[n] for n in kept) == prunable - shortcuts


@pytest.mark.parametrize(
    ("name", "prunable"),
    [("lenet_300_100", 266_200), ("lenet_5", 430_500), ("mnist_conv", 1_199_648)],
)
def test_networks_for_mnist_do_without_biases(name, prunable):
    module = build(NetworkConfig(name, options={"bias": False}), GREY28, 10, seed=0)
    assert sum(p.numel() for p in module.parameters()) == prunable
    assert count(name, GREY28) == prunable


NEED_SCALES = ("fan_in_truncated_normal_zero_last_scale",)  # see test_residual.py


@pytest.mark.parametrize(
    "initialization", [i for i in registry.known("initialization") if i not in NEED_SCALES]
)
@pytest.mark.parametrize("name", ["resnet8", "resnet18", "vgg11", "densenet40", "wide_resnet28"])
def test_batch_norm_without_scales_and_shifts_starts_with_every_initialization(
    name, initialization
):
    options = BARE | ({"width": 0.1} if name == "vgg11" else {})
    module = build(NetworkConfig(name, initialization, options), RGB32, 10, seed=0)
    assert norm_scale_names(module) == []
    norms = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert norms
    for layer in norms:
        assert (layer.running_mean == 0).all()
        assert (layer.running_var == 1).all()
    assert all(torch.isfinite(p).all() for p in module.parameters())


def normalized(x):
    mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), False, keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt()


def test_a_wide_resnets_block_activates_first():
    """Zagoruyko & Komodakis 2016, written out."""
    from pruning.models.wide_resnet import PreActivationBlock

    x = torch.randn(4, 3, 6, 6)
    changing, staying = PreActivationBlock(3, 5, 2, 0.0, {}), PreActivationBlock(3, 3, 1, 0.0, {})
    for block, stride in ((changing, 2), (staying, 1)):
        first = normalized(x).relu()
        y = nn.functional.conv2d(first, block.conv1.weight, stride=stride, padding=1)
        y = nn.functional.conv2d(normalized(y).relu(), block.conv2.weight, padding=1)
        skip = x
        if stride == 2:
            skip = nn.functional.conv2d(first, block.shortcut.weight, stride=2)
        assert torch.allclose(block(x), y + skip, atol=1e-5)


def test_an_inverted_residual_is_expansion_depthwise_and_linear_convolution():
    """Sandler et al. 2018, with a convolution in the shortcut where channels change."""
    from pruning.models.mobilenet import InvertedResidual

    x, conv = torch.randn(4, 3, 6, 6), nn.functional.conv2d
    for outputs, stride in ((3, 1), (5, 1), (5, 2)):
        block = InvertedResidual(3, outputs, 6, stride, {})
        y = normalized(conv(x, block.conv1.weight)).relu()
        y = conv(y, block.conv2.weight, stride=stride, padding=1, groups=18)
        y = normalized(conv(normalized(y).relu(), block.conv3.weight))
        if stride == 1:
            y = y + (x if outputs == 3 else normalized(conv(x, block.shortcut[0].weight)))
        assert torch.allclose(block(x), y, atol=1e-4)


def test_mobilenets_sizes_of_images_by_stage():
    module = build(NetworkConfig("mobilenet_v2"), RGB32, 10, seed=0)
    shapes = []
    for part in (module.conv, *module.stages, module.last_conv):
        part.register_forward_hook(lambda _m, _i, y: shapes.append(tuple(y.shape[1:])))
    module(torch.zeros(2, *RGB32))
    assert shapes == [
        (32, 32, 32), (16, 32, 32), (24, 32, 32), (32, 16, 16), (64, 8, 8), (96, 8, 8),
        (160, 4, 4), (320, 4, 4), (1280, 4, 4),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "options", "tensors", "prunable", "parameters"),
    [
        ("resnet20", {"shortcut": "projection"}, 22, 270_896, 272_474),
        ("vgg16", {"conv_bias": True, "last_pool": "average"}, 14, 14_715_584, 14_728_266),
    ],
)
def test_networks_of_frankle2021_count_as_the_reference_says(
    name, options, tensors, prunable, parameters
):
    module = build(NetworkConfig(name, options=options), RGB32, 10, seed=0)
    sizes = {n: p.numel() for n, p in module.named_parameters()}
    names = prunable_names(module)
    assert len(names) == tensors
    assert sum(sizes[n] for n in names) == prunable
    assert sum(sizes.values()) == parameters


@pytest.mark.parametrize(
    ("name", "shape", "options", "tensors", "prunable", "norms", "biases"),
    [
        ("lenet_300_100", GREY28, {}, 3, 266_200, 0, 410),
        ("lenet_5", GREY28, {}, 4, 430_500, 0, 580),
        ("resnet56", RGB32, {"shortcut": "projection"}, 58, 851_504, 4_256, 10),
        # Kernels: stem 3*3*3*16; layers 3*3*(16 + 12 i)*12 for i < 36, in sum 878,688; transitions
        # 160^2 + 304^2; linear layer 448*10. Batch norms: each layer's of its 16 + 12 i inputs, in
        # sum 8,136, the transitions' of 160 and 304 channels, the last of 448; a scale and a shift
        # of each of these 9,048.
        ("densenet40", RGB32, {}, 40, 1_001_616, 18_096, 10),
    ],
)
def test_networks_of_ding2019_count_as_the_reference_says(
    name, shape, options, tensors, prunable, norms, biases
):
    """Reference, section 5: prunable weights, batch-norm parameters and other biases."""
    module = build(NetworkConfig(name, options=options), shape, 10, seed=0)
    sizes = {n: p.numel() for n, p in module.named_parameters()}
    names = prunable_names(module)
    assert len(names) == tensors
    assert sum(sizes[n] for n in names) == prunable
    scales = sum(sizes[n] for n in norm_scale_names(module))
    assert 2 * scales == norms
    assert sum(sizes.values()) == prunable + norms + biases


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("lenet_300_100", [235_200, 30_000, 1_000]),
        ("lenet_5", [500, 25_000, 400_000, 5_000]),
    ],
)
def test_layers_of_the_lenets_count_as_the_reference_says(name, sizes):
    module = build(NetworkConfig(name), GREY28, 10, seed=0)
    weights = dict(module.named_parameters())
    assert [weights[n].numel() for n in prunable_names(module)] == sizes


def test_densenet_layers_are_named_in_the_order_they_are_used_in():
    module = build(NetworkConfig("densenet40"), RGB32, 10, seed=0)
    names = [name.removesuffix(".weight") for name in prunable_names(module)]
    block = [f"layer{i}.conv" for i in range(1, 13)]
    assert names == [
        "conv",
        *(f"block1.{layer}" for layer in block),
        "transition1.conv",
        *(f"block2.{layer}" for layer in block),
        "transition2.conv",
        *(f"block3.{layer}" for layer in block),
        "fc",
    ]
    called, shapes = [], {}

    def note(name, output):
        called.append(name)
        shapes[name] = tuple(output.shape[1:])

    for name, part in module.named_modules():
        part.register_forward_hook(lambda _m, _i, output, name=name: note(name, output))
    module(torch.zeros(2, *RGB32))
    assert [name for name in called if name in names] == names
    parts = ("conv", "block1", "transition1", "block2", "transition2", "block3", "fc")
    assert [shapes[part] for part in parts] == [
        (16, 32, 32), (160, 32, 32), (160, 16, 16), (304, 16, 16), (304, 8, 8), (448, 8, 8), (10,)
    ]  # fmt: skip


def test_a_dense_layer_puts_its_output_behind_its_input():
    from pruning.models.densenet import DenseLayer

    layer = DenseLayer(5, 2, norm={})
    x = torch.randn(3, 5, 6, 7)
    y = layer(x)
    assert y.shape == (3, 7, 6, 7)
    assert torch.equal(y[:, :5], x)
    normalized = (x - x.mean((0, 2, 3), keepdim=True)) / x.std((0, 2, 3), False, keepdim=True)
    new = nn.functional.conv2d(normalized.relu(), layer.conv.weight, padding=1)
    assert torch.allclose(y[:, 5:], new, atol=1e-4)


def test_densenet_computes_what_its_definition_says():
    """Huang et al. 2017, written out with the weights alone; batch norms are no identities."""
    options = {"growth": 3, "stem_width": 4}
    module = build(NetworkConfig("densenet40", options=options), (2, 10, 8), 5, seed=0)
    module = module.double().eval()
    tensors = {
        name: torch.rand(t.shape, dtype=t.dtype, generator=generator(0, name)) + 0.2
        for name, t in module.state_dict().items()
        if "norm." in name and t.is_floating_point()
    }
    module.load_state_dict(tensors, strict=False)
    w = module.state_dict()

    def activated(x, norm):
        mean, var, scale, shift = (
            w[f"{norm}.{part}"].view(-1, 1, 1)
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return ((x - mean) / (var + 1e-5).sqrt() * scale + shift).clamp(min=0)

    images = torch.randn(3, 2, 10, 8, dtype=torch.float64)
    x = nn.functional.conv2d(images, w["conv.weight"], padding=1)
    for block in ("block1", "block2", "block3"):
        for layer in (f"{block}.layer{i}" for i in range(1, 13)):
            new = activated(x, f"{layer}.norm")
            x = torch.cat([x, nn.functional.conv2d(new, w[f"{layer}.conv.weight"], padding=1)], 1)
        if block != "block3":
            transition = block.replace("block", "transition")
            mixing = w[f"{transition}.conv.weight"][:, :, 0, 0]
            y = torch.einsum("oi,nihw->nohw", mixing, activated(x, f"{transition}.norm"))
            # An odd last row, as of the second pooling here, is left out.
            y = y[:, :, : y.shape[2] // 2 * 2]
            x = (y[..., ::2, ::2] + y[..., 1::2, ::2] + y[..., ::2, 1::2] + y[..., 1::2, 1::2]) / 4
    expected = activated(x, "norm").mean((2, 3)) @ w["fc.weight"].T + w["fc.bias"]
    assert torch.allclose(module(images), expected, rtol=1e-9, atol=1e-9)


def test_densenet_stays_in_the_memory_layout_that_training_uses():
    options = {"growth": 4, "stem_width": 6}
    module = build(NetworkConfig("densenet40", options=options), RGB32, 10, seed=0)
    images = torch.randn(2, *RGB32)
    expected = module(images)
    module = module.to(memory_format=torch.channels_last)
    layouts = []
    names = [name for name, _ in module.named_children()]
    for part in module[: names.index("pool")]:
        part.register_forward_hook(
            lambda _m, _i, y: layouts.append(y.is_contiguous(memory_format=torch.channels_last))
        )
    logits = module(images.to(memory_format=torch.channels_last))
    assert torch.allclose(logits, expected, atol=1e-4)
    assert layouts == [True] * 8


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((3, 3, 32), {}, "DenseNet-40 needs images of at least 4x4, these are 32x3"),
        (RGB32, {"growth": 0}, "growth is at least 1, not 0"),
        (RGB32, {"stem_width": -2}, "stem_width is at least 1, not -2"),
        (RGB32, {"growth": "many"}, "'densenet40' cannot be built with the options"),
        (RGB32, {"depth": 100}, "no option 'depth'.*growth, stem_width, bn_momentum, bn_eps"),
    ],
)
def test_a_densenet_that_cannot_be_says_why(shape, options, message):
    with pytest.raises(PruningError, match=message):
        build(NetworkConfig("densenet40", options=options), shape, 10, seed=0)


@pytest.mark.parametrize("depth", [18, 34, 50])
def test_imagenet_resnets_compute_what_torchvisions_do(depth):
    import torchvision

    theirs = torchvision.models.get_model(f"resnet{depth}", num_classes=1000)
    ours = build(NetworkConfig(f"resnet{depth}"), (3, 64, 80), 1000, seed=0)
    sizes = [[p.numel() for p in m.parameters()] for m in (ours, theirs)]
    assert sizes[0] == sizes[1]
    copied = zip(ours.state_dict(), theirs.state_dict().values(), strict=True)
    ours.load_state_dict(dict(copied))
    x = torch.randn(2, 3, 64, 80)
    for training in (True, False):  # the first also moves the running statistics
        outputs = [m.train(training)(x) for m in (ours, theirs)]
        assert torch.allclose(*outputs, atol=1e-5, rtol=1e-4)


def test_a_projection_in_every_stage_computes_what_torchvisions_network_with_one_does():
    import torchvision

    theirs = torchvision.models.resnet34(num_classes=1000)
    theirs.layer1[0].downsample = nn.Sequential(
        nn.Conv2d(64, 64, 1, bias=False), nn.BatchNorm2d(64)
    )
    config = NetworkConfig("resnet34", options={"shortcut": "all_stages"})
    ours = build(config, (3, 32, 32), 1000, seed=0)
    copied = zip(ours.state_dict(), theirs.state_dict().values(), strict=True)
    ours.load_state_dict(dict(copied))
    x = torch.randn(2, 3, 40, 32)
    outputs = [m.eval()(x) for m in (ours, theirs)]
    assert torch.allclose(*outputs, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "shortcut", "tensors", "prunable"),
    [
        ("resnet34", "all_stages", 38, 21_783_744),
        ("resnet34", "projection", 37, 21_779_648),
        ("resnet50", "all_stages", 54, 25_502_912),
        ("resnet50", "projection", 54, 25_502_912),
    ],
)
def test_imagenet_resnets_have_the_counts_of_the_reference(name, shortcut, tensors, prunable):
    config = NetworkConfig(name, options={"shortcut": shortcut})
    module = build(config, (3, 224, 224), 1000, seed=None)
    weights = dict(module.named_parameters())
    names = prunable_names(module)
    assert len(names) == tensors
    assert sum(weights[n].numel() for n in names) == prunable


@pytest.mark.parametrize(
    ("name", "shape", "classes", "convolutions", "parameters", "macs"),
    [
        ("alexnet", RGB32, 10, 5, 2_472_266, 14_957_056),
        ("alexnet", RGB32, 100, 5, 2_495_396, 14_980_096),
        ("vgg8", RGB32, 10, 5, 3_917_386, 67_834_880),
        ("vgg8", RGB32, 100, 5, 3_963_556, 67_880_960),
        ("vgg11", RGB32, 10, 8, 9_228_362, 152_769_536),
        ("vgg11", RGB32, 100, 8, 9_274_532, 152_815_616),
        ("vgg13", RGB32, 10, 10, 9_413_066, 228_267_008),
        ("vgg13", RGB32, 100, 10, 9_459_236, 228_313_088),
        ("resnet32", RGB32, 10, 33, 466_906, 69_124_736),
        ("resnet32", RGB32, 100, 33, 472_756, 69_130_496),
        ("resnet50_bottleneck", RGB32, 10, 76, 776_794, 113_953_280),
        ("resnet50_bottleneck", RGB32, 100, 76, 799_924, 113_976_320),
        ("resnet50", (3, 224, 224), 1000, 53, 25_557_032, 4_089_184_256),
        # Howard et al. 2017, table 4: 569 million multiply-adds and 4.2 million parameters.
        ("mobilenet", (3, 224, 224), 1000, 27, 4_231_976, 568_740_352),
    ],
)
def test_networks_of_lym2019_count_as_the_reference_says(
    name, shape, classes, convolutions, parameters, macs
):
    """Reference, section 1.2, to the digits that it prints; batch norms' parameters included."""
    module = build(NetworkConfig(name), shape, classes, seed=None)
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]
    assert len(layers) == convolutions
    assert sum(p.numel() for p in module.parameters()) == parameters
    assert sum(network_macs(module, one_image(shape)).values()) == macs


def test_mobilenets_parameters_add_up():
    """Howard et al. 2017, table 1: kernels, batch norms, and the linear layer."""
    outputs = [64, 128, 128, 256, 256, *6 * [512], 1024, 1024]
    inputs = [32, *outputs[:-1]]
    separable = sum(9 * i + i * o + 2 * (i + o) for i, o in zip(inputs, outputs, strict=True))
    assert 9 * 3 * 32 + 2 * 32 + separable + 1024 * 1000 + 1000 == 4_231_976


@pytest.mark.parametrize(("stem", "side"), [("imagenet", 16), ("small", 32)])
def test_sizes_of_images_in_a_mobilenet(stem, side):
    module = build(NetworkConfig("mobilenet", options={"stem": stem}), RGB32, 10, seed=0)
    shapes = []
    for part in (module.conv, *module.layers):
        part.register_forward_hook(lambda _m, _i, y: shapes.append(tuple(y.shape[1:])))
    module(torch.zeros(2, *RGB32))
    channels = [32, 64, *2 * [128], *2 * [256], *6 * [512], *2 * [1024]]
    shrunk = [1, 1, 2, 2, 4, 4, *6 * [8], 16, 16]
    assert shapes == [(c, side // s, side // s) for c, s in zip(channels, shrunk, strict=True)]
    with pytest.raises(PruningError, match="stem of a MobileNet is one of.*not 'cifar'"):
        build(NetworkConfig("mobilenet", options={"stem": "cifar"}), RGB32, 10, seed=0)


def test_a_separable_convolution_is_a_depthwise_and_a_pointwise_one():
    from pruning.models.mobilenet_v1 import SeparableConvolution

    x, conv, block = (
        torch.randn(4, 3, 6, 6),
        nn.functional.conv2d,
        SeparableConvolution(3, 5, 2, {}),
    )
    y = normalized(conv(x, block.conv1.weight, stride=2, padding=1, groups=3)).relu()
    y = normalized(conv(y, block.conv2.weight)).relu()
    assert torch.allclose(block(x), y, atol=1e-5)


def test_sizes_of_images_in_an_alexnet():
    module = build(NetworkConfig("alexnet"), RGB32, 10, seed=0)
    shapes = []
    for part in module.features:
        if isinstance(part, nn.Conv2d):
            part.register_forward_hook(lambda _m, _i, y: shapes.append(tuple(y.shape[1:])))
    module(torch.zeros(2, *RGB32))
    assert shapes == [(64, 8, 8), (192, 4, 4), (384, 2, 2), (256, 2, 2), (256, 2, 2)]
    assert module.fc.in_features == 256
    for shape, inputs in (((3, 29, 29), 1), ((3, 64, 61), 4), ((3, 224, 224), 49)):
        other = build(NetworkConfig("alexnet"), shape, 10, seed=0)
        assert other.fc.in_features == 256 * inputs
        assert other(torch.zeros(1, *shape)).shape == (1, 10)
    with pytest.raises(PruningError, match="AlexNet needs images of at least 29x29"):
        build(NetworkConfig("alexnet"), (3, 28, 32), 10, seed=0)


def test_a_bottleneck_network_halves_the_image_twice_in_3x3_convolutions():
    module = build(NetworkConfig("resnet50_bottleneck"), RGB32, 10, seed=None)
    assert [len(stage) for stage in module.stages] == [8, 8, 8]
    for index, stage in enumerate(module.stages):
        width, stride = 16 * 2**index, 1 if index == 0 else 2
        assert (stage[0].conv1.stride, stage[0].conv2.stride) == ((1, 1), (stride, stride))
        assert stage[0].shortcut[0].stride == (stride, stride)
        for block in stage:
            sizes = [c.out_channels for c in (block.conv1, block.conv2, block.conv3)]
            assert sizes == [width, width, 4 * width]
        assert [block.shortcut is None for block in stage] == [False, *7 * [True]]


@pytest.mark.parametrize(
    "name",
    [
        "alexnet", "vgg8", "vgg11", "vgg13", "vgg16", "resnet32", "resnet50_bottleneck", "resnet50",
        "mobilenet",
    ],
)  # fmt: skip
def test_networks_can_be_traced(name):
    """What follows channels through a network reads its graph."""
    module = build(NetworkConfig(name), RGB32, 10, seed=0).eval()
    images = torch.randn(2, *RGB32)
    assert torch.equal(torch.fx.symbolic_trace(module)(images), module(images))


def test_the_small_stem_keeps_the_size_of_the_image():
    module = build(NetworkConfig("resnet18", options={"stem": "small"}), RGB32, 10, seed=0)
    shapes = []
    for part in (module.conv, *module.stages):
        part.register_forward_hook(lambda _m, _i, y: shapes.append(tuple(y.shape[1:])))
    module(torch.zeros(2, *RGB32))
    assert module.conv.kernel_size == (3, 3)
    expected = [(64, 32, 32), (64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4)]
    assert shapes == expected
    with pytest.raises(PruningError, match="stem of a ResNet-34 is one of.*not 'cifar'"):
        build(NetworkConfig("resnet34", options={"stem": "cifar"}), RGB32, 10, seed=0)
    with pytest.raises(PruningError, match="shortcut of a ResNet-34 is one of .*not 'identity'"):
        build(NetworkConfig("resnet34", options={"shortcut": "identity"}), RGB32, 10, seed=0)


@pytest.mark.parametrize("name", OF_IMAGES)
def test_every_network_runs_forward_and_backward(name):
    shape = GREY28 if name.startswith("lenet") else RGB32
    options = {"width": 0.25} if name.startswith("vgg") else {}
    module = build(NetworkConfig(name, options=options), shape, 7, seed=1)
    logits = module(torch.randn(2, *shape))
    assert logits.shape == (2, 7)
    logits.sum().backward()
    assert all(p.grad is not None for p in module.parameters())


@pytest.mark.parametrize("initialization", registry.known("initialization"))
def test_weights_are_a_function_of_the_seed_and_of_nothing_global(initialization):
    config = NetworkConfig("resnet8", initialization)
    torch.manual_seed(1)
    first = build(config, GREY8, 10, seed=3).state_dict()
    torch.manual_seed(2)
    before = torch.get_rng_state()
    again, other = build(config, GREY8, 10, seed=3), build(config, GREY8, 10, seed=4)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[k], v) for k, v in again.state_dict().items())
    if initialization != "unsigned_constant":
        assert not torch.equal(first["conv.weight"], other.state_dict()["conv.weight"])
    assert all(torch.isfinite(v).all() for v in first.values())


def test_initial_variances():
    config = NetworkConfig("vgg16", "fan_in_truncated_normal")
    weights = build(config, RGB32, 10, seed=0).state_dict()
    kernel = weights["features.40.weight"]  # 512 -> 512
    fan_in = kernel[0].numel()
    assert float(kernel.var() * fan_in) == pytest.approx(1, rel=0.02)
    assert float(kernel.abs().max() * fan_in**0.5) == pytest.approx(2 / 0.8796, rel=0.01)
    assert float(weights["fc.weight"].std()) == pytest.approx(0.01, rel=0.05)
    assert float(weights["fc.bias"].abs().max()) == 0
    he = build(NetworkConfig("vgg16"), RGB32, 10, seed=0).state_dict()
    assert float(he["features.40.weight"].var() * fan_in) == pytest.approx(2, rel=0.02)
    glorot = build(NetworkConfig("vgg16", "xavier_uniform"), RGB32, 10, seed=0)
    kernel = glorot.state_dict()["features.40.weight"]
    assert float(kernel.var() * (2 * fan_in) / 2) == pytest.approx(1, rel=0.02)


def test_constant_kernels_have_the_size_of_hes_and_fair_signs():
    """Ramanujan et al. 2020; the sizes are sqrt(2/fan_in), of a linear layer as of others."""
    signed, unsigned = (
        build(NetworkConfig("resnet8", name), RGB32, 10, seed=0)
        for name in ("signed_constant", "unsigned_constant")
    )
    signs = []
    for name, layer in signed.named_modules():
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        size = torch.tensor((2 / layer.weight[0].numel()) ** 0.5)
        assert torch.equal(layer.weight.abs(), size.expand_as(layer.weight)), name
        assert torch.equal(unsigned.get_submodule(name).weight, size.expand_as(layer.weight))
        signs.append(layer.weight.flatten() > 0)
    share = float(torch.cat(signs).float().mean())
    assert abs(share - 0.5) < 4 * 0.5 / sum(map(len, signs)) ** 0.5
    assert len({tuple(s[:64].tolist()) for s in signs}) == len(signs)  # a generator each


def test_variances_of_kaiming_uniform_and_xavier_normal():
    kernel = "stages.2.0.conv2.weight"  # 64 -> 64, 3x3
    uniform = build(NetworkConfig("resnet8", "kaiming_uniform"), RGB32, 10, seed=0)
    weight = uniform.state_dict()[kernel]
    assert float(weight.var()) * 576 == pytest.approx(2, rel=0.03)
    assert float(weight.abs().max()) == pytest.approx((6 / 576) ** 0.5, rel=0.01)
    normal = build(NetworkConfig("resnet8", "xavier_normal"), RGB32, 10, seed=0)
    assert float(normal.state_dict()[kernel].var()) * 576 == pytest.approx(1, rel=0.03)


@pytest.mark.parametrize("name", ["vgg8", "alexnet", "mobilenet", "resnet50_bottleneck"])
def test_moments_of_kaiming_normal_fan_out(name):
    """Convolutions from N(0, 2/(area x outputs)); the rest as torch's own layers start."""
    module = build(NetworkConfig(name, "kaiming_normal_fan_out"), RGB32, 100, seed=0)
    for layer in module.requires_grad_(False).modules():
        if isinstance(layer, nn.Conv2d):
            area, outputs = layer.weight[0, 0].numel(), layer.out_channels
            kernel = layer.weight * (area * outputs / 2) ** 0.5
            margin = 4 * kernel.numel() ** -0.5
            assert float(kernel.mean()) == pytest.approx(0, abs=margin)
            assert float(kernel.var()) == pytest.approx(1, abs=1.5 * margin)
        elif isinstance(layer, nn.Linear):
            kernel = layer.weight * layer.in_features**0.5
            assert 0.99 < float(kernel.abs().max()) <= 1 + 1e-6
            assert float(kernel.var()) == pytest.approx(1 / 3, abs=0.01)
        elif isinstance(layer, nn.BatchNorm2d):
            assert (layer.weight == 1).all()
            assert (layer.bias == 0).all()
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
            bias = layer.bias * layer.weight[0].numel() ** 0.5
            assert 0.8 < float(bias.abs().max()) <= 1 + 1e-6
            assert len(set(bias.tolist())) > len(bias) / 2


def test_kaiming_normal_fan_out_is_torchs():
    module = build(NetworkConfig("alexnet", "kaiming_normal_fan_out"), RGB32, 10, seed=5)
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Conv2d):
            kernel = torch.empty_like(layer.weight)
            source = generator(5, "initialization", name)
            nn.init.kaiming_normal_(kernel, mode="fan_out", nonlinearity="relu", generator=source)
            assert torch.allclose(layer.weight, kernel, rtol=1e-6)


def test_older_initializations_draw_each_kernel_from_its_own_generator_and_nothing_else():
    """Spelled out, as the bits of random normals differ between processors."""

    def truncated(kernel, source):
        if kernel.ndim == 2:
            return nn.init.normal_(kernel, std=0.01, generator=source)
        std = kernel[0].numel() ** -0.5 / 0.87962566103423978
        return nn.init.trunc_normal_(kernel, std=std, a=-2 * std, b=2 * std, generator=source)

    draws = {
        "fan_in_truncated_normal": truncated,
        "kaiming_normal": lambda kernel, source: nn.init.kaiming_normal_(
            kernel, nonlinearity="relu", generator=source
        ),
        "xavier_uniform": lambda kernel, source: nn.init.xavier_uniform_(kernel, generator=source),
    }
    for name, draw in draws.items():
        module = build(NetworkConfig("small_cnn", name), GREY8, 10, seed=5)
        for layer_name, layer in module.named_children():
            if isinstance(layer, nn.BatchNorm2d):
                assert (layer.weight == 1).all()
                assert (layer.bias == 0).all()
                continue
            source = generator(5, "initialization", layer_name)
            assert torch.equal(layer.weight, draw(torch.empty_like(layer.weight), source))
            assert layer.bias is None or (layer.bias == 0).all()


@pytest.mark.parametrize(
    ("initialization", "variance"),
    [
        ("kaiming_normal_uniform_scale", lambda fan_in: 2 / fan_in),
        ("normal_std_01", lambda _: 0.01),
    ],
)
def test_moments_of_frankle2021s_initializations(initialization, variance):
    config = NetworkConfig("vgg16", initialization, {"conv_bias": True})
    module = build(config, RGB32, 10, seed=0).requires_grad_(False)
    scales = []
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            scales.append(layer.weight)
            assert (layer.bias == 0).all()
            assert (layer.running_mean == 0).all()
            assert (layer.running_var == 1).all()
        elif isinstance(layer, nn.Conv2d | nn.Linear):
            kernel, fan_in = layer.weight, layer.weight[0].numel()
            # Four standard deviations of a mean and of a variance of so many normal draws.
            margin = 4 * kernel.numel() ** -0.5
            assert float(kernel.mean()) == pytest.approx(0, abs=margin * variance(fan_in) ** 0.5)
            assert float(kernel.var() / variance(fan_in)) == pytest.approx(1, abs=1.5 * margin)
            assert float(layer.bias.abs().max()) <= fan_in**-0.5
    scales = torch.cat(scales)
    assert 0 <= float(scales.min()) < 0.01
    assert 0.99 < float(scales.max()) <= 1
    assert float(scales.mean()) == pytest.approx(1 / 2, abs=0.02)
    assert float(scales.var()) == pytest.approx(1 / 12, abs=0.005)
    bias = module.features[40].bias * (512 * 9) ** 0.5  # in units of its bound
    assert float(bias.mean()) == pytest.approx(0, abs=0.1)
    assert float(bias.var()) == pytest.approx(1 / 3, abs=0.06)


def test_frankle2021s_initializations_share_all_but_the_kernels():
    options = {"conv_bias": True, "width": 0.1}
    names = ("kaiming_normal_uniform_scale", "normal_std_01", "kaiming_normal")
    ours, normal, older = (
        build(NetworkConfig("vgg16", name, options), RGB32, 10, seed=0).state_dict()
        for name in names
    )
    for name in ours:
        kernel = ours[name].ndim > 1
        assert torch.equal(ours[name], normal[name]) != kernel
        assert not kernel or torch.equal(ours[name], older[name])
    scales = [v for n, v in ours.items() if n.endswith("weight") and v.ndim == 1]
    assert len(scales[2]) == len(scales[3])
    assert not torch.equal(scales[2], scales[3])  # each draws from its own generator


def test_identity_shortcut_subsamples_and_pads_with_zeros():
    from pruning.models.resnet import Block

    block = Block(4, 8, 2, project=False, norm={})
    x = torch.randn(1, 4, 6, 6)
    skipped = block._skip(x)
    assert torch.equal(skipped[:, 2:6], x[:, :, ::2, ::2])
    assert skipped[:, :2].abs().sum() == 0
    assert skipped[:, 6:].abs().sum() == 0


AS_WRITTEN = """
import torch
from torch import nn


class Tied(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.first, self.second = nn.Linear(64, 64), nn.Linear(64, 64)
        self.second.weight = self.first.weight
        self.last = nn.Linear(64, classes)

    def forward(self, x):
        return self.last(self.second(self.first(x.flatten(1))))


class Constant(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.register_buffer("table", torch.linspace(0, 1, 64))
        self.register_buffer("noise", torch.randn(64))
        self.scale = torch.full((64,), 2.0)
        self.fc = nn.Linear(64, classes)

    def forward(self, x):
        return self.fc(self.scale * (x.flatten(1) + self.table))


def tied(shape, classes):
    return Tied(classes)


def constant(shape, classes):
    return Constant(classes)
"""


@pytest.fixture
def as_written(tmp_path):
    path = tmp_path / "as_written.py"
    path.write_text(AS_WRITTEN)
    return lambda name, seed=0: build(NetworkConfig(f"{path}:{name}"), GREY8, 10, seed)


@pytest.mark.parametrize("seed", [0, None])
def test_tied_weights_stay_tied(as_written, seed):
    module = as_written("tied", seed)
    assert module.second.weight is module.first.weight
    assert prunable_names(module) == ["first.weight", "last.weight"]
    for exempt in ("first", "second"):
        assert prunable_names(module, (exempt,)) == ["last.weight"]


@pytest.mark.parametrize("seed", [0, None])
def test_values_that_a_network_is_built_with_stay(as_written, seed):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, second = (as_written("constant", seed) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.table, torch.linspace(0, 1, 64))
    assert torch.equal(first.scale, torch.full((64,), 2.0))
    for name, buffer in first.named_buffers():
        assert torch.equal(buffer, second.get_buffer(name))
    assert first.noise.std() > 0.5
    if seed is not None:
        assert torch.equal(first.fc.weight, second.fc.weight)
        assert not torch.equal(as_written("constant", 1).noise, first.noise)


@pytest.mark.parametrize("name", OF_IMAGES)
def test_networks_of_this_package_are_built_without_drawing_twice(name, monkeypatch):
    calls, factory = [], registry.find("network", name)

    @functools.wraps(factory)
    def counted(*arguments, **options):
        calls.append(name)
        return factory(*arguments, **options)

    monkeypatch.setattr(registry, "find", lambda *_: counted)
    build(NetworkConfig(name), GREY28 if name.startswith("lenet") else RGB32, 10, None)
    assert calls == [name]


def test_bad_names_and_options_say_what_exists():
    with pytest.raises(PruningError, match="Did you mean 'resnet20'"):
        build(NetworkConfig("resnet_20"), RGB32, 10, seed=0)
    with pytest.raises(PruningError, match=r"no option 'depth'.*widths, shortcut"):
        build(NetworkConfig("resnet20", options={"depth": 3}), RGB32, 10, seed=0)
    for bad in ({"widths": "abc"}, {"widths": 5}, {"widths": [8]}, {"hidden": 2.5}):
        with pytest.raises(PruningError, match="'small_cnn' cannot be built with the options"):
            build(NetworkConfig("small_cnn", options=bad), GREY8, 10, seed=0)
    with pytest.raises(PruningError, match="at least 16x16"):
        build(NetworkConfig("lenet_5"), GREY8, 10, seed=0)
    with pytest.raises(PruningError, match=r"'fc3' names no weight.*conv1.*conv2.*fc1.*fc2"):
        prunable_names(build(NetworkConfig("small_cnn"), GREY8, 10, seed=0), ("fc3",))
    module = build(NetworkConfig("small_cnn"), GREY8, 10, seed=0)
    assert "fc2.weight" not in prunable_names(module, ("fc2",))
