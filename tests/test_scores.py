"""Scores by hand, by finite differences, by an explicit Hessian and by SynFlow's conservation."""

import copy
from collections import OrderedDict, namedtuple

import pytest
import torch
from torch import nn

from pruning import registry
from pruning.errors import PruningError
from pruning.masks.mask import select
from pruning.models.build import build, prunable_names
from pruning.models.config import NetworkConfig
from pruning.scores import ScoreContext
from pruning.scores.grasp import grasp, grasp_abs
from pruning.scores.magnitude import magnitude
from pruning.scores.random import random
from pruning.scores.snip import snip
from pruning.scores.synflow import synflow
from pruning.training.classification import Images

GREY8, RGB32 = (1, 8, 8), (3, 32, 32)
INITIALIZATION = "kaiming_normal_uniform_scale"
LOOKS_AT_DATA = ("snip", "grasp", "grasp_abs")


def everything(module, names=None):
    """Masks that keep all of the named parameters, of the kernels if none are named."""
    named = dict(module.named_parameters())
    names = prunable_names(module) if names is None else names
    return {name: torch.ones_like(named[name], dtype=torch.bool) for name in names}


def linear(*weights):
    """A linear network without biases: first.weight, second.weight, ..."""
    layers = OrderedDict(flatten=nn.Flatten())
    for name, weight in zip(("first", "second"), weights, strict=False):
        weight = torch.tensor(weight, dtype=torch.float64)
        layers[name] = nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=weight.dtype)
        with torch.no_grad():
            layers[name].weight.copy_(weight)
    return nn.Sequential(layers)


def context(module, batches=(), masks=None, shape=GREY8, **rest):
    masks = everything(module) if masks is None else masks
    return ScoreContext(module, masks, Images(shape), batches, **rest)


def random_batch(size, shape=GREY8, classes=10, dtype=torch.float32, seed=0):
    source = torch.Generator().manual_seed(seed)
    images = torch.randn(size, *shape, generator=source, dtype=dtype)
    return images, torch.randint(classes, (size,), generator=source)


def cnn(seed=0, dtype=torch.float32):
    """Two convolutions with batch norm and max-pooling, two linear layers with biases."""
    return build(NetworkConfig("small_cnn", INITIALIZATION), GREY8, 10, seed).to(dtype)


def with_dropout(seed=0):
    """Layers of every kind that keep something or draw something in a forward pass."""
    module = nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(1, 4, 3, padding=1),
            norm=nn.BatchNorm2d(4),
            relu=nn.ReLU(),
            drop=nn.Dropout(0.5),
            flatten=nn.Flatten(),
            fc=nn.Linear(256, 10),
        )
    )
    registry.find("initialization", INITIALIZATION)(module, seed)
    return module


def close(got, expected, rtol=1e-6):
    assert list(got) == list(expected)
    for name in got:
        scale = float(expected[name].abs().max())
        torch.testing.assert_close(
            got[name], expected[name].to(got[name].dtype), rtol=rtol, atol=rtol * scale
        )


# By hand. x = (1, -1), h = W1 x = (3, 2), logits W2 h = (4, 4), so both classes have probability
# 1/2 and, for class 0, dL/dlogits = (-1/2, 1/2).
W1, W2 = [[1.0, -2.0], [3.0, 1.0]], [[2.0, -1.0], [0.0, 2.0]]
EXAMPLE = (torch.tensor([[1.0, -1.0]], dtype=torch.float64), torch.tensor([0]))


def test_snip_of_two_linear_layers_is_what_it_is_by_hand():
    scores = snip(context(linear(W1, W2), [EXAMPLE]))
    # dL/dW2 = (-1/2, 1/2)^T h = [[-3/2, -1], [3/2, 1]]; dL/dh = (-1, 3/2), times x for dL/dW1.
    assert scores["second.weight"].tolist() == [[3.0, 1.0], [0.0, 2.0]]
    assert scores["first.weight"].tolist() == [[1.0, 2.0], [4.5, 1.5]]


