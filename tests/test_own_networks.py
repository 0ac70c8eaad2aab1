"""Networks as users write them: what is pruned, what it costs, and what is refused by name."""

import logging
import math
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import nn

from pruning import registry
from pruning.data import store
from pruning.data.batches import Batching
from pruning.data.splits import Split, Splits
from pruning.deploy.export import export
from pruning.deploy.trained import load_trained
from pruning.errors import PruningError
from pruning.files import read_json
from pruning.masks import mask as masking
from pruning.masks.filters import main_convs, prune_filters
from pruning.masks.report import report
from pruning.masks.weights import prune
from pruning.models.build import build, prunable_names
from pruning.models.config import NetworkConfig
from pruning.models.cost import network_macs
from pruning.models.layers import kernels, outputs_first
from pruning.models.paths import on_a_path
from pruning.running.code_version import code_version
from pruning.stages.context import StageContext
from pruning.stages.dense import dense as dense_stage
from pruning.stages.prune import prune as prune_stage
from pruning.study.study import load_study
from pruning.systems.gem_miner.method import search
from pruning.systems.gem_miner.rules import Search
from pruning.systems.gem_miner.states import found
from pruning.systems.gsm.method import GSM
from pruning.systems.prunetrain.method import Settings, train_prunetrain
from pruning.training import optimizers
from pruning.training.checkpoint import load_masks, load_state, save_state
from pruning.training.classification import Classification
from pruning.training.dense import train_dense
from pruning.training.evaluate import evaluate_splits
from pruning.training.loop import Run, train
from pruning.training.network import network_of
from pruning.training.pruned import train_pruned
from pruning.training.recipe import OptimizerConfig, Recipe
from pruning.training.schedules import StepDecay
from tests.conftest import REPOSITORY, SCHEMAS, assert_same_state
from tests.test_models import NEED_SCALES

NETWORKS = Path(__file__).with_name("own_networks.py")
GREY8, RGB32 = (1, 8, 8), (3, 32, 32)
SCORES = ("snip", "grasp", "synflow")


@cache
def noise(shape=GREY8, images=16, classes=3):
    source = torch.Generator().manual_seed(0)

    def split(count):
        size = (count, *shape[1:], shape[0])
        pixels = torch.randint(256, size, generator=source, dtype=torch.uint8)
        return Split(pixels, torch.arange(count) % classes)

    means = (127.0,) * shape[0], (73.0,) * shape[0]
    names = tuple(map(str, range(classes)))
    return Splits("noise", names, split(images), split(9), split(9), *means, {"dataset": "noise"})


def task_of(name, options=None, *, data=None, batches=None, optimizer=None, **more):
    network = name if ":" in name else f"{NETWORKS}:{name}"
    return Classification(
        data=data or noise(),
        network=NetworkConfig(network, options=options or {}),
        recipe=Recipe(
            epochs=1,
            batches=batches or Batching(8),
            schedule=StepDecay(0.02, ()),
            optimizer=optimizer or OptimizerConfig("sgd", 1e-3, (), {"momentum": 0.9}),
        ),
        name="own",
        **more,
    )


def attention(prefix, embed, positions):
    """Of one head or many: three projections and one of what they give."""
    names = (f"{prefix}.in_proj_weight", f"{prefix}.out_proj.weight")
    return {names[0]: (3 * embed * embed, positions), names[1]: (embed * embed, positions)}


def transformer_layer(prefix):
    return {
        **attention(f"{prefix}.self_attn", 8, 8),
        f"{prefix}.linear1.weight": (8 * 12, 8),
        f"{prefix}.linear2.weight": (12 * 8, 8),
    }


