"""Structured pruning, against the published densities of Renda et al. (2020)."""

import pytest
import torch

from pruning.errors import PruningError
from pruning.masks.filters import cut, main_convs, prune_filters
from pruning.masks.mask import dense
from pruning.models.build import build, prunable_names
from pruning.models.config import NetworkConfig
from pruning.systems.rewinding.filter_fractions import FRACTIONS
from pruning.training.state import State, capture

RGB32 = (3, 32, 32)
IMAGE = (torch.ones(1, *RGB32),)


class Net:
    """As much of a task as pruning looks at."""

    def __init__(self, module, exempt=()):
        self.module, self.exempt = module, exempt

    def build(self):
        return self.module

    def example(self):
        return IMAGE

    def prunable(self):
        return prunable_names(self.module, self.exempt)


@pytest.fixture(scope="module")
def networks():
    options = {"shortcut": "all_stages"}
    config = {name: NetworkConfig(name, options=options) for name in ("resnet56", "resnet110")}
    config |= {name: NetworkConfig(name) for name in ("vgg16", "densenet40")}
    config["resnet8"] = NetworkConfig("resnet8", options=options)
    return {name: build(c, RGB32, 10, 0) for name, c in config.items()}


def thin(module, thinnings, level=1, state=None, exempt=(), **more):
    thinnings = [vars(t) if hasattr(t, "convs") else t for t in thinnings]
    return prune_filters(
        Net(module, exempt), state or capture(module), thinnings=thinnings, level=level, **more
    )


PUBLISHED = {
    ("resnet56", "structured_a"): [0.920917, 0.845252, 0.778003, 0.716277, 0.664356],
    ("resnet56", "structured_b"): [0.871175, 0.776313, 0.699859, 0.638095, 0.587903],
    ("resnet110", "structured_a"): [0.977263, 0.965895, 0.960211, 0.957369, 0.956198],
    ("resnet110", "structured_b"): [0.687592, 0.478986, 0.338367, 0.246807, 0.183074],
}


@pytest.mark.parametrize(("network", "variant"), PUBLISHED)
def test_the_published_densities(networks, network, variant):
    found = [
        thin(networks[network], FRACTIONS[network][variant], level).density for level in range(1, 6)
    ]
    assert found == pytest.approx(PUBLISHED[network, variant], abs=1e-6)


@pytest.mark.parametrize(
    ("variant", "published"),
    [
        ("structured_a", [0.924638, 0.872034, 0.835515, 0.809373, 0.791378]),
        ("structured_b", [0.893716, 0.833170, 0.798667, 0.778348, 0.766708]),
    ],
)
def test_the_published_densities_of_resnet34(variant, published):
    config = NetworkConfig("resnet34", options={"shortcut": "all_stages"})
    module = build(config, RGB32, 1000, 0)
    assert sum(dict(module.named_parameters())[n].numel() for n in prunable_names(module)) == (
        21_783_744
    )
    found = [thin(module, FRACTIONS["resnet34"][variant], level).density for level in range(1, 6)]
    assert found == pytest.approx(published, abs=2e-4)  # the reference: to 0.02 pp


def test_the_mask_alone_is_denser_than_what_is_published(networks):
    pruned = thin(networks["resnet56"], FRACTIONS["resnet56"]["structured_a"])
    kept = sum(int(m.sum()) for m in pruned.masks.values())
    assert kept / 851_760 == pytest.approx(0.9606, abs=5e-5)
    assert sum(int(m.sum()) for m in pruned.remaining.values()) / 851_760 == pruned.density


def test_vgg_loses_filters_and_the_inputs_of_what_follows(networks):
    module = networks["vgg16"]
    pruned = thin(module, FRACTIONS["vgg16"]["structured_a"])
    convs = main_convs(module)
    assert len(convs) == 13
    left = {name: pruned.remaining[name].flatten(1).any(1).sum().item() for name in convs}
    assert [left[c] for c in convs] == [32, 64, 128, 128, 256, 256, 256, *6 * [256]]
    assert pruned.remaining["fc.weight"].sum() == 10 * 256
    assert pruned.remaining[convs[1]].sum() == 64 * 32 * 9
    assert pruned.masks[convs[1]].all()


def test_the_filters_with_the_smallest_l1_norm_go_and_ties_by_index(networks):
    module = networks["resnet8"]
    state = capture(module)
    weights = {n: torch.ones_like(w) for n, w in state.weights.items()}
    name = main_convs(module)[1]
    weights[name][5] = 0.5
    weights[name][9] = torch.where(weights[name][9] > 0, -3.0, 0.0)
    weights[name][9, 0] = 0
    state = State(weights, state.buffers)
    pruned = thin(module, [{"convs": [2], "fraction": 0.25}], state=state)  # 4 of 16
    gone = (~pruned.masks[name].flatten(1).any(1)).nonzero().flatten().tolist()
    assert gone == [0, 1, 2, 5]
    rest = {n: m for n, m in pruned.masks.items() if n != name}
    assert all(m.all() for m in rest.values())


def test_levels_compound_and_replicates_lose_equally_many(networks):
    module = networks["resnet8"]
    thinnings = [{"convs": [2, 4, 6], "fraction": 0.5}]
    counts = []
    for level in (1, 2, 3):
        pruned = thin(module, thinnings, level)
        convs = main_convs(module)
        counts.append([int(pruned.masks[convs[i - 1]].flatten(1).any(1).sum()) for i in (2, 4, 6)])
    assert counts == [[8, 16, 32], [4, 8, 16], [2, 4, 8]]
    uneven = [{"convs": [2, 4, 6], "fraction": 0.3}]
    one = thin(module, uneven, seed=0, purpose=("a",)).density
    other = thin(build(NetworkConfig("resnet8", options={"shortcut": "all_stages"}), RGB32, 10, 7),
                 uneven, seed=7, purpose=("b",)).density  # fmt: skip
    assert one == other


