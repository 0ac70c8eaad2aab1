"""GNMT: every detail against an implementation in formulas, counts, and places of dropout."""

import inspect

import pytest
import torch
from torch import nn

from pruning.errors import PruningError
from pruning.models import attention as attentions
from pruning.models.build import build, prunable_names
from pruning.models.config import NetworkConfig
from pruning.models.cost import network_macs
from pruning.models.gnmt import gnmt
from pruning.models.paths import on_a_path
from pruning.models.uses import refuse_unused, trace
from tests.naive_gnmt import Naive

# Also what is pruned of GNMT besides kernels: biases of LSTMs, and b of the attention.
BIASES = ("encoder.*.bias_ih_l0*", "decoder.*.bias_ih*", "attention.query.bias")
SOURCES = [[3, 4, 5, 6, 7], [8, 9], [3, 8, 4, 4]]
GIVEN = [[1, 5, 6, 7], [1, 8, 8, 3], [1, 4, 3, 9]]


def network(layers=4, context=True, hidden=6, dropout=0.2, seed=0):
    torch.manual_seed(seed)
    module = gnmt(
        10, 11, hidden=hidden, layers=layers, dropout=dropout, forget_bias=0.7,
        attention_scale=1.5, first_layer_context=context,
    ).double()  # fmt: skip
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.requires_grad and parameter.ndim:
                parameter.uniform_(-0.7, 0.7)
    return module


def padded(sentences):
    lengths = torch.tensor([len(sentence) for sentence in sentences])
    rows = [torch.tensor(sentence) for sentence in sentences]
    return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=2), lengths


@pytest.mark.parametrize("layers", [2, 3, 4])
@pytest.mark.parametrize("context", [True, False])
def test_the_network_is_that_of_the_formulas(layers, context):
    module = network(layers, context).eval()
    source, lengths = padded(SOURCES)
    given, _ = padded(GIVEN)
    logits = module(source, lengths, given)
    naive = Naive(module, layers, context)
    for row, (sentence, pieces) in enumerate(zip(SOURCES, GIVEN, strict=True)):
        for step, (expected, _) in enumerate(naive.decode(sentence, pieces)):
            torch.testing.assert_close(logits[row, step], expected, rtol=1e-10, atol=1e-12)
    # Step by step, as a search decodes, it is the same network.
    at = module.encode(source, lengths)
    for step in range(given.shape[1]):
        made, weights, at = module.step(given[:, step], at)
        torch.testing.assert_close(made, logits[:, step], rtol=1e-10, atol=1e-12)
        for row, sentence in enumerate(SOURCES):
            expected = naive.decode(sentence, GIVEN[row])[step][1]
            torch.testing.assert_close(weights[row, : len(sentence)], expected)
            assert not weights[row, len(sentence) :].any()


@pytest.mark.parametrize("context", [True, False])
def test_what_is_in_the_padding_decides_nothing(context):
    module = network(3, context).eval()
    source, lengths = padded(SOURCES)
    given, _ = padded(GIVEN)
    wider = nn.functional.pad(source, (0, 3), value=5)
    wider[1, 2:] = torch.arange(6)
    torch.testing.assert_close(module(wider, lengths, given), module(source, lengths, given))
    alone = module(torch.tensor([SOURCES[1]]), torch.tensor([2]), given[1:2])
    torch.testing.assert_close(module(source, lengths, given)[1:2], alone)
    chosen = module.encode(source, lengths).rows(torch.tensor([1, 1, 0]))
    made, _, _ = module.step(torch.tensor([1, 1, 1]), chosen)
    torch.testing.assert_close(made[0], alone[0, 0])
    torch.testing.assert_close(made[1], alone[0, 0])


def test_attention_that_is_computed_again_has_the_same_gradients(monkeypatch):
    source, lengths = padded(SOURCES)
    given, _ = padded(GIVEN)
    found = []
    for limit in (2**24, 0):
        monkeypatch.setattr(attentions, "RECOMPUTED_FROM", limit)
        module = network(3)
        torch.manual_seed(1)
        module(source, lengths, given).square().sum().backward()
        found.append([p.grad for p in module.parameters() if p.requires_grad])
    for kept, again in zip(*found, strict=True):
        torch.testing.assert_close(again, kept, rtol=1e-12, atol=1e-12)