# By hand: how many weights each prunable tensor has, and how often an example uses each of them.
BY_HAND = [
    ("Signal", {}, {"conv1.weight": (8 * 6 * 3, 8), "conv2.weight": (6 * 4 * 3, 1),
                    "fc.weight": (12, 1)}),
    ("Volume", {}, {"conv.weight": (27, 16), "conv2.weight": (6, 16), "fc.weight": (6, 1)}),
    ("Widening", {}, {"down.weight": (36, 16), "up.weight": (4 * 3 * 4, 16),
                      "last.weight": (12, 64), "fc.weight": (6, 1)}),
    ("WideningSignal", {}, {"up.weight": (8 * 5 * 4, 8), "fc.weight": (15, 1)}),
    ("Recurrent", {}, {"rnn.weight_ih_l0": (4 * 5 * 8, 8), "rnn.weight_hh_l0": (4 * 5 * 5, 8),
                       "fc.weight": (15, 1)}),
    ("Recurrent", {"kind": "GRU", "num_layers": 2},
     {"rnn.weight_ih_l0": (3 * 5 * 8, 8), "rnn.weight_hh_l0": (75, 8),
      "rnn.weight_ih_l1": (75, 8), "rnn.weight_hh_l1": (75, 8), "fc.weight": (15, 1)}),
    ("Recurrent", {"kind": "RNN", "bidirectional": True},
     {"rnn.weight_ih_l0": (40, 8), "rnn.weight_hh_l0": (25, 8),
      "rnn.weight_ih_l0_reverse": (40, 8), "rnn.weight_hh_l0_reverse": (25, 8),
      "fc.weight": (30, 1)}),
    ("Recurrent", {"proj_size": 3},
     {"rnn.weight_ih_l0": (160, 8), "rnn.weight_hh_l0": (4 * 5 * 3, 8),
      "rnn.weight_hr_l0": (15, 8), "fc.weight": (9, 1)}),
    ("Cells", {}, {"cell.weight_ih": (3 * 4 * 8, 8), "cell.weight_hh": (3 * 4 * 4, 8),
                   "last.weight_ih": (4 * 3 * 4, 1), "last.weight_hh": (4 * 3 * 3, 1),
                   "fc.weight": (9, 1)}),
    ("Attending", {}, {"embed.weight": (48, 8), **attention("attention", 6, 8),
                       "fc.weight": (18, 1)}),
    ("Sizes", {}, {"attention.q_proj_weight": (64, 8), "attention.k_proj_weight": (64, 8),
                   "attention.v_proj_weight": (32, 8), "attention.out_proj.weight": (64, 8),
                   "fc.weight": (24, 1)}),
    ("Transformer", {}, {**transformer_layer("encoder.layers.0"),
                         **transformer_layer("encoder.layers.1"), "fc.weight": (24, 1)}),
    ("Words", {}, {"table.weight": (35, 0), "fc.weight": (15, 1)}),
    ("Words", {"tied": True}, {"table.weight": (35, 1), "fc.weight": (21, 1)}),
    ("Words", {"bag": True}, {"table.weight": (35, 0), "fc.weight": (15, 1)}),
    ("Pairs", {}, {"pairs.weight": (8 * 8 * 3, 1), "fc.weight": (9, 1)}),
    ("Norms", {}, {"conv.weight": (72, 64), "fc1.weight": (64, 1), "fc2.weight": (24, 1)}),
    ("Functional", {}, {"conv.weight": (36, 9), "fc.weight": (12, 1)}),
    ("Depthwise", {}, {"conv.weight": (54, 64), "depthwise.weight": (54, 64),
                       "pointwise.weight": (24, 64), "groups.weight": (8, 64),
                       "fc.weight": (12, 1)}),
    ("Branches", {}, {"left.weight": (27, 64), "right.weight": (2, 64),
                      "last.weight": (180, 36), "fc.weight": (12, 1)}),
    ("Residual", {}, {"stem.weight": (36, 64), "a.weight": (180, 64), "b.weight": (180, 64),
                      "fc.weight": (12, 1)}),
    ("Pooled", {}, {"conv.weight": (256, 1), "fc.weight": (12, 1)}),
    ("Halves", {}, {"fc1.weight": (512, 1), "fc2.weight": (24, 1)}),
    ("Whole", {}, {"weight": (192, 1)}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options", "weights"), BY_HAND)
def test_counts_densities_and_costs_by_hand(name, options, weights):
    task = task_of(name, options)
    start = task.initial_state(0)
    named = dict(task.build().named_parameters())
    assert task.prunable() == [n for n in named if n in weights]
    assert {n: named[n].numel() for n in weights} == {n: size for n, (size, _) in weights.items()}
    assert network_macs(task.build(), task.example()) == {
        n: size * uses for n, (size, uses) in weights.items()
    }
    total = sum(size for size, _ in weights.values())
    masks = prune(task, start, 0.3)
    assert masking.density(masks) == masking.kept_count(0.3, total) / total
    # Naively: of the network that a retraining leaves, what share is really zero?
    network = dict(network_of(task, train_pruned(task, masks, start).state).named_parameters())
    left = {n: int((network[n] != 0).sum()) for n in weights}
    assert sum(left.values()) == masking.kept_count(0.3, total)
    assert left == {n: int(masks[n].sum()) for n in weights}
    costs = network_macs(task.build(), task.example(), masks)
    assert costs == {n: left[n] * uses for n, (_, uses) in weights.items()}


@pytest.mark.parametrize(("name", "options", "weights"), BY_HAND)
def test_scores_and_reports_know_every_kind(name, options, weights):
    task = task_of(name, options)
    state = task.initial_state(0)
    for score in SCORES:
        if (name, score) == ("Words", "grasp") and options.get("bag"):
            with pytest.raises(PruningError, match="second derivatives.*_embedding_bag_backward"):
                prune(task, state, 0.5, score=score, sample={"images_per_class": 3})
            continue
        masks = prune(task, state, 0.5, score=score, sample={"images_per_class": 3})
        assert masks.keys() == weights.keys()
        kept, total = masking.counts(masks)
        assert kept == masking.kept_count(0.5, total)
    whole = {n: torch.ones_like(mask) for n, mask in masks.items()}
    told = report(task, whole)
    # On no path: what reads a state that is always empty, and an LSTM's gate that would forget it.
    off = {"rnn.weight_hh_l0_reverse": 25, "last.weight_hh": 36, "last.weight_ih": 12}
    expected = {n: size - off.get(n, 0) for n, (size, _) in weights.items()}
    assert told["effective_by_layer"] == expected
    assert told["mask_density"] == 1


def test_paths_through_many_layers_of_attention_neither_overflow_nor_vanish():
    layer = nn.TransformerEncoderLayer(4, 2, 4, batch_first=True, norm_first=True)
    net = nn.TransformerEncoder(layer, 12, enable_nested_tensor=False)
    names = prunable_names(net)
    named = dict(net.named_parameters())
    masks = masking.dense(named, names)
    gone = "layers.5.self_attn.out_proj.weight"
    masks[gone] = torch.zeros_like(masks[gone])  # nothing of this attention reaches the sum
    found = on_a_path(net, masks, (torch.ones(1, 3, 4),))
    off = {gone, "layers.5.self_attn.in_proj_weight"}
    assert {n: bool(m.all()) for n, m in found.items()} == {n: n not in off for n in names}
    assert not any(found[n].any() for n in off)


def test_a_packed_projection_costs_by_its_parts():
    """Three queries look at eight keys: a third of the rows is used three times."""
    task = task_of("Attending", {"cross": True})
    assert network_macs(task.build(), task.example()) == {
        "embed.weight": 48 * 8,
        "attention.in_proj_weight": 36 * 3 + 72 * 8,
        "attention.out_proj.weight": 36 * 3,
        "fc.weight": 18,
    }
    masks = {"attention.in_proj_weight": torch.zeros(18, 6, dtype=torch.bool)}
    masks["attention.in_proj_weight"][5:8, :2] = True  # two of a query's row, four of keys'
    costs = network_macs(task.build(), task.example(), masks)
    assert costs["attention.in_proj_weight"] == 2 * 3 + 4 * 8


def test_filters_of_a_transposed_convolution_are_its_outputs():
    layer = nn.ConvTranspose1d(4, 6, 2, groups=2)
    kernel = kernels(layer)["weight"]
    rows = outputs_first(layer.weight, kernel)
    for output in range(6):
        x = torch.randn(1, 4, 5)
        with torch.no_grad():
            changed = nn.ConvTranspose1d(4, 6, 2, groups=2)
            changed.load_state_dict(layer.state_dict())
            outputs_first(changed.weight.data, kernel)  # a copy or a view, never both
            group, place = divmod(output, 3)
            changed.weight[2 * group : 2 * group + 2, place] = 0
            differs = (changed(x) != layer(x)).flatten(2).any(2)[0]
        assert differs.nonzero().flatten().tolist() == [output]
        assert torch.equal(rows[output], layer.weight[2 * group : 2 * group + 2, place])


# (layer, attribute, numbers that an output is a sum over, outputs that a number goes into)
FANS = [
    (lambda: nn.Conv1d(32, 64, 5), "weight", 160, 320),
    (lambda: nn.Conv3d(8, 64, 3, groups=2), "weight", 4 * 27, 64 * 27),
    (lambda: nn.ConvTranspose2d(64, 24, 3, groups=2), "weight", 32 * 9, 24 * 9),
    (lambda: nn.LSTM(50, 60), "weight_ih_l0", 50, 60),
    (lambda: nn.LSTM(50, 60), "weight_hh_l0", 60, 60),
    (lambda: nn.LSTM(50, 60, proj_size=30), "weight_hr_l0", 60, 30),
    (lambda: nn.GRUCell(50, 60), "weight_hh", 60, 60),
    (lambda: nn.MultiheadAttention(48, 4), "in_proj_weight", 48, 48),
    (lambda: nn.MultiheadAttention(48, 4, kdim=90, vdim=60), "k_proj_weight", 90, 48),
    (lambda: nn.MultiheadAttention(48, 4), "out_proj.weight", 48, 48),
    (lambda: nn.Bilinear(20, 30, 10), "weight", 600, 300),
    (lambda: nn.Embedding(90, 40), "weight", 1, 40),
]


@pytest.mark.parametrize(("make", "attribute", "fan_in", "fan_out"), FANS)
def test_kernels_are_drawn_by_their_fans(make, attribute, fan_in, fan_out):
    layer, again = make(), make()
    for module, seed in ((layer, 0), (again, 1)):
        registry.find("initialization", "kaiming_normal")(module, seed)
    weight = layer.get_parameter(attribute)
    margin = 4 / math.sqrt(2 * weight.numel())
    assert float(weight.detach().std()) * math.sqrt(fan_in / 2) == pytest.approx(1, abs=margin)
    assert not torch.equal(weight, again.get_parameter(attribute))
    biases = [p for n, p in layer.named_parameters() if "bias" in n]
    assert all((bias == 0).all() for bias in biases)
    registry.find("initialization", "signed_constant")(layer, 0)
    assert weight.detach().abs().max() == pytest.approx(math.sqrt(2 / fan_in))
    registry.find("initialization", "xavier_uniform")(layer, 0)
    both = (fan_in + fan_out) / 2
    assert float(weight.detach().std()) * math.sqrt(both) == pytest.approx(1, abs=margin)


@pytest.mark.parametrize("initialization", registry.known("initialization"))
def test_every_initialization_draws_every_kind_and_repeats(initialization):
    if initialization in NEED_SCALES:
        with pytest.raises(PruningError, match="no residual block"):
            build(NetworkConfig(f"{NETWORKS}:Sizes", initialization), GREY8, 3, 5)
        return
    for name in ("Recurrent", "Sizes", "Words"):
        config = NetworkConfig(f"{NETWORKS}:{name}", initialization)
        torch.manual_seed(1)
        first = build(config, GREY8, 3, 5).state_dict()
        before = torch.get_rng_state()
        again = build(config, GREY8, 3, 5).state_dict()
        assert torch.equal(torch.get_rng_state(), before)
        assert all(torch.equal(first[n], again[n]) for n in first)
        assert all(torch.isfinite(t).all() for t in first.values())
    assert (
        build(replace(config, name=f"{NETWORKS}:Words"), GREY8, 3, 5).table.weight[0] == 0
    ).all()


def test_what_no_layer_of_torch_has_keeps_its_authors_draw():
    config = NetworkConfig(f"{NETWORKS}:Raw")
    nets = [build(config, GREY8, 3, seed) for seed in (0, 0, 1)]
    assert torch.equal(nets[0].mixing, nets[1].mixing)
    assert not torch.equal(nets[0].mixing, nets[2].mixing)
    assert (nets[0].scale == 2).all()
    assert float(nets[0].mixing.detach().std()) == pytest.approx(1 / 8, rel=0.2)
    norms = build(NetworkConfig(f"{NETWORKS}:Norms"), GREY8, 3, 0)
    assert (norms.act.weight == 0.25).all()
    assert all((layer.weight == 1).all() for layer in (norms.group, norms.layer, norms.rms))
    edges = build(NetworkConfig(f"{NETWORKS}:Frozen"), GREY8, 3, 0).edges.weight
    assert (edges == 0.25).all()  # fixed by its author


REFUSED = [
    ("Raw", {}, "mixing is of no layer that is known.*`prunable`.*`exempt`"),
    ("Attending", {"token": True}, "token is of no layer that is known"),
    ("Frozen", {}, "edges.weight is not trained.*`exempt`"),
    ("Unused", {}, "does not use extra.weight.*`exempt`"),
    ("Unused", {"head": "detached"}, "loss does not depend on extra.weight.*`exempt`"),
    ("Unused", {"head": "evaluation"}, "loss does not depend on extra.weight"),
    ("Weighted", {}, "conv.weight is made of other parameters"),
    ("Weighted", {"old": True}, "conv.weight is made by a hook"),
    ("Lazy", {}, "fc.weight, fc.bias has no shape"),
    ("Sparse", {}, "table.weight is of an embedding with sparse=True"),
    ("Auxiliary", {}, "gives tuple for 8 images while it trains"),
    ("Masked", {}, "prototypes is of no layer"),
    ("Hidden", {}, "branches of the network holds layers.*nn.ModuleList"),
    ("Scripted", {}, "more.weight is of no layer"),
    ("Other", {"more": 2}, r"makes \(1, 5\) of an image .* each of 3 classes"),
    ("Other", {"more": -1}, r"makes \(1, 2\) of an image .* each of 3 classes"),
    ("Shuffled", {"by": "python"}, "another one each time it is built"),
    ("Shuffled", {"by": "numpy"}, "another one each time it is built"),
]


@pytest.mark.parametrize(("name", "options", "message"), REFUSED)
def test_what_cannot_be_pruned_is_refused_before_a_step_is_made(name, options, message):
    with pytest.raises(PruningError, match=message):
        train_dense(task_of(name, options), 0)


def test_what_values_decide_is_decided_alike_in_every_job(monkeypatch):
    def with_garbage(module, **options):
        for parameter in module.parameters():
            parameter.data = torch.full(parameter.shape, math.nan)
        return module

    monkeypatch.setattr(nn.Module, "to_empty", with_garbage)  # as unset memory may be
    task = task_of("Gated")
    assert task.prunable() == ["fc1.weight", "fc2.weight", "fc3.weight"]
    assert network_macs(task.build(), task.example())["fc2.weight"] == 64


@pytest.mark.parametrize("by", ["list", "plain", "python, seeded"])
def test_what_a_network_draws_beside_its_state_is_the_same_in_every_job(by):
    task = task_of("Shuffled", {"by": by})
    trained = train_dense(task, 1).trained
    scores = evaluate_splits(network_of(task, trained.state), task)
    assert scores["test"]["loss"] == trained.metrics[-1]["test_loss"]


@pytest.mark.parametrize("score", ["snip", "grasp", "synflow"])
def test_scores_name_weights_that_the_loss_does_not_depend_on(score):
    task = task_of("Unused", {"head": "detached"})
    with pytest.raises(PruningError, match="loss does not depend on extra.weight"):
        prune(task, task.initial_state(0), 0.5, score=score, sample={"images_per_class": 3})


EXEMPT = [
    ("Raw", {}, ("mixing",), {"mixing": 6 * 64, "fc.weight": 18}),
    ("Attending", {"token": True}, ("token",), {"attention.in_proj_weight": 108 * 9}),
    ("Frozen", {}, ("edges",), {"edges.weight": 18 * 36, "fc.weight": 216}),
    ("Frozen", {}, ("edges.weight",), {"edges.weight": 18 * 36, "fc.weight": 216}),
    ("Unused", {}, ("extra",), {"body.weight": 384, "fc.weight": 18}),
    ("Unused", {"head": "detached"}, ("extra",), {"extra.weight": 18}),
    ("Weighted", {}, ("conv",), {"conv.weight": 27 * 36, "fc.weight": 9}),
    ("Attending", {}, ("att*",), {"attention.out_proj.weight": 36 * 8}),
    ("Recurrent", {}, ("rnn.weight_hh_l0",), {"rnn.weight_hh_l0": 100 * 8}),
]


@pytest.mark.parametrize(("name", "options", "exempt", "costs"), EXEMPT)
def test_what_is_exempt_is_trained_counted_whole_and_never_pruned(name, options, exempt, costs):
    task = task_of(name, options, exempt=exempt)
    dense = train_dense(task, 0).final
    kept = {n for n in dense.weights if n not in task.prunable() and dense.weights[n].ndim > 1}
    masks = prune(task, dense, 0.2, score="snip", sample={"images_per_class": 3})
    assert not kept & masks.keys()
    after = train_pruned(task, masks, dense).state
    assert all((after.weights[n] != 0).any() for n in kept)
    assert (
        network_macs(task.build(), task.example(), masks).items()
        >= {n: cost for n, cost in costs.items() if n not in masks}.items()
    )
    assert network_macs(task.build(), task.example()).items() >= costs.items()


def test_a_tensor_of_ones_own_is_pruned_where_the_study_says_so():
    task = task_of("Raw", also_prunable=("mixing",))
    dense = train_dense(task, 0).final
    assert task.prunable() == ["mixing", "fc.weight"]
    masks = prune(task, dense, 0.1)
    after = train_pruned(task, masks, dense).state
    assert sum(int((after.weights[n] != 0).sum()) for n in masks) == round(0.1 * (384 + 18))
    costs = network_macs(task.build(), task.example(), masks)
    assert costs == {n: int(mask.sum()) for n, mask in masks.items()}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"also_prunable": ("mixng",)}, "'mixng' names no weight.*Did you mean 'mixing'"),
        ({"exempt": ("scale",)}, "'scale' names no weight.*Its weights: fc.weight, mixing"),
        ({"exempt": ("mixing",), "also_prunable": ("m*",)}, "mixing is named under `exempt` and"),
    ],
)
def test_names_that_fit_nothing_say_what_there_is(names, message):
    with pytest.raises(PruningError, match=message):
        task_of("Raw", **names).prunable()