def test_synflow_of_two_linear_layers_is_what_it_is_by_hand():
    scores = synflow(context(linear(W1, W2), shape=(1, 1, 2)))
    # |W1| 1 = (3, 4) arrives at the second layer and the columns of |W2| sum to (2, 3).
    assert scores["second.weight"].tolist() == [[6.0, 4.0], [0.0, 8.0]]
    assert scores["first.weight"].tolist() == [[2.0, 4.0], [9.0, 3.0]]


def test_magnitude_of_two_linear_layers_is_what_it_is_by_hand():
    scores = magnitude(context(linear(W1, W2)))
    assert scores["first.weight"].tolist() == [[1.0, 2.0], [3.0, 1.0]]
    assert scores["second.weight"].tolist() == [[2.0, 1.0], [0.0, 2.0]]


@pytest.mark.parametrize("temperature", [1.0, 200.0])
def test_grasp_of_a_linear_layer_is_what_it_is_by_hand(temperature):
    """x = (1, 2), W x = (4, 4). H = (diag(p) - p p^T) (x) x x^T / T^2 and g = (p - y) x^T / T, so
    H g = |x|^2 / T^3 * (-1/4, 1/4)^T x^T; the papers' -w * Hg is removed where largest, so
    w * Hg is kept where largest.
    """
    module = linear([[2.0, 1.0], [6.0, -1.0]])
    batch = (torch.tensor([[1.0, 2.0]], dtype=torch.float64), torch.tensor([0]))
    scores = grasp(context(module, [batch]), temperature=temperature)["first.weight"]
    by_hand = torch.tensor([[2 * -1.25, 1 * -2.5], [6 * 1.25, -1 * 2.5]], dtype=torch.float64)
    torch.testing.assert_close(scores * temperature**3, by_hand)
    magnitudes = grasp_abs(context(module, [batch]), temperature=temperature)["first.weight"]
    torch.testing.assert_close(magnitudes * temperature**3, by_hand.abs())


def test_the_default_temperature_is_that_of_the_papers():
    ours = context(cnn(), [random_batch(20)])
    close(grasp(ours), grasp(ours, temperature=200.0))
    ratio = (
        grasp(ours)["fc2.weight"].abs().sum()
        / grasp(ours, temperature=1.0)["fc2.weight"].abs().sum()
    )
    assert float(ratio) < 1e-5  # about 200^-3: it is not left out


@pytest.mark.parametrize("batch_norm", ["train", "eval"])
def test_snip_is_the_derivative_with_respect_to_the_mask(batch_norm):
    """|dL/dm| at m = 1, by central differences in double precision."""
    module, batch = cnn(dtype=torch.float64), random_batch(12, dtype=torch.float64)
    scores = snip(context(module, [batch]), batch_norm=batch_norm)
    source = torch.Generator().manual_seed(1)
    for name, score in scores.items():
        for index in torch.randperm(score.numel(), generator=source)[:8].tolist():
            losses = []
            for factor in (1 + 1e-6, 1 - 1e-6):
                changed = copy.deepcopy(module).train(batch_norm == "train")
                with torch.no_grad():
                    dict(changed.named_parameters())[name].view(-1)[index] *= factor
                    losses.append(nn.functional.cross_entropy(changed(batch[0]), batch[1]))
            difference = float(losses[0] - losses[1]) / 2e-6
            assert float(score.view(-1)[index]) == pytest.approx(
                abs(difference), rel=1e-4, abs=1e-8
            )


def explicit_grasp(module, batch, temperature):
    """w * H g by the whole Hessian, over all kernels at once."""
    named = {name: p.detach() for name, p in module.named_parameters()}
    names = prunable_names(module)
    sizes = [named[name].numel() for name in names]

    def loss(flat):
        pieces = zip(names, flat.split(sizes), strict=True)
        kernels = {name: piece.view(named[name].shape) for name, piece in pieces}
        logits = torch.func.functional_call(module, {**named, **kernels}, (batch[0],))
        return nn.functional.cross_entropy(logits / temperature, batch[1])

    flat = torch.cat([named[name].flatten() for name in names])
    gradient = torch.autograd.functional.jacobian(loss, flat)
    hessian = torch.autograd.functional.hessian(loss, flat)
    pieces = zip(names, (flat * (hessian @ gradient)).split(sizes), strict=True)
    return {name: piece.view(named[name].shape) for name, piece in pieces}


