"""What pruning at initialization keeps where (reference, sections 7 and 9), without any training.

The reference's numbers are of one draw of the weights each, and with SNIP and GraSP of one draw of
images, so tests compare means over a few seeds and allow for the draws; each tolerance says what
is behind it. Magnitude and SynFlow look at no data. SNIP and GraSP need pictures: Gaussian noise
instead gives other masks.
"""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pruning import registry
from pruning.data.scoring import ScoringBatches
from pruning.data.splits import Split, Splits
from pruning.masks import mask as masking
from pruning.masks.weights import prune, scored_network
from pruning.models.config import NetworkConfig
from pruning.models.paths import on_a_path
from pruning.scores import ScoreContext
from pruning.seeds import generator
from pruning.training.classification import Classification, one_image
from pruning.training.recipe import Batching, Recipe
from pruning.training.schedules import StepDecay

ARCHIVE = Path(__file__).parents[4] / "shared" / "data" / "cifar10" / "cifar10-jpeg.tar.xz"
RGB32 = (3, 32, 32)
VGG = {"conv_bias": True, "last_pool": "average"}

# Kept of each tensor at 90 % sparsity. ResNet-20: conv, then conv1, conv2 of each block, a shortcut
# after those of the first block of stages 2 and 3, fc. VGG-16: conv1 ... conv13, fc.
RESNET20 = {
    "snip": ".750 .494 .456 .461 .378 .356 .322 .259 .159 .615 .201 .180 .150 .128 .100 .062 .333 "
    ".058 .045 .036 .042 .892",
    "grasp": ".322 .213 .223 .234 .197 .182 .183 .157 .110 .336 .147 .153 .131 .114 .120 .077 .234 "
    ".084 .078 .075 .070 .533",
    "synflow": ".801 .460 .442 .411 .403 .382 .422 .266 .149 .129 .173 .185 .169 .157 .098 .053 "
    ".018 .053 .055 .046 .058 .592",
    "magnitude": ".683 .315 .307 .332 .311 .330 .311 .325 .160 .738 .159 .155 .159 .165 .161 .045 "
    ".640 .048 .047 .048 .045 .528",
}
VGG16 = {
    "snip": ".921 .667 .583 .497 .402 .283 .249 .166 .091 .073 .059 .043 .030 .673",
    "grasp": ".456 .332 .293 .263 .222 .169 .159 .126 .088 .085 .093 .080 .073 .547",
    "synflow": ".964 .731 .625 .505 .346 .230 .206 .124 .073 .070 .065 .064 .074 .820",
}


def numbers(text):
    return torch.tensor([float(number) for number in text.split()], dtype=torch.float64)


def colour_task(network, options, images, labels):
    """A network of Frankle et al. on these images."""
    train, none = Split(images, labels), Split(images[:0], labels[:0])
    data = Splits("colour", tuple("0123456789"), train, none, none, (0,) * 3, (1,) * 3, {})
    config = NetworkConfig(network, "kaiming_normal_uniform_scale", options)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    batches = Batching(128, normalization="given", mean=mean, std=std)
    return Classification(data, config, Recipe(160, batches, StepDecay(0.1, (80, 120))))


def without_images(network, options=None):
    images = torch.zeros(1, 32, 32, 3, dtype=torch.uint8)
    return colour_task(network, options or {}, images, torch.zeros(1, dtype=torch.int64))


@pytest.fixture(scope="module")
def resnet20():
    return without_images("resnet20")


@pytest.fixture(scope="module")
def vgg16():
    return without_images("vgg16", VGG)


@pytest.fixture(scope="module")
def pictures():
    """The first 30 training images of each class."""
    if not ARCHIVE.exists():
        pytest.skip("no CIFAR-10 images beside the checkout")
    found: dict[str, list] = {}
    with tarfile.open(ARCHIVE, mode="r|*") as archive:
        for item in archive:
            split, label, _ = item.name.split("/")[-3:] if item.isfile() else ("", "", "")
            if split != "train" or len(found.setdefault(label, [])) == 30:
                continue
            picture = Image.open(io.BytesIO(archive.extractfile(item).read()))
            found[label].append(np.asarray(picture.convert("RGB")))
            if len(found) == 10 and all(len(images) == 30 for images in found.values()):
                break
    images = np.stack([image for label in sorted(found) for image in found[label]])
    return torch.from_numpy(images), torch.arange(10).repeat_interleave(30)


def fractions(masks):
    return torch.stack([mask.double().mean() for mask in masks.values()])


def kept(masks):
    return [int(mask.sum()) for mask in masks.values()]


