"""The costs of PruneTrain, against the reference's percentages and small networks by hand."""

import pytest
import torch
from torch import nn

from pruning.models.build import build
from pruning.models.config import NetworkConfig
from pruning.models.cost import network_macs
from pruning.models.vgg import LAYERS, POOL, VGG
from pruning.systems.prunetrain.communication import communication
from pruning.systems.prunetrain.cost import Costs, LayerCost, layers, totals
from pruning.training.classification import one_image

RGB32, IMAGENET = (3, 32, 32), (3, 224, 224)
IMAGES = 90 * 1_281_167  # of 90 epochs


def network(name, shape=RGB32, classes=10, **options):
    return build(NetworkConfig(name, options=options), shape, classes, seed=None)


def costs(name, shape=RGB32, classes=10):
    return totals(network(name, shape, classes), one_image(shape))


def cut_vgg(depth, widths, classes):
    """A VGG whose convolutions have these many channels, as ``34-127-...``."""
    left = map(int, widths.split("-"))
    shape = [POOL if layer == POOL else next(left) for layer in LAYERS[depth]]
    assert list(left) == []
    return VGG(RGB32, classes, shape, 1.0, False, "max", {})


@pytest.mark.parametrize(
    ("depth", "classes", "widths", "inference", "training", "norm", "parameters"),
    [
        (11, 10, "34-127-252-252-389-227-69-68", 61.2, 56.2, 72.6, 29.9),
        (11, 10, "35-105-210-220-237-109-25-31", 39.3, 35.2, 63.3, 15.0),
        (11, 10, "27-102-204-205-156-75-20-27", 32.4, 28.7, 55.3, 10.9),
        (11, 10, "24-93-146-163-85-38-11-18", 19.5, 17.0, 46.3, 5.6),
        (11, 100, "25-92-146-210-224-173-102-125", 29.3, 27.1, 52.3, 15.9),
        (13, 10, "18-55-99-105-213-193-155-85-73-32", 39.1, 35.6, 62.9, 12.6),
        (8, 10, "32-86-188-229-79", 34.5, 32.0, 56.7, 18.5),
    ],
)
def test_networks_that_the_authors_pruned_cost_what_the_reference_says(
    depth, classes, widths, inference, training, norm, parameters
):
    """Reference, section 5.3: percentages of the dense network."""
    whole = costs(f"vgg{depth}", classes=classes)
    left = totals(cut_vgg(depth, widths, classes), one_image(RGB32))
    for attribute, percentage in (
        ("inference_macs", inference),
        ("training_macs", training),
        ("norm_traffic", norm),
        ("activations", norm),  # batch norm behind every convolution
        ("parameters", parameters),
        ("model_elements", parameters),
    ):
        found = 100 * getattr(left, attribute) / getattr(whole, attribute)
        assert found == pytest.approx(percentage, abs=0.1), attribute
    assert left.out_channels == sum(map(int, widths.split("-")))


@pytest.mark.parametrize(
    ("name", "shape", "classes", "ratio"),
    [
        ("resnet32", RGB32, 10, 3.44),
        ("resnet50_bottleneck", RGB32, 10, 3.41),
        ("vgg11", RGB32, 10, 4.08),
        ("vgg13", RGB32, 10, 3.79),
        ("vgg8", RGB32, 10, 4.00),
        ("resnet50", IMAGENET, 1000, 3.73),
    ],
)
def test_training_costs_more_than_three_forward_passes(name, shape, classes, ratio):
    """Reference, section 1.8."""
    found = costs(name, shape, classes)
    assert round(found.training_macs / found.inference_macs, 2) == ratio


def test_the_whole_training_of_imagenets_resnet50():
    """Reference, section 5.2: 3516.3 PFLOP, and 18.21 PiB of batch norms at 2 bytes."""
    found = costs("resnet50", IMAGENET, 1000)
    assert found.inference_macs == 4_089_184_256
    assert round(2 * found.training_macs * IMAGES / 1e15, 1) == 3516.3
    assert round(2 * found.norm_traffic * IMAGES / 2**50, 2) == 18.21
    assert found.out_channels == 26_560
    assert found.parameters == 25_557_032


