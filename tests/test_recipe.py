"""Steps and schedules against the numbers of the references."""

import math
from fractions import Fraction

import pytest
import torch

from pruning.data.batching import Batching
from pruning.errors import PruningError
from pruning.study.study import find_study
from pruning.systems.system import Work
from pruning.training.recipe import Recipe, Timeline
from pruning.training.schedules import CosineDecay, StepDecay
from tests.conftest import REPOSITORY, SCHEMAS


def paper(name="renda2020_resnet20"):
    study = find_study(name, REPOSITORY / "config/studies", SCHEMAS / "study.schema.yaml")
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
    assert [rate(s) for s in (0, 35_546)] == [0.1, 0.1]
    assert rate(35_547) == pytest.approx(0.01)
    assert rate(53_125) == pytest.approx(0.01)
    assert rate(53_126) == pytest.approx(0.001)
    assert rate(200_000) == pytest.approx(0.001)
    assert timeline.last_learning_rate() == rate(71_107)


@pytest.mark.parametrize("name", ["resnet20", "resnet56", "resnet110", "vgg16"])
def test_all_of_renda2020_drop_after_the_boundaries_of_their_code(name):
    """int(390.625 * 91) and int(390.625 * 136), at which TensorFlow keeps the old rate."""
    _, timeline = paper(f"renda2020_{name}")
    boundaries = timeline.recipe.schedule.boundaries(timeline.steps_per_epoch)
    assert boundaries == [35_546 + 1, 53_125 + 1]


@pytest.mark.parametrize(
    ("steps_per_epoch", "at", "after"),
    [
        (Fraction("390.625"), [35_547, 53_125], [35_547, 53_126]),
        (Fraction(234), [21_294, 31_824], [21_295, 31_825]),
    ],
)
def test_a_rate_drops_no_step_before_its_epochs_are_over(steps_per_epoch, at, after):
    """91 epochs that straddle batches end within step 35,546, which is of the old rate."""
    milestones = (91, 136)
    assert StepDecay(0.1, milestones).boundaries(steps_per_epoch) == at
    assert StepDecay(0.1, milestones, boundary="after").boundaries(steps_per_epoch) == after
    rate = StepDecay(0.1, milestones).schedule(steps_per_epoch)
    assert [rate(at[0] - 1), rate(at[0])] == pytest.approx([0.1, 0.01])
    with pytest.raises(PruningError, match="'befor'.*Known: after, at"):
        StepDecay(0.1, boundary="befor")


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
    for rate in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(PruningError, match="positive"):
            StepDecay(rate)
        with pytest.raises(PruningError, match="positive"):
            CosineDecay(rate)
    for gamma in (0, -0.1, 1.5, math.inf, math.nan):
        with pytest.raises(PruningError, match="above 0 and at most 1"):
            StepDecay(0.1, (1,), gamma)
    for warmup in (-1, math.inf, math.nan):
        with pytest.raises(PruningError, match="warm-up"):
            StepDecay(0.1, warmup=warmup)
    for epochs in (0, math.inf, math.nan):
        with pytest.raises(PruningError, match="epochs must be positive"):
            Recipe(epochs, Batching(4), StepDecay(0.1))
    with pytest.raises(PruningError, match="no step"):
        Timeline(Recipe(1, Batching(4), StepDecay(0.1)), Fraction(0))


@pytest.mark.parametrize(("per", "exact"), [("epoch", True), ("step", False)])
def test_a_cosine_is_torchs(per, exact):
    rate = CosineDecay(0.3, per=per).schedule(Fraction(7), 10)
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.3)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10 if per == "epoch" else 70)
    for step in range(70):
        assert rate(step) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9, abs=1e-12)
        optimizer.step()
        if per == "step" or step % 7 == 6:
            theirs.step()
    assert rate(70) == pytest.approx(0, abs=1e-12)
    assert rate(0) == 0.3


