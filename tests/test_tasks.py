"""Kinds of tasks: the loop and evaluation know nothing of images, labels and accuracy."""

import ast
import logging
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

import pruning
from pruning.data.batches import Batching
from pruning.errors import PruningError, TrainingDiverged
from pruning.library import evaluate
from pruning.masks import mask as masking
from pruning.masks.report import report
from pruning.masks.weights import prune, scored_network
from pruning.models.cost import network_macs
from pruning.scores import ScoreContext
from pruning.scores.snip import snip
from pruning.seeds import derive, generator
from pruning.stages.outputs import final_scores
from pruning.systems.rewinding.method import retrain
from pruning.systems.rewinding.rules import RULES
from pruning.training.classification import Classification
from pruning.training.dense import train_dense
from pruning.training.evaluate import evaluate_split
from pruning.training.recipe import OptimizerConfig, Recipe
from pruning.training.resume import ResumeFile
from pruning.training.schedules import StepDecay
from pruning.training.task import Metric, Task
from tests.conftest import REPOSITORY, assert_same_state
from tests.test_callback import Killed, Killing

RECIPE = Recipe(
    epochs=6,
    batches=Batching(16),
    schedule=StepDecay(0.1, (4,)),
    optimizer=OptimizerConfig("sgd", 1e-4, (), {"momentum": 0.9}),
)


@dataclass(frozen=True)
class Draws:
    """Batches that are dictionaries of float tensors."""

    inputs: Tensor
    targets: Tensor
    seed: int

    def batch(self, index):
        source = torch.Generator().manual_seed(derive(self.seed, index))
        chosen = torch.randint(len(self.inputs), (16,), generator=source)
        return {"given": self.inputs[chosen], "wanted": self.targets[chosen]}


@dataclass(frozen=True)
class Regression(Task):
    """Numbers in, numbers out; the smaller the mean squared error, the better."""

    sizes: dict[str, int]
    recipe: Recipe = RECIPE
    exempt: tuple[str, ...] = ()
    name: str = "toy regression"

    metric: ClassVar[Metric] = Metric("mse", "squared volts", higher_is_better=False)

    @property
    def device(self):
        return torch.device("cpu")

    def build(self, seed=None):
        with torch.random.fork_rng():
            torch.manual_seed(seed or 0)
            return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 1))

    def examples(self, split):
        return self.sizes[split]

    def data(self, split):
        inputs = torch.rand(self.sizes[split], 4, generator=generator(0, split)) - 0.5
        return inputs, inputs[:, :1] - 2 * inputs[:, 1:2].abs()

    def batches(self, seed, stream):
        return Draws(*self.data("train"), derive(seed, *stream))

    def loss(self, module, batch):
        return (module(batch["given"]) - batch["wanted"]).square().mean()

    def batch_examples(self, batch):
        return len(batch["given"])

    def scoring_batches(self, seed, batches=2):
        draws = Draws(*self.data("train"), derive(seed, "scoring"))
        return [draws.batch(index) for index in range(batches)]

    def scoring_loss(self, module, batch, temperature=1.0):
        if temperature != 1:
            raise PruningError(f"{self.name}: a squared error has no temperature.")
        return self.loss(module, batch)

    def example(self):
        return (torch.ones(1, 4),)

    def record(self):
        return {"dataset": "draws"}

    def evaluate(self, module, split):
        assert not module.training
        assert torch.is_inference_mode_enabled()
        inputs, targets = self.data(split)
        return {"mse": float((module(inputs) - targets).square().mean())}


@pytest.fixture
def task():
    return Regression({"train": 160, "validation": 50, "test": 100})


def test_a_regression_trains_through_the_same_loop(task, tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="pruning"):
        dense = train_dense(task, 0, (2,))
    first, last = dense.trained.metrics[0], dense.trained.metrics[-1]
    assert list(first) == [
        "epoch", "step", "learning_rate", "train_loss", "validation_mse", "test_mse"
    ]  # fmt: skip
    assert last["step"] == 60
    assert last["test_mse"] < first["test_mse"] / 2
    assert f"test {last['test_mse']:.4f}" in caplog.text
    assert evaluate(task, dense.final)["test"] == {"mse": last["test_mse"]}
    assert final_scores(dense.trained) == {
        "validation": {"mse": last["validation_mse"]},
        "test": {"mse": last["test_mse"]},
    }
    assert task.examples_seen(dense.trained.steps) == 960
    assert task.prunable() == ["0.weight", "2.weight"]


