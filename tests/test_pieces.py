"""Rates in pieces of steps: GNMT's published schedule to the step, and what is refused."""

from dataclasses import replace
from fractions import Fraction

import pytest

import pruning
from pruning.data.sentence_batching import SentenceBatching
from pruning.errors import PruningError
from pruning.systems.rewinding.method import retrain
from pruning.systems.rewinding.rules import RULES
from pruning.training.dense import train_dense
from pruning.training.recipe import OptimizerConfig, Recipe, Timeline
from pruning.training.schedules import CosineDecay, Pieces, StepDecay, schedule_from_dict
from tests.test_tasks import Regression

GNMT = {
    "shape": "pieces",
    "learning_rate": 0.002,
    "pieces": [[6472, 0.5], [7191, 0.25], [7910, 0.125], [8629, 0.0625], [8630, 0.125]],
    "climb_steps": 200,
    "climb": "exponential",
}
RECIPE = Recipe(
    epochs=5.0,
    batches=SentenceBatching(2048, 10, "both"),
    schedule=schedule_from_dict(GNMT),
    optimizer=OptimizerConfig("adam"),
    epoch_steps=1726,
)
TIMELINE = RECIPE.timeline(3_534_981)


def published(step):
    """Reference, section 2.5, as it is written there."""
    base = 0.002
    if step < 200:
        return base * 0.01 ** ((200 - step) / 200)
    start = int(8630 * 2 / 3)
    interval = int((8630 - start) / 4)
    assert (start, interval) == (5753, 719)
    if step >= 8630:
        return base / 8
    return base * 0.5 ** ((step - start) // interval) if step >= start else base


def test_every_step_of_gnmt_has_its_published_rate():
    rate = TIMELINE.schedule()
    for step in range(8800):
        assert rate(step) == pytest.approx(published(step), rel=1e-12), step
    assert rate(0) == pytest.approx(2e-5)
    drops = [step for step in range(201, 8700) if rate(step) != rate(step - 1)]
    assert drops == [6472, 7191, 7910, 8629, 8630]


def test_its_length_its_rewind_steps_and_the_rate_after_its_end():
    assert TIMELINE.total_steps == 8630
    for half_epochs in range(1, 11):
        assert TIMELINE.rewind_step(half_epochs / 2) == 863 * (10 - half_epochs)
    assert TIMELINE.last_learning_rate() == 0.00025
    assert TIMELINE.steps_per_pass == Fraction(3_534_981, 2048)


@pytest.mark.parametrize(
    ("method", "factors"),
    [
        ("lr_rewind", [0.25]),
        ("weight_rewind", [0.25]),
        ("fine_tune", [0.5]),
        ("low_lr_weight_rewind", [0.5]),
        ("reinit", [1.0, 0.25, 0.5]),  # a whole training, and on
    ],
)
def test_retrainings_end_with_the_schedule_or_go_on_as_it_says(method, factors):
    """Of 20 steps, the last alone at a quarter of the rate, and what follows at half of it."""
    given = Regression({"train": 160, "validation": 50, "test": 100})
    schedule = Pieces(0.1, ((19, 0.25), (20, 0.5)), climb_steps=5)
    given = replace(given, recipe=replace(given.recipe, epochs=2, schedule=schedule))
    dense = train_dense(given, 0, (1,))
    kept = {name: dense.final.weights[name].abs() for name in given.prunable()}
    done = retrain(
        given,
        RULES[method],
        masks=pruning.select(kept, 0.5),
        retrain_time=1,
        final=dense.final,
        rewind=dense.rewind[1],
    )
    rates = [row["learning_rate"] for row in done.metrics]  # of each epoch's last step
    assert rates == [0.1 * factor for factor in factors]


@pytest.mark.parametrize("schedule", [StepDecay(0.1, (2,)), CosineDecay(0.1, per="step")])
def test_after_other_schedules_the_rate_of_the_last_step_stays(schedule):
    timeline = Timeline(replace(RECIPE, epochs=2, epoch_steps=None, schedule=schedule), Fraction(9))
    rate = timeline.schedule()
    assert timeline.last_learning_rate() == rate(17) > 2 * rate(18)


def test_a_linear_climb_and_no_pieces():
    rate = Pieces(0.5, climb_steps=4).schedule(Fraction(10))
    assert [rate(step) for step in range(6)] == [0, 0.125, 0.25, 0.375, 0.5, 0.5]
    constant = Timeline(replace(RECIPE, schedule=Pieces(0.5)), Fraction(10))
    assert constant.last_learning_rate() == 0.5


def test_plain_values_come_back():
    again = Recipe.from_dict(RECIPE.to_dict())
    assert again == RECIPE
    assert again.schedule.pieces[0] == (6472, 0.5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pieces": [[5, 0.5], [5, 0.25]]}, "begin at rising steps"),
        ({"pieces": [[7, 0.5], [5, 0.25]]}, "begin at rising steps"),
        ({"pieces": [[0, 0.5]]}, "begin at rising steps"),
        ({"pieces": [[5, 0.0]]}, "factors .* must be positive"),
        ({"climb": "steep"}, "steep"),
        ({"pieces": [[5.5, 0.5]]}, "whole numbers from 1 on"),
        ({"pieces": [[float("inf"), 0.5]]}, "whole numbers from 1 on"),
        ({"pieces": [[5]]}, r"its first step and a factor, not \[\[5\]\]"),
        ({"climb_steps": -1}, "climb_steps are the whole steps of a climb, or 0; they are -1"),
        ({"climb_steps": 2.5}, "they are 2.5"),
        ({"climb_steps": 0}, "climb: exponential takes no steps. Say climb_steps too"),
        ({"milestones": [3]}, "'milestones' does not go with `shape: pieces`"),
        ({"warmup": 3}, "'warmup' does not go with `shape: pieces`"),
        ({"shape": "step"}, "does not go with `shape: step`"),
    ],
)
def test_impossible_pieces_are_refused(changes, message):
    with pytest.raises(PruningError, match=message):
        schedule_from_dict(GNMT | changes)


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (Pieces(1.0, ((8631, 0.5),)), "pieces: the training ends at step 8630, before step 8631"),
        (Pieces(1.0, climb_steps=8631), "climb_steps: the training ends at step 8630"),
    ],
)
def test_what_a_training_never_reaches_is_refused(schedule, message):
    with pytest.raises(PruningError, match=message):
        RECIPE.timeline(3_534_981).__class__(
            replace(RECIPE, schedule=schedule), Fraction(1726)
        ).schedule()