@pytest.mark.parametrize(
    "name", ["alexnet", "vgg8", "resnet32", "resnet50_bottleneck", "mobilenet", "densenet40"]
)
def test_forward_passes_cost_what_they_cost_elsewhere(name):
    module = network(name)
    ours = {}
    for layer in layers(module, one_image(RGB32)):
        ours[f"{layer.name}.weight"] = layer.inference_macs
        assert layer.weights == module.get_submodule(layer.name).weight.numel()
    assert ours == network_macs(module, one_image(RGB32))
    assert totals(module, one_image(RGB32)).inference_macs == sum(ours.values())


def tiny():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 6, (1, 3), padding=(0, 1), groups=2),
        nn.Flatten(),
        nn.Linear(6 * 4 * 5, 7),
    )


def test_layers_by_hand():
    assert layers(tiny(), one_image((3, 8, 10))) == [
        LayerCost("0", "conv", 3, 4, (3, 3), 1, (8, 10), (4, 5)),
        LayerCost("3", "conv", 4, 6, (1, 3), 2, (4, 5), (4, 5)),
        LayerCost("5", "linear", 120, 7, (1, 1), 1, (1, 1), (1, 1)),
    ]


def test_totals_by_hand():
    first, second, linear = 4 * 3 * 9, 6 * 2 * 3, 120 * 7
    assert totals(tiny(), one_image((3, 8, 10))) == Costs(
        inference_macs=20 * first + 20 * second + linear,
        training_macs=(40 + 10 * 12) * first + (40 + 4 * 7) * second + 3 * linear,
        norm_traffic=8 * 4 * 20,
        activations=(4 + 6) * 20,
        model_elements=first + 4 + second + 6 + linear + 7,
        parameters=first + 8 + second + 6 + linear + 7,
        out_channels=10,
    )


@pytest.mark.parametrize(("kernel", "added"), [(1, 0), (3, 2), (7, 3), (5, 4), (11, 10)])
def test_what_is_added_to_an_input(kernel, added):
    conv = nn.Conv2d(2, 5, kernel, padding=kernel // 2)
    (layer,) = layers(conv, one_image((2, 16, 16)))
    weights = 10 * kernel**2
    assert layer.training_macs == weights * (2 * 16**2 + (16 + added) ** 2)


def test_a_layer_that_is_used_twice_costs_twice_and_is_stored_once():
    conv = nn.Conv2d(3, 3, 1, bias=False)
    once, twice = (totals(nn.Sequential(*n * [conv]), one_image((3, 4, 4))) for n in (1, 2))
    assert twice.inference_macs == 2 * once.inference_macs == 2 * 9 * 16
    assert twice.training_macs == 2 * once.training_macs
    assert twice.activations == 2 * once.activations
    assert twice.model_elements == once.model_elements == 12
    assert twice.out_channels == once.out_channels == 3


def test_a_depthwise_network_divides_by_its_groups():
    module = network("mobilenet", IMAGENET, 1000)
    found = [layer for layer in layers(module, one_image(IMAGENET)) if layer.groups > 1]
    assert len(found) == 13
    assert all(layer.weights == 9 * layer.outputs for layer in found)
    assert totals(module, one_image(IMAGENET)).inference_macs == 568_740_352


def test_counting_leaves_the_network_as_it_was():
    module = build(NetworkConfig("resnet8"), RGB32, 10, seed=0).train()
    before = {n: t.clone() for n, t in module.state_dict().items()}
    totals(module, one_image(RGB32))
    assert module.training
    assert all(torch.equal(t, before[n]) for n, t in module.state_dict().items())
    assert not any(layer._forward_hooks for layer in module.modules())


def test_communication():
    assert communication(1000, 391) == 4 * 391_000
    assert communication(1000, 391, workers=4) == 1.5 * 4 * 391_000
    assert communication(1000, 391, workers=1) == 0
    assert communication(1000, 1, workers=2, word=2) == 2000