def tiny_mlp(seed=0):
    """ReLU and biases, and few enough weights for a whole Hessian."""
    config = NetworkConfig("mlp", INITIALIZATION, {"widths": [6, 5]})
    return build(config, (1, 2, 3), 4, seed).double()


@pytest.mark.parametrize("temperature", [1.0, 3.0, 200.0])
def test_grasp_is_the_weight_times_the_whole_hessian_times_the_gradient(temperature):
    module, batch = tiny_mlp(), random_batch(9, (1, 2, 3), 4, torch.float64)
    expected = explicit_grasp(module, batch, temperature)
    ours = context(module, [batch])
    close(grasp(ours, temperature=temperature), expected, 1e-9)
    close(grasp(ours, temperature=temperature, reduction="summed"), expected, 1e-9)
    magnitudes = {name: score.abs() for name, score in expected.items()}
    close(grasp_abs(ours, temperature=temperature), magnitudes, 1e-9)


def test_grasp_keeps_what_carries_the_gradient_flow():
    """Removing the best-scored weight lowers |g|^2 to first order, removing the worst raises it."""
    module, batch = tiny_mlp(), random_batch(9, (1, 2, 3), 4, torch.float64)
    scores = grasp(context(module, [batch]), temperature=1.0)
    flat = torch.cat([score.flatten() for score in scores.values()])
    assert float(flat.min()) < 0 < float(flat.max())

    def flow(name, index, factor):
        changed = copy.deepcopy(module)
        named = dict(changed.named_parameters())
        with torch.no_grad():
            named[name].view(-1)[index] *= factor
        loss = nn.functional.cross_entropy(changed(batch[0]), batch[1])
        gradients = torch.autograd.grad(loss, [named[n] for n in scores])
        return float(sum(g.square().sum() for g in gradients))

    for name, score in scores.items():
        for index in (int(score.argmax()), int(score.argmin())):
            # d|g|^2/dw = 2 H g, so shrinking a weight by a factor 1 - e costs 2 e w (H g).
            lost = (flow(name, index, 1 + 1e-5) - flow(name, index, 1 - 1e-5)) / 4e-5
            assert lost == pytest.approx(float(score.view(-1)[index]), rel=1e-4)


def test_grasp_abs_is_the_magnitude_of_grasp_also_over_several_batches():
    """As in the authors' code, which adds the scores of batches with their signs."""
    module, batch = cnn(dtype=torch.float64), random_batch(30, dtype=torch.float64)
    for batches in ([batch], halves(batch, 11)):
        ours = context(module, batches)
        close(grasp_abs(ours), {name: score.abs() for name, score in grasp(ours).items()}, 1e-12)
    apart = [grasp_abs(context(module, [part])) for part in halves(batch, 11)]
    means = {n: (11 * a + 19 * apart[1][n]) / 30 for n, a in apart[0].items()}
    both = grasp_abs(ours)
    assert float(sum(both[n].sum() for n in both)) < 0.9 * float(
        sum(m.sum() for m in means.values())
    )


def test_about_half_of_graspss_scores_are_negative():
    flat = torch.cat([s.flatten() for s in grasp(context(cnn(), [random_batch(50)])).values()])
    assert 0.4 < float((flat < 0).double().mean()) < 0.6


# SynFlow's conservation (reference, section 7, item 1).