def test_a_cosine_over_batches_that_straddle_epochs_changes_where_they_begin():
    rate = CosineDecay(1.0, warmup=1).schedule(Fraction(5, 2), 4)
    values = [rate(step) for step in range(10)]
    shape = [(1 + math.cos(math.pi * epoch / 4)) / 2 for epoch in (0, 0, 0, 1, 1, 2, 2, 2, 3, 3)]
    climb = [0, 0.4, 0.8, *[1] * 7]
    assert values == pytest.approx([a * b for a, b in zip(shape, climb, strict=True)])


def test_a_schedule_says_its_shape_and_takes_no_others_keys():
    recipe = Recipe(2, Batching(8), CosineDecay(0.1, per="step"))
    told = recipe.to_dict()
    assert told["schedule"] == {
        "shape": "cosine", "learning_rate": 0.1, "warmup": 0.0, "per": "step"
    }  # fmt: skip
    assert Recipe.from_dict(told) == recipe
    for wrong, message in (
        ({"shape": "cosine", "milestones": [1]}, "'milestones' does not go with `shape: cosine`"),
        ({"per": "step"}, "'per' does not go with `shape: step`"),
        ({"shape": "cosin"}, "Did you mean 'cosine'"),
        ({"shape": "cosine", "per": "week"}, "not 'week'"),
    ):
        with pytest.raises(PruningError, match=message):
            Recipe.from_dict(told | {"schedule": {"learning_rate": 0.1} | wrong})


IMAGENET = 1_281_167


def imagenet(**changes):
    """The recipe of Renda et al. (2020) for ImageNet, section 3 of the reference."""
    values = {
        "epochs": 90,
        "epoch_steps": 1251,
        "batches": {"size": 1024},
        "schedule": {"learning_rate": 0.4, "milestones": [30, 60, 80], "warmup": 5},
    }
    return Recipe.from_dict(values | changes).timeline(IMAGENET)


def test_imagenets_steps_are_those_of_the_authors_code():
    """The epochs of T and k are 1,251 steps, those of the rates 1,281,167 / 1,024."""
    timeline = imagenet()
    assert timeline.total_steps == 112_590
    times = range(9, 91, 9)
    assert [timeline.rewind_step(t) for t in times] == [1251 * (90 - t) for t in times]
    assert timeline.recipe.schedule.boundaries(timeline.steps_per_pass) == [37_535, 75_069, 100_092]
    rate = timeline.schedule()
    drops = [s for s in range(6_257, 112_590) if rate(s) != rate(s - 1)]
    assert drops == [37_535, 75_069, 100_092]
    assert [rate(s) for s in (6_256, 37_535, 75_069, 100_092)] == pytest.approx(
        [0.4, 0.04, 0.004, 0.0004], rel=1e-12
    )
    assert timeline.last_learning_rate() == pytest.approx(0.0004, rel=1e-12)


def test_imagenets_rate_climbs_in_epochs_of_the_data():
    rate = imagenet().schedule()
    assert rate(0) == 0
    for step in (1, 1251, 6_255):
        assert rate(step) == pytest.approx(0.4 * step / (IMAGENET / 1024) / 5, rel=1e-12)
    assert rate(6_255) < 0.4 == rate(6_256)  # the first step after 5 epochs of the data


def test_what_an_epoch_is_changes_neither_rates_nor_costs():
    """Only T, retrain times and the ends of epochs are counted otherwise."""
    one, other = imagenet(), imagenet(epoch_steps=None)
    assert other.total_steps == 112_602
    assert other.rewind_step(9) == int(112_602 - 9 * Fraction(IMAGENET, 1024))
    assert [one.schedule()(s) for s in range(0, 112_590, 97)] == [
        other.schedule()(s) for s in range(0, 112_590, 97)
    ]
    assert [one.epoch_end(e) for e in (1, 2, 90)] == [1251, 2502, 112_590]
    assert other.epoch_end(90) == 112_602
    assert Work.of(one, 112_590, IMAGENET).images == 112_590 * 1024


def test_a_cosine_ends_with_the_training_however_epochs_are_counted():
    schedule = {"shape": "cosine", "learning_rate": 0.1, "per": "step"}
    rate = imagenet(epochs=10, epoch_steps=863, schedule=schedule).schedule()
    assert rate(8_630) == pytest.approx(0, abs=1e-12)
    assert rate(4_315) == pytest.approx(0.05)