def test_two_layers_of_128_have_the_reference_s_number_of_parameters():
    module = gnmt(4000, 4000, hidden=128, layers=2, first_layer_context=False)
    assert sum(p.numel() for p in module.parameters() if p.requires_grad) == 2_358_017
    assert gnmt(10, 10, hidden=16).attention.g.item() == 0.25


def test_renda_et_al_prune_197879808_weights():
    with torch.device("meta"):
        module = gnmt(32_316, 32_316)
    names = prunable_names(module, also=BIASES)
    named = dict(module.named_parameters())
    assert sum(named[name].numel() for name in names) == 197_879_808
    left = {name for name in named if name not in names}
    assert {n.rpartition(".")[2].partition("_l0")[0] for n in left} == {"g", "bias_hh"}
    kernels = prunable_names(module)
    assert {n for n in names if n not in kernels} == {
        *(f"encoder.{layer}.bias_ih_l0" for layer in range(4)),
        "encoder.0.bias_ih_l0_reverse", "decoder.0.bias_ih",
        *(f"decoder.{layer}.bias_ih_l0" for layer in range(1, 4)), "attention.query.bias",
    }  # fmt: skip


@pytest.mark.parametrize("context", [True, False])
def test_costs_are_those_of_the_formulas(context):
    width, s, t = 6, 5, 3
    module = network(3, context).float()
    example = (torch.zeros(1, s, dtype=torch.int64), torch.tensor([s]), torch.zeros(1, t).long())
    traced = trace(module, example)
    refuse_unused(prunable_names(module, also=BIASES), traced)
    macs = network_macs(module, example)
    square, four = width * width, 4 * width * width
    assert {n: c for n, c in macs.items() if c} == {
        "encoder.0.weight_ih_l0": s * four, "encoder.0.weight_hh_l0": s * four,
        "encoder.0.weight_ih_l0_reverse": s * four, "encoder.0.weight_hh_l0_reverse": s * four,
        "encoder.1.weight_ih_l0": s * 2 * four, "encoder.1.weight_hh_l0": s * four,
        "encoder.2.weight_ih_l0": s * four, "encoder.2.weight_hh_l0": s * four,
        "attention.memory.weight": s * square, "attention.query.weight": t * square,
        "attention.v.weight": s * t * width,
        **(
            {"decoder.0.weight_ih": t * 2 * four, "decoder.0.weight_hh": t * four}
            if context
            else {"decoder.0.weight_ih_l0": t * four, "decoder.0.weight_hh_l0": t * four}
        ),
        "decoder.1.weight_ih_l0": t * 2 * four, "decoder.1.weight_hh_l0": t * four,
        "decoder.2.weight_ih_l0": t * 2 * four, "decoder.2.weight_hh_l0": t * four,
        "output.weight": t * width * 11,
    }  # fmt: skip


@pytest.mark.parametrize("context", [True, False])
def test_dropout_is_on_what_every_lstm_reads_and_on_nothing_else(context, monkeypatch):
    """With a mask of halves for dropout, the network is one whose LSTMs read halves."""

    def halved(given, p, training):
        return given * 0.5 if training else given

    monkeypatch.setattr(nn.functional, "dropout", halved)
    module, other = network(4, context).train(), network(4, context).eval()
    with torch.no_grad():
        for name, parameter in other.named_parameters():
            if "weight_ih" in name:
                parameter.mul_(0.5)
    source, lengths = padded(SOURCES)
    given, _ = padded(GIVEN)
    torch.testing.assert_close(module(source, lengths, given), other(source, lengths, given))


@pytest.mark.parametrize("context", [True, False])
def test_dropout_draws_anew_for_every_step_and_sentence(context):
    module = network(2, context, hidden=8, dropout=0.5).train()
    source, lengths = torch.full((2, 6), 3), torch.tensor([6, 6])
    given = torch.full((2, 5), 4)
    torch.manual_seed(0)
    first = module(source, lengths, given)
    torch.manual_seed(0)
    assert torch.equal(module(source, lengths, given), first)
    assert not torch.equal(module(source, lengths, given), first)
    assert not torch.equal(first[0], first[1])