def test_biases_and_vectors_are_pruned_where_a_name_spells_theirs():
    """They cost nothing; the name of a layer, or ``*`` alone, does not mean them."""
    spelled = ("*.bias_ih*", "fc.bias")
    task = task_of("Recurrent", also_prunable=spelled)
    kernels = ["rnn.weight_ih_l0", "rnn.weight_hh_l0"]
    assert task.prunable() == [*kernels, "rnn.bias_ih_l0", "fc.weight", "fc.bias"]
    initial = task.initial_state(0)
    drawn = {n: torch.rand(w.shape) for n, w in initial.weights.items() if "bias" in n}
    initial = replace(initial, weights=initial.weights | drawn)
    masks = prune(task, initial, 0.5)
    kept = {name: int(mask.sum()) for name, mask in masks.items()}
    assert 0 < kept["rnn.bias_ih_l0"] < 20
    state = train_pruned(task, masks, initial).state
    for name, mask in masks.items():
        assert not state.weights[name][~mask].any()
        assert state.weights[name][mask].all()
    assert not (state.weights["rnn.bias_hh_l0"] == 0).any()
    costs = network_macs(task.build(), task.example(), masks)
    assert costs == {name: 8 * kept[name] if "rnn" in name else kept[name] for name in costs}
    assert set(costs) == {*kernels, "fc.weight"}
    told = report(task, masks)
    assert told["kept"] == sum(kept.values())
    assert told["kept_by_layer"] == kept
    assert sum(told["channel_sparsity"]) == 2 * 20 + 3  # rows of kernels
    for meant in ("*", "rnn", "rnn*", "fc.*", "rnn.w*"):
        assert task_of("Recurrent", also_prunable=(meant,)).prunable() == [*kernels, "fc.weight"]
    assert task_of("Norms", also_prunable=("layer.weight",)).prunable()[-2:] == [
        "layer.weight", "fc2.weight"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"also_prunable": ("rnn.bias",)}, "'rnn.bias' names no weight.*Did you mean 'rnn.bias"),
        ({"exempt": ("fc.bias",)}, "'fc.bias' names no weight of this network that could be"),
        (
            {"also_prunable": ("fc.bias",), "exempt": ("*.bias",)},
            r"'\*.bias' names no weight of this network that could be",
        ),
    ],
)
def test_names_of_biases_that_fit_nothing_are_refused(names, message):
    with pytest.raises(PruningError, match=message):
        task_of("Recurrent", **names).prunable()