def mean_fractions(task, score, density, seeds, iterations=1):
    """Of each tensor, over seeds that draw weights, and images where the score looks at any."""
    selection = dict(iterations=iterations)
    return torch.stack(
        [
            fractions(prune(task, task.initial_state(s), density, score=score, **selection, seed=s))
            for s in seeds
        ]
    ).mean(0)


def assert_near(got, expected, absolute, relative=0.0):
    excess = (got - expected).abs() - absolute - relative * expected
    worst = int(excess.argmax())
    assert float(excess.max()) <= 0, f"tensor {worst}: {got[worst]:.3f}, not {expected[worst]:.3f}"


# Magnitude: of kaiming-normal weights what is kept follows from the fan-ins.


def normal_fractions(task, density):
    """Expected kept fractions of tensors of normals with variance 2 / fan_in, by bisection."""
    weights = task.initial_state(0).weights
    shapes = [weights[name].shape for name in task.prunable()]
    sizes = torch.tensor([float(shape.numel()) for shape in shapes], dtype=torch.float64)
    fan_in = torch.tensor([float(shape[1:].numel()) for shape in shapes], dtype=torch.float64)
    low, high = 0.0, 10.0
    for _ in range(100):
        threshold = (low + high) / 2
        share = torch.erfc(threshold * fan_in.sqrt() / 2)  # P(|w| > t), sd (2 / fan_in)^(1/2)
        low, high = (
            (threshold, high) if (share * sizes).sum() > density * sizes.sum() else (low, threshold)
        )
    return share, sizes


@pytest.mark.parametrize("network", ["resnet20", "vgg16"])
@pytest.mark.parametrize("density", [0.1, 0.02])
def test_what_magnitude_keeps_follows_from_the_fan_ins(network, density, request):
    task = request.getfixturevalue(network)
    share, sizes = normal_fractions(task, density)
    got = mean_fractions(task, "magnitude", density, range(2))
    # Five standard deviations of a binomial fraction, and the threshold's own little.
    assert_near(got, share, 5 * (share * (1 - share) / sizes / 2).sqrt() + 2e-4)


def test_magnitude_keeps_of_each_tensor_what_the_reference_has(resnet20, vgg16):
    share, sizes = normal_fractions(resnet20, 0.1)
    expected = numbers(RESNET20["magnitude"])
    # The reference's own draw: four binomial standard deviations, and its rounding.
    assert_near(share, expected, 4 * (share * (1 - share) / sizes).sqrt() + 6e-4)
    # Four draws of VGG-16 there.
    got = mean_fractions(vgg16, "magnitude", 0.1, range(2))
    assert 0.87 < got[0] < 0.90
    assert 0.51 < got[1] < 0.525
    assert_near(got[5:7], torch.full((2,), 0.195), 0.003)
    assert_near(got[8:13], torch.full((5,), 0.067), 0.001)
    assert 0.52 < got[13] < 0.57


def test_magnitude_starves_the_last_layers_of_vgg16_and_then_collapses(vgg16):
    state = vgg16.initial_state(0)
    last_five = kept(prune(vgg16, state, 0.002))[8:13]
    assert all(5 <= count <= 30 for count in last_five)  # 17, 14, 13, 13, 22 in the reference
    collapsed = prune(vgg16, state, 0.001)
    assert sum(kept(collapsed)[8:13]) < 15  # 0, 1, 0, 0, 3
    assert masking.empty(collapsed)
    assert masking.density(on_a_path(vgg16.build(), collapsed, one_image(RGB32))) == 0


# SynFlow.


@pytest.fixture(scope="module")
def resnet20_synflow(resnet20):
    """Masks at 90 % of two draws, a hundred rounds each."""
    selection = dict(iterations=100)
    return [
        prune(resnet20, resnet20.initial_state(seed), 0.1, score="synflow", **selection)
        for seed in (0, 1)
    ]


@pytest.fixture(scope="module")
def vgg16_synflow(vgg16):
    """Masks at 90 % after 10 rounds and, from there on, at 10^3 compression after 12 more.

    The method takes a hundred to either; fewer make it harder not to empty a layer.
    """
    state = vgg16.initial_state(0)
    tenth = prune(vgg16, state, 0.1, score="synflow", iterations=10)
    selection = dict(iterations=12)
    return tenth, prune(vgg16, state.masked(tenth), 0.001, score="synflow", **selection)


def test_synflow_keeps_of_resnet20_what_the_reference_has(resnet20_synflow):
    got = torch.stack([fractions(masks) for masks in resnet20_synflow]).mean(0)
    # Batch-norm scales of U(0, 1) make whole channels strong or weak, so that draws differ: in conv
    # by 0.05, in stage 1 by 0.08, in the shortcut of stage 2 by 0.03, elsewhere by 0.02.
    expected = numbers(RESNET20["synflow"])
    assert_near(got, expected, 0.02, 0.2)
    assert_near(got[10:16], expected[10:16], 0.03)
    assert_near(got[17:21], expected[17:21], 0.01)