def test_an_explicit_length_goes_before_counted_epochs():
    timeline = imagenet(steps=100_500)
    assert timeline.total_steps == 100_500
    assert timeline.rewind_step(9) == 100_500 - 9 * 1251


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epoch_steps": 0}, "epoch_steps must be at least 1"),
        ({"epoch_steps": 600}, r"schedule.milestones: epoch 60 of the data .* ends at step 54000"),
        ({"epochs": 80, "epoch_steps": 1251}, "epoch 80 of the data is over at step 100091"),
        ({"epochs": 4}, "schedule.warmup: epoch 5 of the data"),
    ],
)
def test_a_schedule_that_the_counted_epochs_do_not_reach_is_refused(changes, message):
    with pytest.raises(PruningError, match=message):
        imagenet(**changes).schedule()


@pytest.mark.parametrize("name", ["resnet34", "resnet50"])
def test_renda2020s_studies_of_imagenet_have_these_steps(name):
    study = find_study(
        f"renda2020_{name}", REPOSITORY / "config/studies", SCHEMAS / "study.schema.yaml"
    )
    recipe = Recipe.from_dict(study.task["recipe"])
    timeline = recipe.timeline(IMAGENET)
    assert timeline.total_steps == 112_590
    assert timeline.recipe.schedule.boundaries(timeline.steps_per_pass) == [37_535, 75_069, 100_092]
    rate = timeline.schedule()
    assert rate(6_255) < rate(6_256) == 0.4
    assert {timeline.rewind_step(t) for t in study.kept_times} == {
        1251 * (90 - t) for t in range(9, 91, 9)
    }
    assert (recipe.precision, recipe.batch_norm_group) == ("bfloat16", 128)
    assert recipe.optimizer.options["momentum"] == 0.9
    assert recipe.optimizer.options["nesterov"] is True
    assert (recipe.optimizer.weight_decay, recipe.optimizer.decay_exclude) == (1e-4, ("norm",))
    network = study.task["network"]
    assert network["name"] == name
    assert network["options"]["shortcut"] == "all_stages"
    assert network["initialization"] == "fan_in_truncated_normal_zero_last_scale"


@pytest.mark.parametrize(
    ("name", "steps", "rates"),
    [
        ("at_init_resnet50", 90 * 1252, {30 * 1252: 0.04, 60 * 1252: 0.004, 80 * 1252: 0.0004}),
        (
            "prunetrain_resnet50_imagenet",
            90 * 5005,
            {40 * 5005: 0.01, 60 * 5005: 0.001, 80 * 5005: 0.0001},
        ),
        ("gsm2019_resnet50", 90 * 5004, {30 * 5004: 0.01, 60 * 5004: 0.001, 80 * 5004: 0.0001}),
    ],
)
def test_other_studies_of_imagenet_drop_where_their_epochs_begin(name, steps, rates):
    study = find_study(name, REPOSITORY / "config/studies", SCHEMAS / "study.schema.yaml")
    timeline = Recipe.from_dict(study.task["recipe"]).timeline(IMAGENET)
    assert timeline.total_steps == steps
    rate = timeline.schedule()
    for step, value in rates.items():
        assert rate(step) == pytest.approx(value, rel=1e-9)
        assert rate(step - 1) == pytest.approx(10 * value, rel=1e-9)
    assert timeline.recipe.precision == "float32"


def test_gsm_goes_on_from_the_trained_imagenet_network_for_40_10_and_10_epochs():
    studies = REPOSITORY / "config/studies"
    study = find_study("gsm2019_resnet50", studies, SCHEMAS / "study.schema.yaml")
    recipe = Recipe.from_dict(study.part("gsm").training_recipe("unmodified", 1))
    timeline = recipe.timeline(IMAGENET)
    rate, epoch = timeline.schedule(), 20_018
    assert timeline.total_steps == 60 * epoch
    at = [0, 40 * epoch - 1, 40 * epoch, 50 * epoch, 60 * epoch - 1]
    assert [rate(s) for s in at] == pytest.approx([1e-3, 1e-3, 1e-4, 1e-5, 1e-5])
    assert (recipe.batches.size, recipe.batch_norm_group) == (64, 64)
