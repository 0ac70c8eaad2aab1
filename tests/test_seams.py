"""Seams between modules, where a wrong name or seed would show in no other test."""

import dataclasses

import pytest
import torch
from torch import nn

from pruning.analysis.cells import best_validated
from pruning.analysis.cells import cells as cells_of
from pruning.analysis.tidy import collect
from pruning.data.batches import Batching, Normalizer
from pruning.data.splits import load, validation_indices
from pruning.data.validation import Validation
from pruning.files import write_json
from pruning.masks import mask as masking
from pruning.masks.weights import prune
from pruning.models.build import build
from pruning.models.config import NetworkConfig
from pruning.models.resnet import Block
from pruning.stages.context import StageContext
from pruning.stages.outputs import resume_file
from pruning.systems.rewinding import method as rewinding
from pruning.systems.rewinding.method import retrain
from pruning.systems.rewinding.rules import RULES
from pruning.training.classification import Classification
from pruning.training.evaluate import evaluate_split, evaluate_splits
from pruning.training.loop import Run, train
from pruning.training.resume import Progress, ResumeFile
from pruning.training.state import load_into
from tests.conftest import assert_same_state
from tests.test_data import labels, stream
from tests.test_figures import table


def test_random_scores_depend_on_the_seed(make_task):
    task = make_task()
    s = task.initial_state(0)
    a, b = (prune(task, s, 0.5, score="random", seed=i) for i in (0, 1))
    assert any(not torch.equal(a[n], b[n]) for n in a)


def test_random_pruning_never_brings_weights_back(make_task):
    task = make_task()
    s = task.initial_state(0)
    a = prune(task, s, 0.5, score="random")
    c = prune(task, s.masked(a), 0.2, score="random", purpose=("next",))
    assert not any((c[n] & ~a[n]).any() for n in a)


def test_layerwise_levels_are_nested():
    scores = {"a": torch.arange(8.0), "b": torch.arange(4.0)}
    outer = masking.select(scores, 0.5, "layerwise")
    inner = masking.select({n: -s for n, s in scores.items()}, 0.25, "layerwise", within=outer)
    assert not any((inner[n] & ~outer[n]).any() for n in scores)


def test_reinitialization_draws_anew_from_the_runs_own_stream(make_task, monkeypatch):
    task, seen = make_task(), []
    final = task.initial_state(3, "dense")
    masks = prune(task, final, 0.5)
    monkeypatch.setattr(rewinding, "train", lambda task, state, run, **_: seen.append(state))
    retrain(task, RULES["reinit"], masks=masks, retrain_time=1, final=final, seed=3, stream=("a",))
    want = task.initial_state(3, "a").masked(masks).weights
    assert all(torch.equal(seen[0].weights[n], w) for n, w in want.items())


def test_initial_weights_depend_on_the_seed(make_task):
    task = make_task()
    n = "fc1.weight"
    assert not torch.equal(
        task.initial_state(0, "d").weights[n], task.initial_state(1, "d").weights[n]
    )


def test_data_order_depends_on_the_seed(make_task):
    task = make_task()
    s = task.initial_state(0)
    a, b = (train(task, s, Run(2, lambda _: 0.1, i, ("x",))).state for i in (0, 1))
    assert not torch.equal(a.weights["fc1.weight"], b.weights["fc1.weight"])


def test_epochs_have_their_own_order():
    seen = labels(stream(40, Batching(40)), 2)
    assert seen[:40] != seen[40:]


def test_epochs_have_their_own_augmentation():
    image = torch.arange(16, dtype=torch.uint8).view(1, 4, 4, 1) + 1
    one = stream(1, Batching(1, crop_padding=1, flip=True), images=image)
    assert len({tuple(one.batch(i)[0].flatten().tolist()) for i in range(40)}) > 5


def test_the_floor_of_per_image_standardization(digits):
    image = torch.zeros(1, 8, 8, 1, dtype=torch.uint8)
    image[0, 0, 0, 0] = 1
    x = Normalizer("per_image", digits)(image).flatten()
    assert float(x[0]) == pytest.approx((1 - 1 / 64) * 8)  # std sqrt(63)/64 < floor 1/8


def test_images_and_labels_stay_together_when_split(digits_file):
    for source in ("test", "train"):
        v = Validation(source, 0.2)
        whole, split = (
            getattr(load(digits_file, Validation(source, 0.0)), source),
            load(digits_file, v),
        )
        rest, held = validation_indices("digits", len(whole), v)
        for part, index in ((split.validation, held), (getattr(split, source), rest)):
            assert torch.equal(part.images, whole.images[index])
            assert torch.equal(part.labels, whole.labels[index])


def test_the_retrain_time_has_the_best_median_validation():
    cells = [(s, "dense", 0, 1.0, 0.9) for s in range(3)]
    cells += [(s, "lr_rewind", 1, 0.5, 0.8, v, 5.0) for s, v in enumerate((0.7, 0.7, 0.7))]
    cells += [(s, "lr_rewind", 1, 0.5, 0.8, v, 10.0) for s, v in enumerate((0.8, 0.8, 0.1))]
    drawn = best_validated(cells_of(table(*cells))).set_index("method")
    assert drawn.loc["lr_rewind", "retrain_time"] == 10