def test_synflow_gives_projections_far_less_than_their_neighbours(resnet20_synflow):
    for masks in resnet20_synflow:
        names = list(masks)
        for stage in (1, 2):
            share = {
                n: float(masks[n].double().mean())
                for n in names
                if n.startswith(f"stages.{stage}.0.")
            }
            shortcut = share.pop(f"stages.{stage}.0.shortcut.0.weight")
            assert len(share) == 2
            assert shortcut < 0.95 * min(share.values())
        # Magnitude and SNIP do the opposite: a fan-in of 16 is small.
        assert float(masks["stages.2.0.shortcut.0.weight"].double().mean()) < 0.04


def test_inverted_synflow_leaves_no_path_through_resnet20(resnet20):
    selection = dict(iterations=100, keep="smallest")
    masks = prune(resnet20, resnet20.initial_state(0), 0.1, score="synflow", **selection)
    empty = masking.empty(masks)
    assert {"conv.weight", "fc.weight"} <= set(empty)
    assert {name for name in masks if name.startswith("stages.2.")} <= set(empty)
    assert {"stages.1.2.conv1.weight", "stages.1.2.conv2.weight"} <= set(empty)
    assert masking.counts(masks)[0] == 27_090
    assert masking.density(on_a_path(resnet20.build(), masks, one_image(RGB32))) == 0


def test_synflow_in_rounds_empties_no_layer_at_a_thousandfold_compression(vgg16_synflow, vgg16):
    _, masks = vgg16_synflow
    assert masking.counts(masks)[0] == 14_716
    assert masking.empty(masks) == []
    # As every layer carries the same flow, every layer keeps about a fourteenth.
    assert all(400 < count < 1600 for count in kept(masks))
    # Nearly all of it is on paths; what a round leaves without one, the next would take.
    effective = on_a_path(vgg16.build(), masks, one_image(RGB32))
    assert masking.counts(effective)[0] > 0.98 * 14_716


def test_synflow_in_one_shot_starves_and_empties_layers_of_vgg16(vgg16):
    """At 99 % it empties one of the 512-wide convolutions or nearly, at 99.8 % seven of them."""
    state = vgg16.initial_state(0)
    masks = prune(vgg16, state, 0.01, score="synflow")
    assert min(kept(masks)[8:13]) < 10  # of 2,359,296
    masks = prune(vgg16, state, 0.002, score="synflow")
    assert len(masking.empty(masks)) >= 6


def test_synflow_keeps_of_vgg16_what_the_reference_has(vgg16_synflow):
    got, expected = fractions(vgg16_synflow[0]), numbers(VGG16["synflow"])
    # A second convolution of 0.72 to 0.82 in four draws; layers of more weights differ less.
    assert_near(got, expected, 0.02, 0.12)
    assert_near(got[5:13], expected[5:13], 0.015)
    assert_near(got[8:13], expected[8:13], 0.006)


def test_the_sum_of_synflows_outputs_is_as_large_as_the_reference_says(resnet20, vgg16):
    """10^18 to 10^22 for VGG-16 and 10^20 to 10^25 for ResNet-20; a decade more for our draws."""
    for task, low, high in ((vgg16, 1e17, 1e23), (resnet20, 1e19, 1e26)):
        for seed in (0, 1):
            model, masks = scored_network(task, task.initial_state(seed))
            masks = {"fc.weight": masks["fc.weight"]}
            scores = registry.find("score", "synflow")(ScoreContext(model, masks, task))
            assert low < float(scores["fc.weight"].sum()) < high


# SNIP and GraSP, on pictures.


@pytest.fixture(scope="module")
def scores_of(pictures):
    """Scores of a network's first weights: (task, model, masks so far, scores), made once."""
    made = {}

    def make(network, score, seed=0, size=128, **options):
        key = (network, score, seed, size, *options.items())
        if key not in made:
            task = colour_task(network, VGG if network == "vgg16" else {}, *pictures)
            model, masks = scored_network(task, task.initial_state(seed))
            batches = ScoringBatches(
                task.data.train,
                task.normalize,
                classes=10,
                per_class=10,
                size=size,
                generator=generator(seed, "scoring images"),
            )
            context = ScoreContext(model, masks, task, batches, seed)
            made[key] = registry.find("score", score)(context, **options)
        return made[key]

    return make


def selected(scores, density, keep="largest"):
    sign = 1 if keep == "largest" else -1
    return masking.select({name: sign * score for name, score in scores.items()}, density)