def vgg(seed=0, biases=False):
    """Frankle et al.'s VGG-16 in a tenth of its width; its biases are zero unless asked for."""
    options = {"conv_bias": True, "last_pool": "average", "width": 0.1}
    module = build(NetworkConfig("vgg16", INITIALIZATION, options), RGB32, 10, seed)
    source = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.endswith("bias"):
                size = parameter.shape
                # Of either sign, and large enough to matter, those of batch norm too.
                parameter.copy_(
                    torch.randn(size, generator=source) * 0.3 if biases else 0 * parameter
                )
    return module


def flow_sums(module):
    """R by a plain forward pass, and the sum of the scores of every parameter by name."""
    names = [name for name, _ in module.named_parameters()]
    scores = synflow(context(module, masks=everything(module, names), shape=RGB32))
    positive = copy.deepcopy(module).double().eval()
    with torch.no_grad():
        for parameter in positive.parameters():
            parameter.copy_(parameter.abs())
        total = positive(torch.ones(1, *RGB32, dtype=torch.float64)).sum()
    return float(total), {name: float(score.sum()) for name, score in scores.items()}


def test_synflow_is_conserved_by_every_layer_of_a_chain_without_biases():
    total, sums = flow_sums(vgg())
    kernels = [name for name in sums if name.endswith("weight")]
    assert len(kernels) == 14 + 13  # kernels, and a scale beside each convolution
    for name in kernels:
        assert sums[name] == pytest.approx(total, rel=1e-6), name


def test_what_synflow_loses_on_its_way_through_a_chain_the_biases_bring():
    """S_l and all bias scores at or after layer l make R."""
    total, sums = flow_sums(vgg(biases=True))
    names = list(sums)  # in the order of the forward pass, each bias after its weight
    for place, name in enumerate(names):
        if name.endswith("weight"):
            biases = sum(sums[n] for n in names[place:] if n.endswith("bias"))
            assert sums[name] + biases == pytest.approx(total, rel=1e-9), name
    assert sums[names[0]] < 0.95 * total  # the biases did matter


def test_synflow_is_conserved_by_every_cut_of_a_residual_network():
    module = build(NetworkConfig("resnet20", INITIALIZATION), RGB32, 10, seed=0)
    with torch.no_grad():
        module.fc.bias.zero_()
    total, sums = flow_sums(module)
    whole = ["conv.weight", "norm.weight", "fc.weight"]
    for name in whole:
        assert sums[name] == pytest.approx(total, rel=1e-6), name
    for stage in (1, 2):
        block = f"stages.{stage}.0"
        for main in ("conv1", "norm1", "conv2", "norm2"):
            for shortcut in ("shortcut.0", "shortcut.1"):
                cut = sums[f"{block}.{main}.weight"] + sums[f"{block}.{shortcut}.weight"]
                assert cut == pytest.approx(total, rel=1e-6), (block, main, shortcut)
                assert 0 < sums[f"{block}.{shortcut}.weight"] < 0.5 * total
    # Beside a shortcut without weights a block carries only a part.
    assert sums["stages.0.0.conv1.weight"] == pytest.approx(
        sums["stages.0.0.conv2.weight"], rel=1e-6
    )
    assert sums["stages.0.0.conv1.weight"] < 0.999 * total


def test_synflow_does_not_look_at_signs():
    module = vgg(biases=True)
    flipped = copy.deepcopy(module)
    with torch.no_grad():
        for i, parameter in enumerate(flipped.parameters()):
            parameter.mul_(-1 if i % 2 else 1).view(-1)[::3].mul_(-1)
    close(synflow(context(module, shape=RGB32)), synflow(context(flipped, shape=RGB32)), rtol=1e-12)


def test_synflow_works_in_double_precision():
    """R of a deep network is beyond float32; here each of three layers multiplies by 1e15."""
    module = build(NetworkConfig("mlp", options={"widths": [4, 4]}), (1, 1, 4), 2, seed=0)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.fill_(1e15 if name.endswith("weight") else 0)
    scores = synflow(context(module, shape=(1, 1, 4)))
    assert all(score.dtype == torch.float64 for score in scores.values())
    for name, score in scores.items():  # 4 inputs, 4, 4 hidden and 2 outputs: 128 equal paths
        assert float(score.sum()) == pytest.approx(128e45, rel=1e-6), name
    assert module.fc1.weight.dtype == torch.float32