def test_constants_are_not_pruned_by_a_name_that_means_weights_too():
    module = task_of("Recurrent").build(0)
    module.rnn.bias_hh_l0.requires_grad_(False)
    with pytest.raises(PruningError, match="rnn.bias_hh_l0 is named under `prunable`.*not trained"):
        prunable_names(module, (), ("*bias*",))


def test_costs_that_cannot_be_counted_are_refused():
    with pytest.raises(PruningError, match="What prototypes costs cannot be counted"):
        task_of("Masked", also_prunable=("prototypes",)).prunable()


def test_gsm_ranks_what_is_prunable_and_nothing_else():
    """Not a class token or a frozen filter, whatever dimensions they have."""
    task = task_of("Attending", {"token": True}, exempt=("token", "embed"))
    module = task.build()
    config = OptimizerConfig("gsm", 0.0, (), {"density": 0.5})
    optimizer = optimizers.make(config, module, task.prunable())
    named = dict(module.named_parameters())
    ranked = {id(w) for w in optimizer._ranked()}
    assert ranked == {id(named[n]) for n in task.prunable()}
    assert optimizer.active_count() == (108 + 36 + 18) // 2
    one = [{"params": [module.norm.weight], "ranked": True}, {"params": [module.token]}]
    assert GSM(one, density=0.5).active_count() == (6 + 6) // 2