def test_a_pruned_regression_rewinds_and_resumes_to_the_same_bits(task, tmp_path):
    dense = train_dense(task, 0, (4,))
    kept = {name: dense.final.weights[name].abs() for name in task.prunable()}
    given = {
        "masks": pruning.select(kept, 0.5),
        "retrain_time": 4,
        "final": dense.final,
        "rewind": dense.rewind[4],
    }
    whole = retrain(task, RULES["weight_rewind"], **given)
    with pytest.raises(Killed):
        retrain(task, RULES["weight_rewind"], **given, resume=Killing(tmp_path / "r", 1))
    resume = ResumeFile(tmp_path / "r", "same")
    again = retrain(task, RULES["weight_rewind"], **given, resume=resume)
    assert_same_state(whole.state, again.state)
    assert whole.metrics == again.metrics
    for name, mask in given["masks"].items():
        assert not whole.state.weights[name][~mask].any()


def test_an_empty_split_is_no_divergence_and_a_score_that_is_not_finite_is(task):
    class Holey(Regression):
        def evaluate(self, module, split):
            return {"mse": float("nan")} if split == "validation" else {"mse": 1.0}

    empty = Holey(task.sizes | {"validation": 0})
    assert train_dense(empty, 0, steps=1).trained.metrics[-1]["test_mse"] == 1.0
    with pytest.raises(TrainingDiverged, match="toy regression: the validation mse is nan at step"):
        train_dense(Holey(task.sizes), 0, steps=1)


def test_evaluation_leaves_the_networks_mode(task):
    for mode in (True, False):
        module = task.build(0).train(mode)
        evaluate_split(module, task, "train")
        assert module.training == mode


def test_the_librarys_task_is_classification(make_task):
    assert pruning.Task is Classification
    task = make_task()
    assert (task.metric.name, task.metric.higher_is_better) == ("accuracy", True)
    assert replace(task, name="other").timeline == task.timeline
    assert [task.examples(split) for split in ("train", "validation", "test")] == [
        len(part) for part in (task.data.train, task.data.validation, task.data.test)
    ]


@pytest.mark.parametrize("score", ["magnitude", "random", "snip", "synflow"])
def test_a_regression_is_scored_pruned_and_reported_by_the_same_code(task, score):
    state = task.initial_state(0)
    masks = prune(task, state, 0.4, score=score, sample={"batches": 3})
    assert sum(int(mask.sum()) for mask in masks.values()) == masking.kept_count(0.4, 80)
    told = report(task, masks)
    kept = masking.counts(masks)[0]
    assert (told["prunable"], told["kept"]) == (80, kept)
    macs = network_macs(task.build(), task.example(), masks)
    assert sum(macs.values()) == kept  # each weight is used once


def test_snip_of_a_regression_is_the_mean_over_examples_of_unequal_batches(task):
    state = task.initial_state(0)
    model, masks = scored_network(task, state)
    batch = task.scoring_batches(0)[0]
    pieces = [
        {key: value[part] for key, value in batch.items()} for part in (slice(3), slice(3, 16))
    ]
    context = ScoreContext(model, masks, task, pieces)
    loss = task.loss(model, batch)  # the mean over all 16
    named = dict(model.named_parameters())
    expected = torch.autograd.grad(loss, [named[name] for name in masks])
    scores = snip(context, reduction="summed")
    for (name, score), gradient in zip(scores.items(), expected, strict=True):
        single = (named[name] * gradient).abs().detach()
        torch.testing.assert_close(score, single.double(), rtol=1e-5, atol=1e-6)


def test_a_score_with_a_temperature_is_refused_where_there_are_no_logits(task):
    with pytest.raises(PruningError, match="toy regression: a squared error has no temperature"):
        prune(task, task.initial_state(0), 0.4, score="grasp")


def test_a_kind_of_task_with_a_piece_missing_cannot_be_made():
    @dataclass(frozen=True)
    class Half(Task):
        recipe: Recipe = RECIPE

        def build(self, seed=None):
            return nn.Linear(1, 1)

    with pytest.raises(TypeError, match="abstract methods? .*batches"):
        Half()


@pytest.mark.parametrize(
    "module",
    [
        *("training/loop", "training/evaluate", "training/task"),
        *("scores/context", "scores/gradients", "scores/snip", "masks/weights", "masks/report"),
        *("models/cost", "models/paths", "stages/context", "stages/prune", "stages/report"),
    ],
)
def test_shared_code_names_nothing_of_one_kind_of_task(module):
    text = (REPOSITORY / "src" / "pruning" / f"{module}.py").read_text().lower()
    imported = {
        name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom)
        for name in [node.module]
    }
    assert not [name for name in imported if name.startswith("pruning.data")]
    for word in ("image", "label", "entropy", "accuracy", "augmentation"):
        assert word not in text, word