def test_synflow_refuses_a_sum_of_outputs_that_is_not_finite():
    module = linear([[1e300]], [[1e300]])
    with pytest.raises(PruningError, match="sum of outputs is inf"):
        synflow(context(module, shape=(1, 1, 1)))


def test_synflow_uses_running_statistics_and_updates_none():
    """In training mode a batch of one image would be normalised to nothing."""
    module = cnn()
    module.norm1.running_var.fill_(4.0)
    scores = synflow(context(module))
    other = cnn()
    with torch.no_grad():
        other.norm1.weight.mul_(((1 + 1e-5) / (4 + 1e-5)) ** 0.5)
    close(scores, synflow(context(other)), rtol=1e-5)


# Several scoring batches.


def halves(batch, first):
    images, labels = batch
    return [(images[:first], labels[:first]), (images[first:], labels[first:])]


@pytest.mark.parametrize("score", [snip, grasp, grasp_abs])
def test_summed_scores_in_evaluation_mode_do_not_depend_on_the_split(score):
    module, batch = cnn(dtype=torch.float64), random_batch(30, dtype=torch.float64)
    options = {"batch_norm": "eval", "reduction": "summed"}
    whole = score(context(module, [batch]), **options)
    close(score(context(module, halves(batch, 11)), **options), whole)
    # One batch is one batch, whatever the reduction.
    close(score(context(module, [batch]), batch_norm="eval"), whole)


@pytest.mark.parametrize("reduction", ["per_batch", "summed"])
@pytest.mark.parametrize("score", [snip, grasp, grasp_abs])
def test_two_identical_batches_are_one(score, reduction):
    module, batch = cnn(dtype=torch.float64), random_batch(10, dtype=torch.float64)
    one = score(context(module, [batch]), reduction=reduction)
    close(score(context(module, [batch, batch]), reduction=reduction), one, 1e-9)


@pytest.mark.parametrize("score", [snip, grasp])
def test_per_batch_scores_are_means_over_images(score):
    """Also of batches of unequal size, and SNIP's magnitude is taken within each batch."""
    module, batch = cnn(dtype=torch.float64), random_batch(40, dtype=torch.float64)
    parts = halves(batch, 10)
    small, large = (score(context(module, [part])) for part in parts)
    both = score(context(module, parts))
    close(both, {name: 0.25 * small[name] + 0.75 * large[name] for name in both}, 1e-9)
    assert not torch.allclose(
        both["fc2.weight"], score(context(module, parts), reduction="summed")["fc2.weight"]
    )


def test_summed_snip_and_grasp_are_those_of_mean_gradients():
    """In evaluation mode, where the whole batch has the mean gradient and the mean Hessian."""
    module, batch = tiny_mlp(), random_batch(12, (1, 2, 3), 4, torch.float64)
    parts = context(module, halves(batch, 5))
    close(
        grasp(parts, temperature=2.0, reduction="summed"), explicit_grasp(module, batch, 2.0), 1e-9
    )


@pytest.mark.parametrize("score", [snip, grasp])
def test_the_mode_of_batch_norm_matters_and_is_training_unless_asked(score):
    ours = context(cnn(), [random_batch(50)])
    train, evaluation = score(ours, batch_norm="train"), score(ours, batch_norm="eval")
    close(score(ours), train)
    for name in train:
        assert not torch.allclose(train[name], evaluation[name], rtol=0.05), name


def test_scores_in_training_mode_are_of_batch_statistics():
    """Shifting and scaling all images is undone by the first batch norm, so the loss is the same
    and with it every score but that of the first kernel's gradient direction.
    """
    module, (images, labels) = cnn(dtype=torch.float64), random_batch(30, dtype=torch.float64)
    scores = snip(context(module, [(images, labels)]))
    scaled = snip(context(module, [(10 * images, labels)]))
    close(scaled, scores, 1e-4)  # apart from the epsilon in the denominator


