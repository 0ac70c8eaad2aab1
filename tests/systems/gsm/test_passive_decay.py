"""Weights that only decay, against the published setting and against the recurrence."""

import math

import numpy as np
import pytest

from pruning.errors import PruningError
from pruning.systems.gsm.passive_decay import iterations_to, rate, trajectory

SETTING = (5e-3, 5e-4)  # learning rate and weight decay of the paper's example
THRESHOLDS = (0.5, 0.1, 1e-2, 1e-3, 1e-4)
ITERATIONS = {
    0: (277259, 921033, 1842066, 2763099, 3684132),
    0.9: (27729, 92091, 184173, 276254, 368336),
    0.95: (13869, 46026, 92033, 138040, 184047),
    0.98: (5561, 18356, 36662, 54968, 73274),
    0.99: (2805, 9079, 18054, 27029, 36004),
}


@pytest.mark.parametrize("momentum", ITERATIONS)
def test_the_whole_table_of_iterations(momentum):
    found = tuple(iterations_to(threshold, momentum, *SETTING) for threshold in THRESHOLDS)
    assert found == ITERATIONS[momentum]


@pytest.mark.parametrize("momentum", [0, 0.5, 0.9, 0.99, 0.999])
@pytest.mark.parametrize("decay", [(0.05, 5e-4), (0.03, 1e-3), (0.5, 0.1), (0.9, 1.0)])
@pytest.mark.parametrize("threshold", [2.0, 1.0, 0.99, 0.3, 1e-3])
def test_iterations_are_the_first_of_the_trajectory(momentum, decay, threshold):
    steps = iterations_to(threshold, momentum, *decay)
    sizes = np.abs(trajectory(momentum, *decay, steps + 5))
    assert steps == np.flatnonzero(sizes <= threshold)[0]


def test_trajectory_by_hand():
    # z: 0.2, 0.1 + 0.2 * 0.9, ...; w: 1, 1 - 0.5 * 0.2, ...
    found = trajectory(0.5, 0.5, 0.2, 2)
    assert found == pytest.approx([1, 0.9, 0.9 - 0.5 * 0.28])
    assert found.dtype == np.float64
    assert trajectory(0.5, 0.5, 0.2, 2, start=-3) == pytest.approx(-3 * found)
    assert trajectory(0.9, *SETTING, 0).tolist() == [1]


@pytest.mark.parametrize("momentum", [0, 0.9, 0.98, 0.99])
def test_rate_is_what_a_late_update_multiplies_by(momentum):
    weights = trajectory(momentum, *SETTING, 30_000)
    found = rate(momentum, *SETTING)
    assert weights[-1] / weights[-2] == pytest.approx(found, abs=1e-12)
    decay = SETTING[0] * SETTING[1]
    assert found**2 - (1 + momentum - decay) * found + momentum == pytest.approx(0, abs=1e-15)
    assert 1 - found == pytest.approx(decay / (1 - momentum), rel=0.04)


def test_rate_of_a_weight_that_swings_is_a_modulus():
    sizes = np.abs(trajectory(0.9, 0.5, 0.1, 4000))  # complex roots
    envelope = [sizes[start : start + 200].max() for start in (1000, 3000)]
    assert (envelope[1] / envelope[0]) ** (1 / 2000) == pytest.approx(rate(0.9, 0.5, 0.1), abs=1e-4)
    assert rate(0.9, 0.5, 0.1) == math.sqrt(0.9)


def test_what_never_shrinks_is_refused():
    with pytest.raises(PruningError, match="Momentum 1 is not from 0 to below 1"):
        trajectory(1, *SETTING, 5)
    with pytest.raises(PruningError, match="weight decay is 0; passive updates shrink"):
        rate(0.9, 0.1, 0)
    with pytest.raises(PruningError, match="weight decay is 2"):
        iterations_to(0.5, 0.9, 2, 1)
    with pytest.raises(PruningError, match="threshold of 0 is never reached"):
        iterations_to(0, 0.9, *SETTING)
