"""Costs before running."""

import pytest
import yaml

from pruning.data.known import KNOWN, Facts
from pruning.errors import PruningError
from pruning.files import write_json
from pruning.study.asks import Workflow
from pruning.study.planning import describe, last_measured, plan
from pruning.study.study import load_study
from tests.conftest import REPOSITORY, SCHEMAS

STUDIES = REPOSITORY / "config" / "studies"


@pytest.fixture(autouse=True)
def _somewhere_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # no results, no prepared data


def shipped(name):
    config = yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text())
    config["study_folder"] = str(STUDIES)
    workflow = Workflow(config, SCHEMAS)
    study = workflow.study(name)
    return study, plan(study, workflow.dataset_options(study.dataset))


def steps(planned):
    return {rule: work.steps for rule, work in planned.work.items() if work.steps}


def test_the_steps_of_the_paper():
    """ResNet-20's grid, by hand: sums over the published rewind steps."""
    study, planned = shipped("renda2020_resnet20")
    rewind = [67201, 59389, 51576, 43764, 35951, 28139, 20326, 12514, 4701, 0]
    once = sum(71108 - step for step in rewind)
    iterative = 4 * 10 * once  # four methods, ten levels
    one_shot = 5 * 10 * once + 10 * 10 * 71108  # reinit trains for T before
    assert steps(planned) == {"dense": 3 * 71108, "retrain": 3 * (iterative + one_shot)}
    assert planned.macs_per_image == 3 * 41_075_328
    images = 128 * sum(steps(planned).values())
    assert planned.training_flops == 2 * planned.macs_per_image * images
    assert planned.hours(study.name) is None
    assert "nothing has been trained here" in describe(planned, study)
    assert "2,700 jobs" in describe(planned, study)


def test_the_steps_of_ding_et_al():
    """Section 3 of the reference: 234 and 781 steps an epoch."""
    _, lenet = shipped("gsm2019_lenet5")
    # Three seeds; GSM at two ratios and once frozen; two tickets at each ratio.
    assert steps(lenet) == {
        "dense": 3 * 46_800, "gsm": 3 * 3 * 65_520, "ticket": 3 * 4 * 46_800}  # fmt: skip
    _, resnet = shipped("gsm2019_resnet56")
    assert steps(resnet) == {"dense": 3 * 390_500, "gsm": 3 * 3 * 468_600}
    assert lenet.jobs["sensitivity"] == 3
    assert "gather" in lenet.jobs


def test_resized_data_sets_cost_less():
    _, small = shipped("cifar10_desk")
    assert small.macs_per_image < 3 * 1_000_000


def test_a_data_set_of_unknown_size_has_to_be_prepared_first():
    with pytest.raises(PruningError, match="pruning prepare cifar10_jpeg_16"):
        shipped("cifar10_desk_jpeg")


def measured(root, study, steps, macs, seconds):
    folder = root / "results" / study / "seed0" / "dense"
    folder.mkdir(parents=True)
    summary = {"training_steps": steps, "training_macs": macs, "network": "n", "macs": 1, "seed": 0}
    summary |= {"data": {"dataset": "d"}, "training_time": 1.0, "scores": {}}
    write_json(folder / "summary.json", summary)
    write_json(folder / "timing.json", {"seconds": seconds})


def test_hours_follow_from_the_last_training_of_the_study_or_of_another(tmp_path):
    measured(tmp_path, "other", steps=100, macs=10**12, seconds=10.0)
    study, planned = shipped("digits")
    images = sum(work.images for work in planned.work.values())
    assert planned.measured.study == "other"
    assert planned.hours("digits") == pytest.approx(images * planned.macs_per_image / 1e11 / 3600)
    assert "only roughly" in describe(planned, study)
    measured(tmp_path, "digits", steps=100, macs=1, seconds=7.2)
    study, planned = shipped("digits")
    # A step of the dense training sees so many images, and GSM's are as large here.
    per_step = planned.work["dense"].images / planned.work["dense"].steps
    assert planned.hours("digits") == pytest.approx(images / per_step * 0.072 / 3600)
    assert "only roughly" not in describe(planned, study)


def test_damaged_timings_are_passed_over(tmp_path):
    measured(tmp_path, "digits", steps=100, macs=1, seconds=7.2)
    (tmp_path / "results/digits/seed0/dense/summary.json").write_text("{")
    study = load_study(STUDIES / "digits.yaml", SCHEMAS / "study.schema.yaml")
    assert last_measured(study) is None


def test_known_data_sets_have_the_sizes_they_have(digits):
    fewest = int(digits.train.labels.bincount().min())
    test = len(digits.test) + len(digits.validation)
    assert KNOWN["digits"] == Facts(len(digits.train), test, digits.shape, 10, fewest)


# -- ImageNet ---------------------------------------------------------------------------------


def test_the_plan_of_imagenet_needs_no_images_and_says_what_it_assumes():
    """Three methods in ten levels one after the other and five in one shot, at ten times."""
    study, planned = shipped("renda2020_resnet50")
    once = sum(112_590 - 1251 * (90 - t) for t in range(9, 91, 9))
    one_shot = 5 * 10 * once + 10 * 10 * 112_590  # reinit trains for T before
    assert steps(planned) == {"dense": 3 * 112_590, "retrain": 3 * (3 * 10 * once + one_shot)}
    assert planned.macs_per_image == 3 * 4_089_184_256
    assert planned.images == 1024 * sum(steps(planned).values())
    hours, told = planned.gpu_hours()
    assert hours == pytest.approx(planned.images / 2470 / 3600)
    assert "2,470 images/s of ResNet-50" in told
    assert "nothing of it was measured here" in told
    text = describe(planned, study)
    assert f"Estimate: {hours:,.0f} GPU hours, assuming 2,470" in text
    assert "nothing has been trained here" in text
    assert planned.gpu_hours(4940)[0] == pytest.approx(hours / 2)
    mine = describe(planned, study, 4940)
    assert f"Estimate: {hours / 2:,.0f} GPU hours, at 4,940 examples/s and GPU, as you say." in mine
    assert "assuming" not in mine
    for wrong in (0, -1, float("nan"), float("inf")):
        with pytest.raises(PruningError, match="--examples-per-second must be positive"):
            planned.gpu_hours(wrong)


@pytest.mark.parametrize(
    ("name", "images", "macs"),
    [
        ("renda2020_resnet34", 2470, 3_663_761_408 + 64 * 64 * 56 * 56),
        ("at_init_resnet50", 367, 4_089_184_256),
        ("gsm2019_resnet50", 367, 4_089_184_256),
        ("prunetrain_resnet50_imagenet", 367, 4_089_184_256),
    ],
)
def test_other_studies_of_imagenet_can_be_planned(name, images, macs):
    _, planned = shipped(name)
    assert planned.macs_per_image == 3 * macs
    hours, _ = planned.gpu_hours()
    assert hours == pytest.approx(planned.images / images / 3600 * macs / 4_089_184_256)


def test_a_large_gpu_says_nothing_of_a_small_network():
    study, planned = shipped("renda2020_resnet20")
    assert planned.gpu_hours() is None
    assert "GPU hours" not in describe(planned, study)
    assert "GPU hours, at 10,000 examples/s" in describe(planned, study, 10_000)
