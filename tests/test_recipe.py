"""Steps and schedules against the numbers of the references."""

from fractions import Fraction

import pytest

from pruning.errors import PruningError
from pruning.study.study import find_study
from pruning.training.recipe import Recipe
from pruning.training.schedules import StepDecay
from tests.conftest import REPOSITORY, SCHEMAS


def paper():
    study = find_study(
        "renda2020_resnet20", REPOSITORY / "config/studies", SCHEMAS / "study.schema.yaml"
    )
    return study, Recipe.from_dict(study.task["recipe"]).timeline(50_000)


def test_rewind_steps_of_renda2020():
    _, timeline = paper()
    times = (170, 150, 130, 110, 90, 70, 50, 30, 10, 182)
    steps = (4701, 12514, 20326, 28139, 35951, 43764, 51576, 59389, 67201, 0)
    assert tuple(map(timeline.rewind_step, times)) == steps
    assert timeline.steps_per_epoch == Fraction("390.625")
    assert timeline.total_steps == 71_108


def test_learning_rates_of_renda2020():
    _, timeline = paper()
    rate = timeline.schedule()
    assert [rate(s) for s in (0, 35_545)] == [0.1, 0.1]
    assert rate(35_546) == pytest.approx(0.01)
    assert rate(53_124) == pytest.approx(0.01)
    assert rate(53_125) == pytest.approx(0.001)
    assert rate(200_000) == pytest.approx(0.001)
    assert timeline.last_learning_rate() == rate(71_107)


def test_recipe_of_renda2020_value_by_value():
    study, _ = paper()
    recipe, network = study.task["recipe"], study.task["network"]
    assert recipe["optimizer"] == {
        "name": "sgd",
        "weight_decay": 2e-4,
        "bias_rate": 1,
        "decay_exclude": [],
        "options": {"momentum": 0.9, "nesterov": False},
    }
    assert recipe["batches"] == {
        "size": 128,
        "epoch_boundary": "straddle",
        "crop_padding": 4,
        "flip": True,
        "normalization": "per_image",
        "mean": [],
        "std": [],
        "resized_crop": None,
    }
    assert network["options"] == {"shortcut": "all_stages", "bn_momentum": 0.003, "bn_eps": 1e-5}
    assert network["initialization"] == "fan_in_truncated_normal"
    assert study.task["validation"] == {"source": "test", "fraction": 0.2}
    iterative = study.part("rewinding").modes["iterative"]
    levels = [pruning["density"] for pruning in iterative.prunings[: iterative.levels]]
    assert levels == pytest.approx([0.8**k for k in range(1, 11)])
    assert set(iterative.times) == {
        "lr_rewind", "weight_rewind", "fine_tune", "low_lr_weight_rewind"
    }  # fmt: skip
    assert set(iterative.times.values()) == {(10, 30, 50, 70, 90, 110, 130, 150, 170, 182)}


def test_warm_up_climbs_linearly_from_zero():
    rate = StepDecay(0.4, (30, 60), 0.1, warmup=5).schedule(Fraction(1251))
    assert rate(0) == 0
    assert rate(6255 // 2) == pytest.approx(0.2, rel=1e-3)
    assert rate(6255) == pytest.approx(0.4)
    assert rate(30 * 1251) == pytest.approx(0.04)


def test_impossible_values_are_refused():
    _, timeline = paper()
    for time in (0, -1, 182.5):
        with pytest.raises(PruningError, match=r"outside \(0, 182\]"):
            timeline.rewind_step(time)
    with pytest.raises(PruningError, match="rising order"):
        StepDecay(0.1, (5, 3))
    with pytest.raises(PruningError, match="positive"):
        StepDecay(0.0)