def test_uniform_initializations_draw_every_kernel_alike_and_leave_the_rest():
    for name, bound in (("uniform_01", 0.1), ("uniform_02", 0.2)):
        config = NetworkConfig("gnmt", name, {"hidden": 32, "layers": 2, "forget_bias": 1.0})
        module = build(config, 50, 60, 3)
        kernels = prunable_names(module)
        for label, parameter in module.named_parameters():
            if label in kernels:
                assert 0.85 * bound < float(parameter.detach().abs().max()) <= bound
                assert abs(float(parameter.detach().mean())) < 4 * bound / parameter.numel() ** 0.5
            elif "bias_hh" in label:
                assert parameter.tolist() == [0.0] * 32 + [1.0] * 32 + [0.0] * 64
            elif label == "attention.g":
                assert parameter.item() == pytest.approx(32**-0.5)
            else:
                assert not parameter.any()
        again = dict(build(config, 50, 60, 3).named_parameters())
        assert all(torch.equal(p, again[n]) for n, p in module.named_parameters())
        assert not torch.equal(module.output.weight, build(config, 50, 60, 4).output.weight)


def test_one_layer_is_refused():
    with pytest.raises(PruningError, match="layers must be at least 2"):
        build(NetworkConfig("gnmt", "uniform_01", {"layers": 1}), 10, 10, 0)


def test_what_is_published_is_what_nothing_else_is_said_for():
    told = {n: p.default for n, p in inspect.signature(gnmt).parameters.items()}
    assert told == {
        "source_vocabulary": inspect.Parameter.empty, "target_vocabulary": inspect.Parameter.empty,
        "hidden": 1024, "layers": 4, "dropout": 0.2, "forget_bias": 0.0, "attention_scale": None,
        "first_layer_context": True,
    }  # fmt: skip


@pytest.mark.parametrize("context", [True, False])
def test_every_step_has_a_mask_of_dropout_of_its_own(context, monkeypatch):
    shapes = []

    def noted(given, p, training):
        shapes.append(tuple(given.shape))
        return given

    monkeypatch.setattr(nn.functional, "dropout", noted)
    source, lengths = padded(SOURCES)
    given, _ = padded(GIVEN)
    network(3, context).train()(source, lengths, given)
    width = 12 if context else 6
    assert shapes == [
        (3, 5, 6), (3, 5, 12), (3, 5, 6), (3, 4, width), (3, 4, 12), (3, 4, 12)
    ]  # fmt: skip


def test_scores_of_attention_are_of_float32_whatever_layers_compute_in():
    layer = attentions.Attention(8).to(torch.bfloat16)
    draws = torch.Generator().manual_seed(0)
    queries, memory = (torch.randn(2, n, 8, generator=draws).bfloat16() for n in (3, 5))
    contexts, weights = layer(queries, layer.keys(memory), memory, None)
    assert (contexts.dtype, weights.dtype) == (torch.bfloat16, torch.float32)
    torch.testing.assert_close(weights.sum(2), torch.ones(2, 3), rtol=0, atol=1e-6)


def test_all_of_a_dense_network_is_on_a_path_the_vector_that_is_normalized_too():
    module = network(3).float()
    example = (torch.zeros(1, 5, dtype=torch.int64), torch.tensor([5]), torch.zeros(1, 3).long())
    names = prunable_names(module, also=BIASES)
    masks = {n: torch.ones_like(p, dtype=torch.bool) for n, p in module.named_parameters()}
    masks = {name: masks[name] for name in names}
    assert all(mask.all() for mask in on_a_path(module, masks, example).values())
    masks["attention.v.weight"][0, 1:] = False
    found = on_a_path(module, masks, example)["attention.v.weight"]
    assert found.tolist() == [[True, False, False, False, False, False]]


def test_a_bias_is_on_a_path_where_its_neuron_is():
    module = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    masks = {n: torch.ones_like(p, dtype=torch.bool) for n, p in module.named_parameters()}
    masks["2.weight"][:, 1] = False  # no one listens to the second neuron
    masks["0.weight"][2] = False  # and nothing reaches the third, though it has a bias
    found = on_a_path(module, masks, (torch.ones(1, 4),))
    assert found["0.bias"].tolist() == [True, False, False]
    assert found["2.weight"].tolist() == [[True, False, False]] * 2
    assert found["2.bias"].all()