# Precision.


@pytest.mark.parametrize("score", [snip, grasp])
def test_a_mask_does_not_depend_on_the_layout_of_the_images_in_memory(score):
    """In float32 the two layouts exchange a few weights of every hundred of this mask."""
    module = build(NetworkConfig("resnet20", INITIALIZATION), RGB32, 10, seed=0)
    images, labels = random_batch(24, (3, 16, 16))
    layouts = (images, images.contiguous(memory_format=torch.channels_last))
    assert not layouts[1].is_contiguous()
    first, second = (score(context(module, [(x, labels)], shape=RGB32)) for x in layouts)
    exact = score(context(copy.deepcopy(module).double(), [(images.double(), labels)]))
    for name in first:
        assert torch.equal(first[name], second[name])
        assert torch.equal(first[name], exact[name])
    masks = [select(scores, 0.1) for scores in (first, second)]
    assert all(torch.equal(masks[0][name], masks[1][name]) for name in first)


def test_batches_of_any_form_are_scored_in_double_precision():
    """Dicts, named tuples and whole numbers too, as tasks of one's own may have them."""
    Pair = namedtuple("Pair", ["images", "labels"])

    class Task(Images):
        def batch_examples(self, batch):
            return len(batch["pair"].labels)

        def scoring_loss(self, module, batch, temperature=1.0):
            pair = batch["pair"]
            assert pair.images.dtype == torch.float64
            assert pair.labels.dtype == torch.int64
            assert batch["note"] == "as it is"
            return super().scoring_loss(module, tuple(pair), temperature)

    module, (images, labels) = cnn(), random_batch(20)
    batch = {"pair": Pair(images, labels), "note": "as it is"}
    theirs = ScoreContext(module, everything(module), Task(GREY8), [batch])
    close(snip(theirs), snip(context(module, [(images, labels)])), 1e-12)


# What scores leave alone.


def snapshot(module):
    """Everything of a module that a forward or a backward pass could change."""
    return {
        "tensors": {name: tensor.clone() for name, tensor in module.state_dict().items()},
        "gradients": {
            n: p.grad if p.grad is None else p.grad.clone() for n, p in module.named_parameters()
        },
        "wanted": {name: p.requires_grad for name, p in module.named_parameters()},
        "modes": {name: m.training for name, m in module.named_modules()},
        "generator": torch.get_rng_state(),
    }


def assert_unchanged(module, before):
    after = snapshot(module)
    assert after["wanted"] == before["wanted"]
    assert after["modes"] == before["modes"]
    assert torch.equal(after["generator"], before["generator"])
    for name, tensor in before["tensors"].items():
        assert torch.equal(after["tensors"][name], tensor), name
    for name, gradient in before["gradients"].items():
        now = after["gradients"][name]
        assert (now is None) if gradient is None else torch.equal(now, gradient), name


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", registry.known("score"))
def test_a_score_changes_nothing(name, training):
    module = with_dropout().train(training)
    module.norm.train(not training)  # modes may differ between layers
    masks = everything(module)
    module.conv.bias.requires_grad_(False)
    module.fc.weight.requires_grad_(False)
    module.conv.weight.grad = torch.full_like(module.conv.weight, 7.0)
    masks["fc.weight"][0] = False
    batches = [random_batch(20)]
    kept = {n: m.clone() for n, m in masks.items()}, batches[0][0].clone()
    before = snapshot(module)
    function = registry.find("score", name)
    first = function(context(module, batches, masks))
    assert_unchanged(module, before)
    assert all(torch.equal(masks[n], kept[0][n]) for n in masks)
    assert torch.equal(batches[0][0], kept[1])
    # Results hang on to no graph, and are no views of the network.
    assert not any(score.requires_grad for score in first.values())
    for score in first.values():
        score.zero_()
    assert_unchanged(module, before)


