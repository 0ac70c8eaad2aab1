"""How many weights are kept, against the counts of the reference: no training."""

import math

import pytest
import torch

from pruning.errors import PruningError
from pruning.models.build import NetworkConfig, build, prunable_names
from pruning.seeds import generator
from pruning.systems.gem_miner import schedule
from pruning.systems.gem_miner.selection import freeze, share, thresholds

BARE = {"norm_affine": False, "classifier_bias": False}


def sizes(name, **options):
    module = build(NetworkConfig(name, options=options | BARE), (3, 32, 32), 10, None)
    weights = dict(module.named_parameters())
    return [weights[n].numel() for n in prunable_names(module)]


@pytest.fixture(scope="module")
def resnet20():
    return sizes("resnet20", shortcut="identity")


@pytest.mark.parametrize(
    ("density", "epochs", "period", "count", "share"),
    [
        # Reference, section 1.4: n_prune, and rho to five places.
        (0.0059, 150, 5, 29, 0.16221),
        (0.0144, 150, 5, 29, 0.13604),
        (0.0372, 150, 5, 29, 0.10729),
        (0.20, 150, 5, 29, 0.05399),
        (0.0059, 150, 8, 18, 0.24810),
        (0.50, 150, 8, 18, 0.03778),
        (0.014, 150, 10, 14, 0.26281),
        (0.023, 150, 10, 14, 0.23620),
        (0.055, 150, 10, 14, 0.18712),
        (0.20, 150, 10, 14, 0.10860),
        (0.005, 200, 5, 39, 0.12703),
        (0.014, 200, 5, 39, 0.10368),
        (0.025, 200, 5, 39, 0.09025),
        (0.05, 200, 5, 39, 0.07394),
        (0.014, 300, 5, 59, 0.06980),
        (0.05, 300, 5, 59, 0.04951),
        (0.20, 300, 5, 59, 0.02691),
        (0.0144, 3000, 150, 19, 0.20),
    ],
)
def test_events_and_what_each_removes(density, epochs, period, count, share):
    assert schedule.events(epochs, period) == count
    when = [epoch for epoch in range(epochs) if schedule.is_event(epoch, period)]
    assert when == [period * k for k in range(1, count + 1)]
    places = 2 if period == 150 else 5
    assert schedule.removed_share(density, epochs, period) == pytest.approx(
        share, abs=0.51 * 10**-places
    )


@pytest.mark.parametrize(
    ("prunable", "density", "epochs", "period", "left"),
    [
        (268_336, 0.50, 150, 8, 134_161),
        (268_336, 0.0372, 150, 5, 9_977),
        (268_336, 0.0144, 150, 5, 3_861),
        (268_336, 0.0059, 150, 5, 1_580),
        (14_715_584, 0.005, 200, 5, 73_574),
        (2_261_824, 0.014, 300, 5, 31_659),
        (1_463_984, 0.014, 150, 10, 20_493),
    ],
)
def test_weights_left_at_the_end(prunable, density, epochs, period, left):
    counts = schedule.left_after(prunable, density, epochs, period)
    assert counts[-1] == left
    rho = schedule.removed_share(density, epochs, period)
    before = [prunable, *counts[:-1]]
    assert counts == [n - schedule.removed_count(rho, n) for n in before]


def test_freezing_resnet20s_scores_leaves_what_the_schedule_says(resnet20):
    """Real tensors, ranked over all layers together."""
    source = torch.Generator().manual_seed(0)
    # A permutation instead of draws: no two scores tie.
    order = (torch.randperm(sum(resnet20), generator=source) + 1).double() / sum(resnet20)
    scores = list(order.split(resnet20))
    flags = [torch.ones_like(score, dtype=torch.bool) for score in scores]
    rho = schedule.removed_share(0.0144, 150, 5)
    counts = []
    for _ in range(29):
        left = sum(int(flag.sum()) for flag in flags)
        after = freeze(scores, flags, schedule.removed_count(rho, left))
        assert all((new <= old).all() for new, old in zip(after, flags, strict=True))
        flags = after
        counts.append(sum(int(flag.sum()) for flag in flags))
    assert counts == schedule.left_after(268_336, 0.0144, 150, 5)
    assert counts[-1] == 3_861
    kept = torch.cat([s[f] for s, f in zip(scores, flags, strict=True)])
    assert float(kept.min()) == pytest.approx(1 - 3_860 / 268_336)  # the largest of all