@pytest.mark.parametrize("name", ["Signal", "Recurrent", "Transformer", "Words"])
def test_a_search_freezes_the_weights_of_every_kind(name):
    task = task_of(name)
    sgd = OptimizerConfig("sgd", options={"momentum": 0.9})
    plain = replace(task.recipe, optimizer=sgd, epochs=2)
    trained = search(task, task.initial_state(0), Search(density=0.5, period=1), recipe=plain)
    kept = found(trained.state, task.prunable(), "rounded").kept
    total = sum(mask.numel() for mask in kept.values())
    assert masking.counts(kept)[0] == pytest.approx(total / 2, abs=1)


def test_normalizations_and_biases_of_every_kind_can_do_without_weight_decay():
    for name in ("Norms", "Attending", "Recurrent"):
        module = task_of(name).build(0)
        config = OptimizerConfig("sgd", 0.1, ("bias", "norm"), bias_rate=2.0)
        groups = optimizers.make(config, module).param_groups
        names = {id(p): n for n, p in module.named_parameters()}
        decayed = {names[id(p)] for g in groups if g["weight_decay"] for p in g["params"]}
        assert decayed == {*prunable_names(module), *({"act.weight"} if name == "Norms" else ())}
        doubled = {names[id(p)] for g in groups if g["relative_rate"] == 2 for p in g["params"]}
        assert doubled == {n for n in names.values() if "bias" in n}


