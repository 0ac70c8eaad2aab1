"""Multiply-accumulates, against torch's counter and the reference's counts."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from pruning.models.build import build
from pruning.models.config import NetworkConfig
from pruning.models.cost import macs_by_layer, network_macs, training_macs, weight_uses
from pruning.models.densenet import densenet
from pruning.training.classification import one_image

RGB32 = (3, 32, 32)


def dense(name, **options):
    module = build(NetworkConfig(name, options=options), RGB32, 10, 0)
    weights = dict(module.named_parameters())
    return module, macs_by_layer(weight_uses(module, one_image(RGB32)), weights, {})


@pytest.mark.parametrize(
    ("name", "options", "published"),
    [
        # The authors' counter, which is not published, finds 2 to 3 % more than convolutions and
        # the linear layer have; reference, section 5 (F5).
        ("resnet20", {"shortcut": "all_stages"}, 41_886_986),
        ("resnet56", {"shortcut": "all_stages"}, 128_197_898),
        ("resnet110", {"shortcut": "all_stages"}, 257_664_266),
        ("vgg16", {}, 321_972_234),
    ],
)
def test_dense_costs_are_near_the_published_ones_and_exactly_torchs(name, options, published):
    module, macs = dense(name, **options)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module.eval()(torch.zeros(1, *RGB32))
    assert 2 * sum(macs.values()) == counter.get_total_flops()
    assert 1.01 < published / sum(macs.values()) < 1.03


@pytest.mark.parametrize("name", ["mobilenet", "mobilenet_v2", "wide_resnet28"])
def test_grouped_and_pre_activated_convolutions_cost_what_torch_says(name):
    module, macs = dense(name, norm_affine=False)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module.eval()(torch.zeros(1, *RGB32))
    assert 2 * sum(macs.values()) == counter.get_total_flops()


def test_resnet20_has_the_count_of_the_reference():
    assert round(sum(dense("resnet20", shortcut="all_stages")[1].values()) / 1e6, 2) == 41.08


def test_densenet40_by_hand():
    """A transition's convolution works before the pooling, at the block's resolution."""
    module, macs = dense("densenet40")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module.eval()(torch.zeros(1, *RGB32))
    layers = [9 * 12 * (16 + 12 * i) for i in range(36)]
    assert list(macs.values()) == [
        *(1024 * weights for weights in (9 * 3 * 16, *layers[:12], 160**2)),
        *(256 * weights for weights in (*layers[12:24], 304**2)),
        *(64 * weights for weights in layers[24:]),
        448 * 10,
    ]
    assert 2 * sum(macs.values()) == counter.get_total_flops()


def test_a_tiny_densenet_by_hand():
    """Two layers per block, 8x8, 4x4 and 2x2; also with masks."""
    module = densenet((3, 8, 8), 5, depth=10, growth=2, stem_width=3, norm={})
    macs = network_macs(module, one_image((3, 8, 8)))
    assert macs == {
        "conv.weight": 64 * 9 * 3 * 3,
        "block1.layer1.conv.weight": 64 * 9 * 3 * 2,
        "block1.layer2.conv.weight": 64 * 9 * 5 * 2,
        "transition1.conv.weight": 64 * 7 * 7,
        "block2.layer1.conv.weight": 16 * 9 * 7 * 2,
        "block2.layer2.conv.weight": 16 * 9 * 9 * 2,
        "transition2.conv.weight": 16 * 11 * 11,
        "block3.layer1.conv.weight": 4 * 9 * 11 * 2,
        "block3.layer2.conv.weight": 4 * 9 * 13 * 2,
        "fc.weight": 15 * 5,
    }
    masks = {"transition2.conv.weight": torch.zeros(11, 11, 1, 1, dtype=torch.bool)}
    masks["transition2.conv.weight"][0, :4] = True
    assert network_macs(module, one_image((3, 8, 8)), masks) == macs | {
        "transition2.conv.weight": 16 * 4
    }


def test_layers_by_hand():
    net = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.Flatten(), nn.Linear(64, 5))
    uses = weight_uses(net, one_image((3, 8, 8)))
    assert uses == {"0.weight": 16, "2.weight": 1}
    masks = {"0.weight": torch.zeros(4, 3, 3, 3, dtype=torch.bool)}
    masks["0.weight"][0, 0] = True  # 9 weights, each used at 16 places
    macs = macs_by_layer(uses, dict(net.named_parameters()), masks)
    assert macs == {"0.weight": 144, "2.weight": 320}


def test_a_layer_that_is_used_twice_counts_twice():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(6, 6)

        def forward(self, x):
            return self.layer(self.layer(x.flatten(1)))

    assert weight_uses(Twice(), one_image((1, 2, 3))) == {"layer.weight": 2}


def test_counting_leaves_the_network_as_it_was():
    module, _ = dense("resnet8")
    module.train()
    before = {n: b.clone() for n, b in module.named_buffers()}
    weight_uses(module, one_image(RGB32))
    assert module.training
    assert all(torch.equal(b, before[n]) for n, b in module.named_buffers())
    assert not any(m._forward_hooks for m in module.modules())


def test_training_costs_three_forward_passes():
    assert training_macs(1000, 50) == 150_000


class Products(nn.Module):
    """Weights of no layer, in an upsampling convolution and in a sum of products."""

    def __init__(self):
        super().__init__()
        self.up = nn.Parameter(torch.ones(1, 2, 3, 3))
        self.parts = nn.Parameter(torch.ones(4, 5, 16))

    def forward(self, x):
        up = nn.functional.conv_transpose2d(x, self.up, stride=2)
        parts = torch.addbmm(x.new_zeros(5, 1), self.parts, x.view(4, 16, 1))
        return up.flatten(1).sum(1), parts


def test_products_without_a_layer_are_counted_by_hand():
    found = network_macs(Products(), (torch.ones(1, 1, 8, 8),))
    assert found == {"up": 18 * 64, "parts": 4 * 5 * 16}