def test_every_score_that_ties_goes_and_frozen_ones_do_not_count(caplog):
    scores = [torch.tensor([0.0, 0.0, 0.3]), torch.tensor([0.0, 0.9])]
    flags = [torch.tensor([True, True, True]), torch.tensor([False, True])]
    first, second = freeze(scores, flags, 1)
    assert first.tolist() == [False, False, True]
    assert second.tolist() == [False, True]
    first, second = freeze(scores, flags, 1, "largest")
    assert first.tolist() == [True, True, True]
    assert second.tolist() == [False, False]
    assert freeze(scores, flags, 0) == flags
    assert not any(flag.any() for flag in freeze(scores, flags, 4))
    assert "froze every weight: all scores that were left were 0.9, so nothing" in caplog.text


def test_a_search_too_short_to_freeze_says_so():
    assert schedule.removed_share(1.0, 3, 5) == 0
    with pytest.raises(PruningError, match="5 epochs freezes nothing when its period is 5"):
        schedule.removed_share(0.5, 5, 5)


def test_masks_of_the_largest_scores_keep_what_the_authors_code_keeps(resnet20):
    """Reference, section 2: 1.8 % of ResNet-20, layer by layer, are 4,837 weights."""
    kept = [schedule.kept_in_layer(0.018, size) for size in resnet20]
    assert sum(kept) == 4_837
    assert f"{100 * sum(kept) / sum(resnet20):.5f}" == "1.80259"
    scores = [
        torch.randn(size, generator=generator(0, index)).double()
        for index, size in enumerate(resnet20)
    ]
    limits = thresholds(scores, 0.018, "layerwise")
    masks = [s.abs() >= t for s, t in zip(scores, limits, strict=True)]
    assert [int(mask.sum()) for mask in masks] == kept
    limits = thresholds(scores, 0.018, "global")
    masks = [s.abs() >= t for s, t in zip(scores, limits, strict=True)]
    assert sum(int(mask.sum()) for mask in masks) == 268_336 - math.ceil(0.982 * 268_336)
    with pytest.raises(PruningError, match="1e-06 keeps none of 268336 weights"):
        thresholds(scores, 1e-6, "global")
    assert share(masks) == sum(int(mask.sum()) for mask in masks) / 268_336


def test_the_gradual_density_steps_when_periods_end_and_meets_its_target():
    rho = schedule.removed_share(0.0059, 150, 5)
    whole = [schedule.gradual_density(rho, epoch, 5) for epoch in range(-1, 150)]
    assert whole[:6] == [1 - rho] * 6  # before the first event
    assert all(whole[e] == whole[e + 1] for e in range(150) if not schedule.is_event(e, 5))
    at = {e: schedule.gradual_density(rho, e, 5) for e in range(150) if schedule.is_event(e, 5)}
    assert at[5] == pytest.approx(1 - rho)  # the first event changes nothing
    assert at[10] == pytest.approx((1 - rho) ** 2)
    assert at[145] == pytest.approx(0.0059)
    assert list(at.values()) == sorted(at.values(), reverse=True)


@pytest.mark.parametrize("period", [1, 2, 5])
def test_the_gradual_density_ends_at_the_target_whatever_the_period(period):
    rho = schedule.removed_share(0.02, 40, period)
    assert schedule.gradual_density(rho, 39, period) == pytest.approx(0.02)
