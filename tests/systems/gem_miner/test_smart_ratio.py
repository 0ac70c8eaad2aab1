"""Random masks whose layers have densities by a rule, against the counts of the reference."""

import pytest
import torch

from pruning.errors import PruningError
from pruning.masks import mask as masking
from pruning.models.build import NetworkConfig, build, prunable_names
from pruning.systems.gem_miner.smart_ratio import budgets, smart_ratio

BARE = {"norm_affine": False, "classifier_bias": False}


def sizes(name, **options):
    module = build(NetworkConfig(name, options=options | BARE), (3, 32, 32), 10, None)
    weights = dict(module.named_parameters())
    return [weights[n].numel() for n in prunable_names(module)]


@pytest.fixture(scope="module")
def resnet20():
    return sizes("resnet20", shortcut="identity")


@pytest.mark.parametrize(
    ("density", "total", "first", "last"),
    [
        # Reference, section 3: kept weights; kept shares of the first and the last convolution.
        (0.0059, 1_574, 3.70, 0.054),
        (0.0144, 3_857, 9.95, 0.144),
        (0.0372, 9_972, 26.85, 0.382),
        (0.05, 13_407, 36.11, 0.518),
        (0.20, 53_662, 100.0, 2.10),
        (0.50, 134_160, 100.0, 5.25),  # fourteen layers are full
    ],
)
def test_smart_ratios_counts_are_those_of_the_reference(resnet20, density, total, first, last):
    kept = budgets(resnet20, density)
    assert sum(kept) == total
    assert kept[-1] == 0.3 * 640
    assert (kept[:14] == resnet20[:14]) == (density == 0.5)
    assert 100 * kept[0] / resnet20[0] == pytest.approx(first, abs=0.006)
    assert 100 * kept[-2] / resnet20[-2] == pytest.approx(last, abs=0.006)


def test_smart_ratios_layers_at_1_44_percent_are_those_of_the_authors_file(resnet20):
    kept = [100 * k / n for k, n in zip(budgets(resnet20, 0.0144), resnet20, strict=True)]
    published = {1: 9.95, 2: 9.11, 4: 7.34, 8: 4.36, 13: 1.73, 14: 1.34, 16: 0.72, 18: 0.29,
                 19: 0.14, 20: 30.00}  # fmt: skip
    assert {layer: round(kept[layer - 1], 2) for layer in published} == published


def test_smart_ratio_for_vgg_divides_by_the_square_of_the_depth():
    layers = [100, 200, 400, 50]
    ratios = [20 / 1, 12 / 4, 6 / 9]
    scale = (0.1 * 750 - 15) / sum(r * n for r, n in zip(ratios, layers, strict=False))
    expected = [int(r * scale * n) for r, n in zip(ratios, layers, strict=False)]
    assert budgets(layers, 0.1, "quadratic_over_depth") == [*expected, 15]
    vgg = sizes("vgg16", last_pool="average")
    assert 0 <= 0.05 * sum(vgg) - sum(budgets(vgg, 0.05, "quadratic_over_depth")) < len(vgg)


def test_smart_ratio_masks_keep_exactly_the_budgets_at_random_places(make_task):
    task = make_task("small_cnn")
    state = task.initial_state(0)
    masks = smart_ratio(task, state, density=0.2, seed=1, purpose=("a",)).masks
    names = task.prunable()
    layers = [state.weights[name].numel() for name in names]
    assert list(masks) == names
    assert [int(masks[n].sum()) for n in names] == budgets(layers, 0.2)
    again = smart_ratio(task, state, density=0.2, seed=1, purpose=("a",))
    other = smart_ratio(task, state, density=0.2, seed=2, purpose=("a",)).masks
    assert again.density == 0.2
    assert all(torch.equal(masks[n], again.masks[n]) for n in names)
    assert not torch.equal(masks["fc1.weight"], other["fc1.weight"])
    with pytest.raises(PruningError, match="dense state"):
        smart_ratio(task, state.masked(masks), density=0.1)
    with pytest.raises(PruningError, match="lies in"):
        smart_ratio(task, state, density=0)


def test_densities_that_smart_ratio_cannot_have_say_why(resnet20):
    with pytest.raises(PruningError, match="30% of the last layer, which is more than density"):
        budgets(resnet20, 0.0005)
    with pytest.raises(PruningError, match="cannot hold the rest of density 1"):
        budgets(resnet20, 1.0)
    with pytest.raises(PruningError, match="at least two"):
        budgets([10], 0.5)
    with pytest.raises(PruningError, match="Did you mean 'quadratic'"):
        budgets(resnet20, 0.5, "quadratics")


def test_an_impossible_density_names_the_study(make_task):
    task = make_task()
    with pytest.raises(PruningError, match=r"test task \(gem_miner.densities\): .*Prune less"):
        smart_ratio(task, task.initial_state(0), density=1e-4)


def test_a_random_subnetwork_is_a_score_of_the_ground(make_task):
    from pruning.masks.weights import prune_weights

    task = make_task("small_cnn")
    found = prune_weights(task, task.initial_state(0), density=0.1, score="random", seed=3)
    assert masking.counts(found.masks) == (359, 3_592)