def overlap(first, second):
    """Intersection over union of the kept weights at 90 %."""
    a, b = (torch.cat([m.flatten() for m in selected(s, 0.1).values()]) for s in (first, second))
    return float((a & b).sum() / (a | b).sum())


@pytest.mark.parametrize("score", ["snip", "grasp"])
def test_snip_and_grasp_keep_of_resnet20_what_the_reference_has(scores_of, score):
    seeds = (0, 1, 2) if score == "snip" else (0, 1)
    got = torch.stack([fractions(selected(scores_of("resnet20", score, s), 0.1)) for s in seeds])
    expected = numbers(RESNET20[score])
    # Draws differ by a fifth in stage 1, and in one draw all tensors of a stage move together.
    assert_near(got.mean(0), expected, 0.05, 0.25)
    assert_near(got.mean(0)[17:21], expected[17:21], 0.02)


@pytest.mark.parametrize("score", ["snip", "grasp", "synflow", "magnitude"])
def test_each_method_is_nearest_to_its_own_profile(score, scores_of, resnet20, resnet20_synflow):
    if score == "synflow":
        got = fractions(resnet20_synflow[0])
    elif score == "magnitude":
        got = mean_fractions(resnet20, score, 0.1, (0,))
    else:
        got = fractions(selected(scores_of("resnet20", score), 0.1))
    distance = {name: float((got - numbers(text)).abs().mean()) for name, text in RESNET20.items()}
    nearest, second = sorted(distance.values())[:2]
    assert distance[score] == nearest
    assert nearest < 0.7 * second


def test_snip_keeps_of_vgg16_what_the_reference_has(scores_of):
    got = fractions(selected(scores_of("vgg16", "snip"), 0.1))
    expected = numbers(VGG16["snip"])
    # Draws of the second convolution lie between 0.65 and 0.74, of the head between 0.67 and 0.75.
    assert_near(got, expected, 0.02, 0.12)
    assert_near(got[8:13], expected[8:13], 0.01)


def test_inverted_snip_starves_the_first_convolution_and_the_head_of_vgg16(scores_of):
    """.034, .009, 0, 0 of conv1 in the reference; unmodified .995, .975, .921, .826."""
    scores = scores_of("vgg16", "snip")
    for density, normal, most in (
        (0.7, 0.995, 0.05),
        (0.4, 0.975, 0.015),
        (0.1, 0.921, 0.003),  # five weights of 1,728
        (0.02, 0.826, 0.0),
    ):
        inverted = fractions(selected(scores, density, "smallest"))
        assert float(inverted[0]) <= most
        assert float(inverted[13]) < 0.3 * density
        assert float(fractions(selected(scores, density))[0]) == pytest.approx(normal, abs=0.04)
    # At 30 % conv1 is starved and not dead: chance accuracy has no excuse there.
    assert float(fractions(selected(scores, 0.7, "smallest"))[0]) > 0.01


def test_inverting_grasp_leaves_fractions_almost_unchanged_but_for_the_head(scores_of):
    scores = scores_of("vgg16", "grasp")
    normal = fractions(selected(scores, 0.1))
    inverted = fractions(selected(scores, 0.1, "smallest"))
    assert_near(inverted[:13], normal[:13], 0.005, 0.08)  # conv1: 1,728 weights
    assert float(normal[13]) == pytest.approx(0.547, abs=0.06)
    assert float(inverted[13]) == pytest.approx(0.268, abs=0.07)
    expected = numbers(VGG16["grasp"])
    assert_near(normal[:13], expected[:13], 0.02, 0.12)
    assert_near(normal[8:13], expected[8:13], 0.006)
    positive = torch.cat([(score > 0).flatten() for score in scores.values()]).double().mean()
    assert float(positive) == pytest.approx(0.5, abs=0.01)  # .502
    # The same weights are not kept: the other end has nothing in common.
    assert overlap(scores, {name: -score for name, score in scores.items()}) == 0


def test_what_decides_scores_decides_them_as_much_as_in_the_reference(scores_of):
    """Intersections over union at 90 %, where unrelated masks have 0.05. Five draws of ours differ
    by standard deviations of 0.03, 0.01, 0.06 and 0.04, and the reference is one more.
    """
    snip, grasp = scores_of("resnet20", "snip"), scores_of("resnet20", "grasp")
    for got, expected, margin in (
        (overlap(snip, scores_of("resnet20", "snip", batch_norm="eval")), 0.28, 0.1),
        (overlap(grasp, scores_of("resnet20", "grasp", batch_norm="eval")), 0.15, 0.05),
        (overlap(grasp, scores_of("resnet20", "grasp", temperature=1.0)), 0.60, 0.25),
        (overlap(snip, scores_of("resnet20", "snip", size=50)), 0.51, 0.15),
    ):
        assert got == pytest.approx(expected, abs=margin)