def test_a_block_may_lose_all_its_filters_and_takes_the_next_layer_with_it(networks):
    pruned = thin(networks["resnet8"], [{"convs": [2], "fraction": 0.9999}], level=3)
    assert not pruned.masks["stages.0.0.conv1.weight"].any()
    assert pruned.masks["stages.0.0.conv2.weight"].all()
    assert not pruned.remaining["stages.0.0.conv2.weight"].any()


def test_what_was_masked_stays_masked(networks):
    module = networks["resnet8"]
    state = capture(module)
    masks = {n: torch.ones_like(state.weights[n], dtype=torch.bool) for n in prunable_names(module)}
    masks["fc.weight"][:, 3] = False
    pruned = thin(module, [{"convs": [2], "fraction": 0.5}], state=state.masked(masks))
    assert not pruned.masks["fc.weight"][:, 3].any()


@pytest.mark.parametrize(
    ("convs", "message"),
    [
        ([8], "convolution 8, but this network has 7"),
        ([2, 2], "convolution 2 twice"),
        ([1], "added to a shortcut"),
        ([3], "stages.0.0.conv2.weight, but its output is added to a shortcut"),
        ([7], "added to a shortcut"),
    ],
)
def test_layers_whose_filters_cannot_go_are_named(networks, convs, message):
    with pytest.raises(PruningError, match=message):
        thin(networks["resnet8"], [{"convs": convs, "fraction": 0.5}])


@pytest.mark.parametrize("conv", range(1, 40))
def test_no_filter_of_a_densenet_goes_alone(networks, conv):
    """All later layers of the block, and what follows it, read it."""
    with pytest.raises(PruningError, match=f"convolution {conv}, .*so its filters cannot go alone"):
        thin(networks["densenet40"], [{"convs": [conv], "fraction": 0.5}])


def test_exempt_layers_shift_no_index_and_lose_nothing(networks):
    module, thinnings = networks["resnet8"], [{"convs": [2], "fraction": 0.5}]
    pruned = thin(module, thinnings, exempt=("conv", "stages.0.0.conv2"))
    assert [n for n, m in pruned.masks.items() if not m.all()] == ["stages.0.0.conv1.weight"]
    fewer = {n for n, m in pruned.remaining.items() if not m.all()}
    assert fewer == {"stages.0.0.conv1.weight", "stages.1.0.shortcut.0.weight"}
    with pytest.raises(PruningError, match=r"conv1\.weight, which the study exempts"):
        thin(module, thinnings, exempt=("stages.0.0.conv1",))


def test_nothing_is_cut_where_no_whole_filter_is_gone(networks):
    module = networks["resnet8"]
    masks = {
        n: torch.rand(w.shape) < 0.5
        for n, w in module.named_parameters()
        if n in prunable_names(module)
    }
    assert all(torch.equal(m, masks[n]) for n, m in cut(masks, module, IMAGE).items())


def test_a_stem_without_a_filter_leaves_the_blocks_their_inputs(networks):
    module = networks["resnet8"]
    weights = dict(module.named_parameters())
    masks = {n: torch.ones_like(weights[n], dtype=torch.bool) for n in prunable_names(module)}
    masks["conv.weight"][0] = False
    assert cut(masks, module, IMAGE)["stages.0.0.conv1.weight"].all()


def test_a_filter_before_a_depthwise_layer_takes_its_channel_out_of_the_whole_block():
    module = build(NetworkConfig("mobilenet_v2", options={"width": 0.25}), RGB32, 10, 0)
    convs = main_convs(module)
    block = "stages.1.1"  # 6 x 6 channels inside
    masks = dense(capture(module).weights, prunable_names(module))
    masks[f"{block}.conv1.weight"][[0, 7]] = False
    masks[f"{block}.conv2.weight"][3] = False
    remaining = cut(masks, module, IMAGE)
    expected = {name: mask.clone() for name, mask in masks.items()}
    expected[f"{block}.conv2.weight"][[0, 7]] = False
    expected[f"{block}.conv3.weight"][:, [0, 3, 7]] = False
    assert all(torch.equal(remaining[name], expected[name]) for name in masks)
    pruned = thin(module, [{"convs": [1 + convs.index(f"{block}.conv1.weight")], "fraction": 0.5}])
    counts = [pruned.remaining[f"{block}.conv{i}.weight"].sum() for i in (1, 2, 3)]
    assert counts == [18 * 6, 18 * 9, 6 * 18]


def test_a_wide_resnet_loses_the_first_filters_of_blocks_only():
    module = build(NetworkConfig("wide_resnet28", options={"widening": 0.5}), RGB32, 10, 0)
    convs = main_convs(module)
    first = convs.index("stages.1.1.conv1.weight") + 1
    pruned = thin(module, [{"convs": [first], "fraction": 0.25}])
    assert pruned.masks[convs[first - 1]].flatten(1).any(1).sum() == 12
    assert pruned.remaining["stages.1.1.conv2.weight"].sum() == 16 * 12 * 9
    with pytest.raises(PruningError, match="added to a shortcut"):
        thin(module, [{"convs": [first + 1], "fraction": 0.25}])