def test_dropout_draws_from_the_runs_own_generator():
    task = task_of("Transformer")
    torch.manual_seed(1)
    first = train_dense(task, 0).final
    torch.manual_seed(2)
    assert_same_state(train_dense(task, 0).final, first)


def test_a_layer_that_a_coin_leaves_out_of_some_steps_trains_on():
    task = task_of("Skipping", data=noise(images=64))
    for seed in range(3):
        start = task.initial_state(seed)
        start = start.masked(prune(task, start, 0.5))
        after = train(task, start, Run(8, lambda _: 0.1, seed, ("x",))).state
        for name, mask in start.masks.items():
            assert not after.weights[name][~mask].any()
        assert not torch.equal(after.weights["fc2.weight"], start.weights["fc2.weight"])


def test_weights_beside_those_of_a_layer_of_torch_are_known_by_themselves():
    with pytest.raises(PruningError, match="fc.down, fc.up are of no layer that is known"):
        task_of("Adapted").prunable()
    task = task_of("Adapted", also_prunable=("fc.up",), exempt=("fc.down",))
    assert task.prunable() == ["fc.weight", "fc.up"]
    costs = {"fc.weight": 192, "fc.down": 128, "fc.up": 6}
    assert network_macs(task.build(), task.example()) == costs


def test_an_error_in_the_forward_pass_names_file_and_line():
    with pytest.raises(PruningError, match=r"own_networks.py, line \d+ in forward: RuntimeError"):
        task_of("Faulty").prunable()


# -- batches of one -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("batches", "images", "refused"),
    [
        (Batching(8, "keep"), 33, "of 33 examples in batches of 8 one is alone.*straddle or drop"),
        (Batching(1), 32, "batches of one example"),
        (Batching(8, "keep"), 34, None),
        (Batching(8, "drop"), 33, None),
        (Batching(8), 33, None),
    ],
)
def test_a_lone_image_before_batch_norm_on_single_pixels(batches, images, refused):
    task = task_of("Pooled", data=noise(images=images), batches=batches)
    if refused:
        with pytest.raises(PruningError, match=f"more than one value per channel.*{refused}"):
            train_dense(task, 0)
    else:
        train_dense(task, 0, steps=1)
    # Elsewhere a batch of one is fine.
    train_dense(task_of("Signal", data=noise(images=images), batches=batches), 0, steps=1)


def test_a_lone_scoring_image_joins_the_batch_before():
    task = task_of("Pooled", batches=Batching(4))
    batches = task.scoring_batches(0, images_per_class=3)  # 9 images
    assert [len(labels) for _, labels in batches] == [4, 5]
    assert torch.equal(torch.cat([labels for _, labels in batches]).sort().values,
                       torch.arange(3).repeat_interleave(3))  # fmt: skip
    state = task.initial_state(0)
    masks = prune(task, state, 0.5, score="snip", sample={"images_per_class": 3})
    assert masking.density(masks) == 0.5
    single = task_of("Pooled", batches=Batching(1))
    assert [len(y) for _, y in single.scoring_batches(0, images_per_class=1)] == [1, 1, 1]
    with pytest.raises(PruningError, match="more than one value per channel.*batch_norm: eval"):
        prune(single, state, 0.5, score="snip", sample={"images_per_class": 1})


# -- whole filters --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "index", "kept"),
    [
        # Of 228, 39, 152, 221 and 408 weights: half the filters, and what reads them.
        ("Signal", 1, 228 - 72 - 36),
        ("Signal", 2, 228 - 36 - 6),
        ("Volume", 1, 39 - 9 - 2),  # one of three
        ("Depthwise", 1, 152 - 27 - 27 - 12),
        ("Depthwise", 2, 152 - 27 - 12),
        ("Branches", 3, 221 - 90 - 6),
        ("Residual", 2, 408 - 72 - 72),  # two of five
        ("Blocks", 1, 36 + 144 + 4 + 144 + 144 + 16 + 12 - 18 - 72),  # the projections stay whole
        ("Overheard", 1, "a.weight.*cumsum .*is not understood"),
        ("Depthwise", 3, "pointwise.weight.*groups is a convolution in groups"),
        ("Depthwise", 4, "groups.weight.*groups is a convolution in groups"),
        ("Branches", 1, "left.weight.*filters cannot go alone"),
        ("Branches", 2, "right.weight.*filters cannot go alone"),
        ("Residual", 1, "stem.weight.*filters cannot go alone"),
        ("Residual", 3, "b.weight.*filters cannot go alone"),
        ("Widening", 1, "down.weight.*up is a layer of the kind 'transposed convolution'"),
        ("Widening", 2, "up.weight.*up is a layer of the kind 'transposed convolution'"),
        ("Functional", 1, "conv.weight.*is not understood"),
        ("Norms", 1, "conv.weight.*group .*is not understood"),
        ("Signal", 3, "convolution 3, but this network has 2"),
    ],
)
def test_structured_pruning_is_right_or_refuses(name, index, kept):
    task = task_of(name)
    fraction = {"Volume": 1 / 3, "Residual": 0.4}.get(name, 0.5)
    thinnings = [{"convs": [index], "fraction": fraction}]
    if isinstance(kept, str):
        with pytest.raises(PruningError, match=kept):
            prune_filters(task, task.initial_state(0), thinnings=thinnings, level=1)
        return
    pruned = prune_filters(task, task.initial_state(0), thinnings=thinnings, level=1)
    assert masking.counts(pruned.remaining)[0] == kept