@pytest.mark.parametrize("name", registry.known("score"))
def test_a_score_repeats_whatever_the_global_generator(name):
    module, batches = with_dropout(), [random_batch(20)]
    function = registry.find("score", name)
    torch.manual_seed(1)
    first = function(context(module, batches, seed=3, purpose=("prune", 1)))
    torch.manual_seed(2)
    again = function(context(module, batches, seed=3, purpose=("prune", 1)))
    assert list(first) == ["conv.weight", "fc.weight"]
    assert all(torch.equal(first[n], again[n]) for n in first)
    others = [
        function(context(module, batches, seed=4, purpose=("prune", 1))),
        function(context(module, batches, seed=3, purpose=("prune", 2))),
    ]
    draws = name in ("random", *LOOKS_AT_DATA)  # itself, or in dropout
    for other in others:
        assert torch.equal(first["fc.weight"], other["fc.weight"]) != draws


@pytest.mark.parametrize("name", registry.known("score"))
def test_a_score_has_the_shapes_and_names_of_the_masks_and_is_finite(name):
    module = cnn()
    masks = everything(module, ["fc1.weight", "norm1.weight", "conv2.weight"])
    scores = registry.find("score", name)(context(module, [random_batch(20)], masks))
    assert list(scores) == list(masks)
    for n, score in scores.items():
        assert score.shape == masks[n].shape
        assert torch.isfinite(score).all()


@pytest.mark.parametrize("garbage", [123.0, float("nan"), float("inf")])
@pytest.mark.parametrize("name", [n for n in registry.known("score") if n != "random"])
def test_a_masked_weight_counts_as_zero_whatever_its_value(name, garbage):
    module = cnn()
    masks = everything(module)
    source = torch.Generator().manual_seed(5)
    for mask in masks.values():
        mask.copy_(torch.rand(mask.shape, generator=source) < 0.5)
    clean, dirty = copy.deepcopy(module), copy.deepcopy(module)
    with torch.no_grad():
        for n, mask in masks.items():
            dict(clean.named_parameters())[n][~mask] = 0
            dict(dirty.named_parameters())[n][~mask] = garbage
    function, batches = registry.find("score", name), [random_batch(20)]
    scores = function(context(dirty, batches, masks))
    expected = function(context(clean, batches, everything(module)))
    for n, mask in masks.items():
        assert (scores[n][~mask] == 0).all()
        assert torch.equal(scores[n], expected[n])
        assert (scores[n][mask] != 0).any()


def test_random_scores_are_uniform_and_independent():
    module = linear(torch.zeros(40, 100).tolist(), torch.zeros(10, 40).tolist())
    scores = random(context(module, seed=1, purpose=("one_shot", 1)))
    values = scores["first.weight"].flatten()
    assert 0 <= float(values.min()) < 0.01
    assert 0.99 < float(values.max()) < 1
    assert float(values.mean()) == pytest.approx(1 / 2, abs=4 / (12 * 4000) ** 0.5)
    assert float(values.var()) == pytest.approx(1 / 12, abs=0.006)
    assert not torch.equal(scores["second.weight"].flatten(), values[:400])
    pair = torch.stack([values[:-1], values[1:]])
    assert abs(float(pair.corrcoef()[0, 1])) < 4 / 4000**0.5


@pytest.mark.parametrize("name", LOOKS_AT_DATA)
def test_a_score_of_data_without_images_says_what_to_set(name):
    with pytest.raises(
        PruningError, match=rf"'{name}' looks at training data, and its sample has none"
    ):
        registry.find("score", name)(context(cnn()))


@pytest.mark.parametrize("name", LOOKS_AT_DATA)
def test_unknown_options_of_scores_are_named(name):
    function, ours = registry.find("score", name), context(cnn(), [random_batch(4)])
    with pytest.raises(PruningError, match="batch-norm mode 'trian'. Did you mean 'train'"):
        function(ours, batch_norm="trian")
    with pytest.raises(PruningError, match="reduction.*'sum'.*Known: per_batch, summed"):
        function(ours, reduction="sum")
