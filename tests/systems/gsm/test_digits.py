"""What GSM is claimed to do, seen on the digits with three seeds (reference, section 9).

LeNet-300-100 on 8x8 images at 60x, as in the reference's section 12 with half as many steps and
twice the weight decay.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import spearmanr

from pruning.data.splits import load
from pruning.data.validation import Validation
from pruning.masks import mask as masking
from pruning.models.config import NetworkConfig
from pruning.systems.gsm.training import shrinkage, train_gsm
from pruning.systems.gsm.zeroing import keep_largest, sensitivity
from pruning.training.classification import Classification
from pruning.training.dense import train_dense
from pruning.training.evaluate import evaluate_split
from pruning.training.pruned import train_pruned
from pruning.training.recipe import Recipe
from pruning.training.state import load_into

SEEDS = (0, 1, 2)
DENSITY = 1 / 60
STEPS_PER_EPOCH = 10


def recipe(steps, rate, decay, milestones, optimizer="sgd", **options):
    return Recipe.from_dict(
        {
            "epochs": steps / STEPS_PER_EPOCH,
            "batches": {"size": 128, "epoch_boundary": "drop"},
            "optimizer": {
                "name": optimizer,
                "weight_decay": decay,
                "decay_exclude": ["bias"],
                "options": options,
            },
            "schedule": {
                "learning_rate": rate,
                "milestones": [part * steps / STEPS_PER_EPOCH for part in milestones],
            },
        }
    )


BASE = recipe(1500, 0.03, 5e-4, (0.6, 0.8), momentum=0.9)


def by_gsm(momentum=0.99, **options):
    options |= {"momentum": momentum, "nesterov": True, "density": DENSITY}
    return recipe(3000, 0.03, 2e-3, (0.57, 0.71, 0.86), "gsm", **options)


@dataclass
class Replicate:
    """One seed: accuracies in percent."""

    base: float
    straight: float
    gsm: dict
    tickets: dict
    masks: dict
    damage: dict


def accuracy(task, state):
    module = task.build()
    load_into(module, state)
    return 100 * evaluate_split(module, task, "test")["accuracy"]


def replicate(task, seed):
    base = train_dense(task, seed).final
    names = task.prunable()

    def largest(state):
        return keep_largest({name: state.weights[name] for name in names}, DENSITY)

    settings = {"0.99": {}, "0.98": {"momentum": 0.98}, "0.9": {"momentum": 0.9},
                "frozen": {"reselect": False}}  # fmt: skip
    runs = {
        name: train_gsm(task, base, by_gsm(**options), seed=seed)
        for name, options in settings.items()
    }
    masks = {"gsm": largest(runs["0.99"].state), "magnitude": largest(base)}
    start = task.initial_state(seed, "dense")
    lost = sensitivity(task, base, [0.02])
    return Replicate(
        base=accuracy(task, base),
        straight=accuracy(task, base.masked(masks["magnitude"])),
        gsm={name: run.metrics[-1] for name, run in runs.items()},
        tickets={
            name: 100 * train_pruned(task, mask, start, seed=seed, stream=(name,))
            .metrics[-1]["test_accuracy"]
            for name, mask in masks.items()
        },
        masks=masks,
        damage={row["layer"]: accuracy(task, base) - 100 * row["accuracy"] for row in lost},
    )  # fmt: skip


@pytest.fixture(scope="module")
def replicates(digits_file):
    data = load(digits_file, Validation("test", 0.0))
    network = NetworkConfig("lenet_300_100", "xavier_uniform")
    return [replicate(Classification(data, network, BASE), seed) for seed in SEEDS]


def mean(values):
    return float(np.mean(list(values)))


def before(replicate, run="0.99"):
    return 100 * replicate.gsm[run]["test_accuracy"]


def after(replicate, run="0.99"):
    return 100 * replicate.gsm[run]["zeroed_test_accuracy"]


def test_most_shrinkage_is_that_of_the_references_quick_check(digits):
    assert shrinkage(by_gsm().timeline(1352)) == pytest.approx(10.3, abs=0.5)


def test_zeroing_after_gsm_is_lossless_and_pruning_the_base_is_not(replicates):
    """Assertion 8."""
    assert abs(mean(before(r) - after(r) for r in replicates)) < 0.3
    assert all(abs(before(r) - after(r)) < 1 for r in replicates)
    assert all(r.base - r.straight > 20 for r in replicates)


def test_gsm_keeps_the_accuracy_of_the_base(replicates):
    """Assertion 9, with the margin of a short training and 445 test images (0.22 pp each)."""
    assert mean(after(r) - r.base for r in replicates) > -1.5


def test_gsm_tickets_win_over_magnitude_tickets(replicates):
    """Assertion 10."""
    assert mean(r.tickets["gsm"] - r.tickets["magnitude"] for r in replicates) > 0.5
    assert all(r.tickets["gsm"] > r.base - 4 for r in replicates)


def test_larger_momentum_leaves_more_small_weights_and_less_damage(replicates):
    """Assertion 11."""
    for r in replicates:
        shares = [r.gsm[run]["share_below_0.001"] for run in ("0.9", "0.98", "0.99")]
        assert shares[0] < 0.1
        assert shares[1] > 0.9
        assert shares[2] > 0.95
        assert shares[2] > shares[1] - 0.01  # both are almost all there are
    damage = {run: mean(before(r, run) - after(r, run) for r in replicates)
              for run in ("0.9", "0.98", "0.99")}  # fmt: skip
    assert damage["0.9"] > 5
    assert damage["0.9"] > damage["0.98"] - 0.3 >= damage["0.99"] - 0.6


def test_layers_are_pruned_unevenly_and_least_where_it_hurts(replicates):
    """Assertion 12: the last layer far denser than the first; ranks agree with sensitivity."""
    for r in replicates:
        density = {name: masking.density({name: mask}) for name, mask in r.masks["gsm"].items()}
        first, middle, last = density.values()
        assert last > 5 * first
        assert last > 5 * middle
    ranks = [
        spearmanr(
            [masking.density({name: mask}) for name, mask in r.masks["gsm"].items()],
            [r.damage[name] for name in r.masks["gsm"]],
        ).statistic
        for r in replicates
    ]
    assert mean(ranks) > 0.5


def test_reselection_beats_a_frozen_active_set(replicates):
    """Assertion 13."""
    assert mean(after(r) - after(r, "frozen") for r in replicates) > 0


def test_the_share_of_small_weights_ends_below_the_sparsity(replicates):
    """Assertion 14: 1 - 1/C is approached from below."""
    for r in replicates:
        assert 0.97 * (1 - DENSITY) < r.gsm["0.99"]["share_below_0.0001"] <= 1 - DENSITY