def test_what_structured_pruning_counts_as_gone_changes_no_output():
    """Zeroing the weights that only removed filters feed, where no bias or shift is left."""
    for name in ("Signal", "Volume", "Depthwise", "Branches", "Residual", "Blocks"):
        task = task_of(name)
        state = task.initial_state(0)  # biases and shifts are zero
        for index, conv in enumerate(main_convs(task.build()), 1):
            try:
                pruned = prune_filters(
                    task, state, thinnings=[{"convs": [index], "fraction": 0.5}], level=1
                )
            except PruningError:
                continue
            x = torch.randn(2, *GREY8)
            with torch.no_grad():
                outputs = [
                    network_of(task, state.masked(masks)).eval()(x)
                    for masks in (pruned.masks, pruned.remaining)
                ]
            assert torch.allclose(*outputs, atol=1e-6), (name, conv)


def test_prunetrain_cuts_convolutions_of_one_dimension_and_counts_them():
    task = task_of("Signal")
    state = task.initial_state(0)
    state.weights["conv1.weight"][:2] = 0  # two filters that are dead from the start
    state.weights["norm.weight"][:2] = 0
    state.weights["conv2.weight"][:, :2] = 0
    still = replace(task, recipe=replace(task.recipe, schedule=StepDecay(1e-9, ())))
    trained = train_prunetrain(still, state, Settings(interval=1, threshold=1e-6)).trained
    assert trained.state.weights["conv1.weight"].shape == (4, 8, 3)
    assert trained.state.weights["conv2.weight"].shape == (4, 4, 3)
    assert trained.metrics[0]["inference_macs"] == 144 * 8 + 72 + 12
    small = network_of(task, trained.state)
    assert sum(network_macs(small, task.example()).values()) == 96 * 8 + 48 + 12


@pytest.mark.parametrize("name", ["Recurrent", "Attending", "Widening"])
def test_prunetrain_refuses_layers_whose_costs_it_does_not_count(name):
    task = task_of(name)
    with pytest.raises(PruningError, match="costs of convolutions and linear layers alone"):
        train_prunetrain(task, task.initial_state(0), Settings())


# -- scores of other types ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", [torch.int64, torch.int32, torch.uint8, torch.float16, torch.bfloat16, torch.float64]
)
def test_scores_of_any_type_are_ranked_exactly(kind):
    scores = {"a": torch.tensor([3, 0, 200, 7]).to(kind), "b": torch.tensor([[1, 200, 5]]).to(kind)}
    masks = masking.select(scores, 3 / 7)
    assert masks["a"].tolist() == [False, False, True, True]
    assert masks["b"].tolist() == [[False, True, False]]
    lowest = {name: -score for name, score in masking.comparable(scores).items()}
    assert masking.select(lowest, 2 / 7)["a"].tolist() == [False, True, False, False]


def test_whole_numbers_that_floats_would_round_and_types_that_differ():
    big = 2**60
    scores = {"a": torch.tensor([big, big + 1]), "b": torch.tensor([big - 1])}
    assert masking.select(scores, 1 / 3)["a"].tolist() == [False, True]
    mixed = {"a": torch.tensor([1, 3]), "b": torch.tensor([2.5, 0.5]), "c": torch.tensor([True])}
    masks = masking.select(mixed, 2 / 5)
    assert {n: m.tolist() for n, m in masks.items()} == {
        "a": [False, True], "b": [True, False], "c": [False]
    }  # fmt: skip
    with pytest.raises(PruningError, match="Complex scores"):
        masking.select({"a": torch.zeros(2, dtype=torch.complex64)}, 0.5)


# -- torchvision ----------------------------------------------------------------------------------