def test_a_collected_row_field_by_field(tmp_path):
    write_json(
        tmp_path / "summary.json",
        dict(
            network="mlp",
            data={"dataset": "digits"},
            seed=4,
            training_steps=7,
            training_macs=77,
            training_time=9.0,
            macs=11,
            scores={"validation": {"accuracy": 0.5}},
            method="lr_rewind",
            variant="one_shot",
            level=2,
            density=0.25,
            mask_density=0.3,
            pruned_at=4.5,
            retrain_time=3.0,
        ),
    )
    write_json(tmp_path / "timing.json", {"seconds": 2.5})
    report = tmp_path / "report.json"
    write_json(report, {"effective_density": 0.2, "collapsed_layers": 1})
    row = collect("s", [(tmp_path, report)]).iloc[0].to_dict()
    assert row == {
        "study": "s", "network": "mlp", "dataset": "digits", "seed": 4, "method": "lr_rewind",
        "variant": "one_shot", "level": 2, "density": 0.25, "mask_density": 0.3,
        "effective_density": 0.2, "collapsed_layers": 1, "pruned_at": 4.5, "retrain_time": 3.0,
        "training_time": 9.0, "split": "validation", "metric": "accuracy",
        "value": 0.5, "macs": 11, "training_steps": 7, "training_macs": 77, "seconds": 2.5,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["resnet20", "vgg11", "densenet40"])
def test_batch_norm_options_arrive(name):
    m = build(
        NetworkConfig(name, options={"bn_momentum": 0.003, "bn_eps": 1e-3}), (3, 32, 32), 10, 0
    )
    assert {(b.momentum, b.eps) for b in m.modules() if isinstance(b, nn.BatchNorm2d)} == {
        (0.003, 1e-3)
    }


def test_resnet_stages_halve_the_image():
    m = build(NetworkConfig("resnet8"), (3, 32, 32), 10, 0)
    shapes = []
    for stage in m.stages:
        stage.register_forward_hook(lambda _m, _i, y: shapes.append(tuple(y.shape[1:])))
    m(torch.zeros(2, 3, 32, 32))
    assert shapes == [(16, 32, 32), (32, 16, 16), (64, 8, 8)]


def test_a_residual_block_agrees_with_torchvisions():
    from torchvision.models.resnet import BasicBlock

    ours = Block(4, 4, 1, project=False, norm={})
    theirs = BasicBlock(4, 4)
    theirs.load_state_dict({k.replace("norm", "bn"): v for k, v in ours.state_dict().items()})
    x = torch.randn(2, 4, 6, 6)
    assert torch.allclose(ours(x), theirs(x), atol=1e-6)


def test_validation_and_test_are_not_swapped(make_task):
    task = make_task()
    m = task.build(0)
    scores = evaluate_splits(m, task)
    for split in ("validation", "test"):
        expected = evaluate_split(m, task, split)
        assert scores[split] == expected


def test_exempt_layers_are_not_pruned(make_task):
    task = dataclasses.replace(make_task(), exempt=("fc2",))
    assert list(prune(task, task.initial_state(0), 0.5)) == ["fc1.weight"]


class Dropping(Classification):
    def build(self, seed=None):
        return nn.Sequential(nn.Dropout(0.5), super().build(seed))


def test_resuming_restores_the_generator_of_dropout(make_task, tmp_path):
    plain = make_task()
    task = Dropping(plain.data, plain.network, plain.recipe)
    run, start = Run(4, lambda _: 0.1, 0, ("x",)), task.initial_state(0)
    whole = train(task, start, run, snapshots=(2,))
    resume = ResumeFile(tmp_path / "r", "f")
    resume.save(Progress(whole.snapshots[2], done=2))
    assert_same_state(train(task, start, run, resume=resume).state, whole.state)


def test_the_training_loss_is_the_mean_over_the_epoch(make_task):
    task = make_task(batches=Batching(338))
    s = task.initial_state(0)  # 4 batches, exactly
    row = train(task, s, Run(4, lambda _: 0.0, 0, ("x",))).metrics[-1]
    m = task.build()
    load_into(m, s)
    assert row["train_loss"] == pytest.approx(evaluate_split(m, task, "train")["loss"], rel=1e-5)


def test_the_last_rate_is_that_of_the_last_step(make_task):
    assert make_task(epochs=4, milestones=(4,)).timeline.last_learning_rate() == 0.1


def test_a_changed_input_changes_the_resume_fingerprint(tmp_path):
    f = tmp_path / "data"
    prints = set()
    for text in "ab":
        f.write_text(text)
        prints.add(resume_file(tmp_path / "o", {}, {"data": f}).fingerprint)
    assert len(prints) == 2


def test_everything_a_stage_is_told_is_in_its_configuration():
    base = StageContext("s", 0, {"a": 1}, "v", "cpu")
    for change in (
        dict(seed=1),
        dict(task={"a": 2}),
        dict(code_version="w"),
        dict(device="cuda:0"),
    ):
        assert dataclasses.replace(base, **change).config() != base.config(), change
