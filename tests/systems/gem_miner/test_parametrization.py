"""Masked weights in the forward pass, and the gradients that scores are given."""

import pytest
import torch
from torch import nn

from pruning.errors import PruningError
from pruning.models.build import NetworkConfig, build, prunable_names
from pruning.systems.gem_miner.parametrization import (
    buffer_name,
    original_name,
    parametrized,
    scores_name,
)

GREY8 = (1, 8, 8)


def network(seed=0, name="small_cnn", **options):
    return build(NetworkConfig(name, "kaiming_normal", options), GREY8, 10, seed)


def fill(parts, seed=0):
    """Scores in [0, 1] or around 0, some weights frozen, a threshold that keeps about half."""
    source = torch.Generator().manual_seed(seed)
    for part in parts:
        with torch.no_grad():
            part.scores.copy_(torch.rand(part.scores.shape, generator=source))
            if part.slot == "flags":
                part.flags.copy_(torch.rand(part.scores.shape, generator=source) < 0.7)
            else:
                part.scores.sub_(0.5)
                part.threshold.fill_(0.25)


@pytest.mark.parametrize("mask", ["rounded", "layerwise", "global"])
def test_forward_and_gradients_are_those_of_the_formulas(mask):
    """By autograd on the plain network, whose weights are the products."""
    module, plain = network(), network()
    names = prunable_names(module)
    frozen = {n: p.detach().clone() for n, p in module.named_parameters()}
    parts = parametrized(module, names, mask)
    fill(parts)
    images = torch.randn(4, *GREY8, generator=torch.Generator().manual_seed(1))
    loss = nn.functional.cross_entropy(module(images), torch.arange(4))
    loss.backward()
    products, slopes = {}, {}
    for name, part in zip(names, parts, strict=True):
        p, w = part.scores.detach(), frozen[name]
        if mask == "rounded":
            q = part.flags.float()
            products[name], slopes[name] = w * (p > 0.5).float() * q, w * q
        else:
            products[name], slopes[name] = w * (p.abs() >= 0.25).float(), w * p.sign()
        assert torch.equal(module.get_parameter(original_name(name)), w)
    plain.load_state_dict(frozen | products, strict=False)
    expected = nn.functional.cross_entropy(plain(images), torch.arange(4))
    expected.backward()
    assert torch.equal(loss, expected)
    weights = dict(plain.named_parameters())
    for name, part in zip(names, parts, strict=True):
        assert torch.equal(part.scores.grad, weights[name].grad * slopes[name]), name
        assert part.scores.grad.any()
    trained = {n for n, p in module.named_parameters() if p.requires_grad}
    assert trained == {scores_name(name) for name in names}
    assert all(p.grad is None for n, p in module.named_parameters() if n not in trained)


def test_a_score_of_one_half_rounds_to_zero_and_still_learns():
    layer = nn.Sequential(nn.Linear(2, 1, bias=False))
    (part,) = parametrized(layer, ["0.weight"], "rounded")
    with torch.no_grad():
        layer[0].parametrizations.weight.original.copy_(torch.tensor([[3.0, 5.0]]))
        part.scores.copy_(torch.tensor([[0.5, 0.500001]]))
    y = layer(torch.tensor([[1.0, 1.0]]))
    assert y.item() == 5
    y.backward()
    assert part.scores.grad.tolist() == [[3, 5]]
    part.flags[0, 1], part.scores.grad = False, None
    y = layer(torch.tensor([[1.0, 1.0]]))
    assert y.item() == 0
    y.backward()
    assert part.scores.grad.tolist() == [[3, 0]]  # frozen out: no way back


@pytest.mark.parametrize("name", ["mobilenet_v2", "wide_resnet28", "densenet40", "mlp"])
def test_any_network_can_be_searched(name):
    options = {"mobilenet_v2": {"width": 0.1}, "wide_resnet28": {"widening": 0.25}}
    options = options.get(name, {}) | ({} if name == "mlp" else {"norm_affine": False})
    module = build(NetworkConfig(name, "signed_constant", options), (3, 16, 16), 10, 0)
    names = prunable_names(module)
    fill(parametrized(module, names, "rounded"))
    module(torch.randn(2, 3, 16, 16)).sum().backward()
    assert all(module.get_parameter(scores_name(n)).grad is not None for n in names)
    assert {buffer_name(n, "rounded") for n in names} <= {n for n, _ in module.named_buffers()}


def test_names_inside_a_layer_that_is_the_whole_network():
    layer = nn.Linear(2, 2)
    parametrized(layer, ["weight"], "global")
    assert scores_name("weight") in dict(layer.named_parameters())
    assert original_name("weight") in dict(layer.named_parameters())
    assert buffer_name("weight", "global") in dict(layer.named_buffers())


def test_weights_that_cannot_be_searched_are_named():
    tied = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2))
    tied[1].weight = tied[0].weight
    with pytest.raises(PruningError, match=r"'0.weight' is shared by 0.weight, 1.weight"):
        parametrized(tied, ["0.weight", "2.weight"], "rounded")
    with pytest.raises(PruningError, match=r"'1.weight' is shared"):
        parametrized(tied, ["1.weight"], "rounded")
    with pytest.raises(PruningError, match=r"'0.weight' is shared by 0.weight, 1.weight"):
        parametrized(tied, prunable_names(tied), "rounded")
    shared = nn.Linear(4, 4)
    twice = nn.Sequential(shared, nn.ReLU(), shared)
    with pytest.raises(PruningError, match=r"'0.weight' is shared by 0.weight, 2.weight"):
        parametrized(twice, ["0.weight"], "rounded")
    module = network()
    names = prunable_names(module)
    module.conv2.weight.requires_grad_(False)
    with pytest.raises(PruningError, match="'conv2.weight' requires no gradient"):
        parametrized(module, names, "rounded")
    assert module.fc1.weight.requires_grad  # refused before anything is changed
    with pytest.raises(PruningError, match="'fc9.weight' is no parameter of this network"):
        parametrized(network(), ["fc9.weight"], "rounded")
    module = network()
    parametrized(module, ["fc1.weight"], "rounded")
    with pytest.raises(PruningError, match="'fc1.weight' is no parameter.*parametrized already"):
        parametrized(module, ["fc1.weight"], "rounded")