def test_a_network_of_torchvision_goes_through(caplog):
    task = task_of("torchvision:shufflenet_v2_x0_5", data=noise(RGB32, 16))
    dense = train_dense(task, 0).final
    total = sum(dense.weights[n].numel() for n in task.prunable())
    assert total == sum(w.numel() for w in dense.weights.values() if w.ndim > 1)
    for score in ("magnitude", "snip"):
        masks = prune(task, dense, 0.25, score=score, sample={"images_per_class": 2})
        assert masking.counts(masks) == (masking.kept_count(0.25, total), total)
    after = train_pruned(task, masks, dense).state
    assert sum(int((after.weights[n] != 0).sum()) for n in masks) <= 0.25 * total + 1
    with pytest.raises(PruningError, match="filters cannot go alone"):
        prune_filters(task, dense, thinnings=[{"convs": [1], "fraction": 0.5}], level=1)
    with caplog.at_level(logging.WARNING, logger="pruning"):
        train_prunetrain(task, task.initial_state(0), Settings(interval=1))
    assert "channels around" in caplog.text


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Noise in colour, as a stage reads it."""
    draws = np.random.default_rng(0)
    images = [draws.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8) for count in (16, 9)]
    labels = [np.arange(len(part)) % 3 for part in images]
    path = tmp_path_factory.mktemp("noise") / "noise.safetensors"
    sets = [part for pair in zip(images, labels, strict=True) for part in pair]
    store.save(store.ImageData("noise", *sets, ("a", "b", "c"), "noise"), path)
    return path


@pytest.mark.parametrize(
    ("network", "exempt"),
    [("torchvision:shufflenet_v2_x0_5", []), ("Recurrent", []), ("Attending", ["token"])],
)
def test_stages_train_prune_report_and_export_them(prepared, tmp_path, network, exempt):
    name = network if ":" in network else f"{NETWORKS}:{network}"
    task = {
        "kind": "classification",
        "dataset": "noise",
        "validation": {"source": "test", "fraction": 0.4},
        "network": {"name": name, "options": {"token": True} if exempt else {}},
        "recipe": {"epochs": 0.5, "batches": {"size": 4}, "schedule": {"learning_rate": 0.01}},
        "exempt": exempt,
    }
    context = StageContext("own", 0, task, "v")
    dense_stage(context, prepared, tmp_path / "dense", ())
    summary = read_json(tmp_path / "dense" / "summary.json")
    weights = load_state(tmp_path / "dense" / "state.safetensors").weights
    matrices = sum(w.numel() for n, w in weights.items() if w.ndim > 1 and n not in exempt)
    assert summary["prunable"] == matrices
    mask = tmp_path / "mask.safetensors"
    chosen = {"kind": "weights", "score": "magnitude", "density": 0.25}
    prune_stage(
        context, prepared, tmp_path / "dense" / "state.safetensors", mask,
        level=1, chain="magnitude", pruning=chosen,
    )  # fmt: skip
    told = read_json(tmp_path / "mask.json")
    assert told["kept"] == masking.kept_count(0.25, matrices)
    assert told["macs"] < summary["macs"] == sum(summary["macs_by_layer"].values())
    network = load_trained(tmp_path / "dense")
    save_state(network.state.masked(load_masks(mask)), tmp_path / "dense" / "state.safetensors")
    exported = export(tmp_path / "dense", tmp_path / "net.safetensors")
    loaded = build(NetworkConfig(**task["network"]), RGB32, 3, 1)
    loaded.load_state_dict(load_file(tmp_path / "net.safetensors"))
    x = torch.randn(2, *RGB32)
    assert torch.equal(loaded.eval()(x), exported.network.module(x))
    kept = [p for n, p in loaded.named_parameters() if p.ndim > 1 and n not in exempt]
    assert sum(int(p.count_nonzero()) for p in kept) == told["kept"]


def test_torchvisions_resnet18_counts_as_ours_and_says_what_does_not_fit():
    theirs = NetworkConfig("torchvision:resnet18")
    ours = build(NetworkConfig("resnet18"), RGB32, 10, None)
    module = build(theirs, RGB32, 10, 0)
    sizes = [
        [dict(m.named_parameters())[n].numel() for n in prunable_names(m)] for m in (module, ours)
    ]
    assert sorted(sizes[0]) == sorted(sizes[1])
    assert module.fc.out_features == 10
    example = (torch.ones(1, *RGB32),)
    costs = [network_macs(m, example) for m in (module, ours)]
    assert sum(costs[0].values()) == sum(costs[1].values())
    again = build(theirs, RGB32, 10, 0)
    assert all(map(torch.equal, module.state_dict().values(), again.state_dict().values()))


@pytest.mark.parametrize(
    ("name", "shape", "options", "message"),
    [
        (
            "resnet18",
            GREY8,
            {},
            "torchvision:resnet18 takes images of 3 channels, and these have 1",
        ),
        ("resnet18", RGB32, {"weights": "DEFAULT"}, "no `weights` here: nothing is downloaded"),
        ("resnet18", RGB32, {"num_classes": 7}, "no `num_classes` here: the data set says"),
        ("resnet18", RGB32, {"widht": 7}, "torchvision:resnet18.*unexpected keyword.*'widht'"),
        ("googlenet", RGB32, {"init_weights": False}, "auxiliary.*aux_logits: false"),
        ("resnet81", RGB32, {}, "no network 'resnet81'.*Did you mean 'torchvision:resnet18'"),
        ("fasterrcnn_resnet50_fpn", RGB32, {}, "no network 'fasterrcnn_resnet50_fpn'"),
    ],
)
def test_networks_of_torchvision_that_cannot_be_say_why(name, shape, options, message):
    with pytest.raises(PruningError, match=message):
        build(NetworkConfig(f"torchvision:{name}", options=options), shape, 10, 0)


def test_images_that_are_too_small_are_said_before_training():
    task = task_of("torchvision:alexnet", data=noise(RGB32))
    with pytest.raises(PruningError, match=r"cannot run on one example of shape \(1, 3, 32, 32\)"):
        task.prunable()


def test_a_study_names_torchvisions_networks_and_its_own_tensors(tmp_path, monkeypatch):
    document = yaml.safe_load((REPOSITORY / "config" / "studies" / "digits.yaml").read_text())
    path = tmp_path / "own.yaml"

    def study(network, **more):
        path.write_text(yaml.safe_dump(document | {"network": {"name": network}} | more))
        return load_study(path, SCHEMAS / "study.schema.yaml")

    plain = study("small_cnn")
    assert "prunable" not in plain.task  # older results stay
    theirs = study("torchvision:resnet18", prunable=["mixing"])
    assert theirs.task["prunable"] == ["mixing"]
    assert theirs.task["network"]["name"] == "torchvision:resnet18"
    entries = theirs.code_entries()
    before = code_version(*entries)
    assert before != code_version(*study("torchvision:resnet34").code_entries())
    from pruning.models import torchvision_networks

    monkeypatch.setattr(torchvision_networks, "version", lambda: "99.0")
    assert code_version(*theirs.code_entries()) != before
    with pytest.raises(PruningError, match="own.yaml: torchvision has no network 'resnet81'"):
        study("torchvision:resnet81")
