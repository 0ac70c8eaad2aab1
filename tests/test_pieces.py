"""Rates in pieces of steps: GNMT's published schedule to the step, and what is refused."""

from dataclasses import replace
from fractions import Fraction

import pytest

from pruning.data.sentence_batching import SentenceBatching
from pruning.errors import PruningError
from pruning.training.recipe import OptimizerConfig, Recipe, Timeline
from pruning.training.schedules import Pieces, schedule_from_dict

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
        ({"climb_steps": -1}, "warm-up"),
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
