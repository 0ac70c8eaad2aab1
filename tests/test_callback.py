"""The loop's one seam: what a method does while a network trains."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import nn

from pruning.data.batching import Batching
from pruning.errors import PruningError
from pruning.library import evaluate
from pruning.masks.weights import prune
from pruning.models.channels import follow
from pruning.models.shape import cuts
from pruning.stages.outputs import table_csv
from pruning.training import optimizers
from pruning.training.callback import Callback, EpochEnd
from pruning.training.checkpoint import save_state
from pruning.training.loop import Run, train
from pruning.training.recipe import OptimizerConfig
from pruning.training.resume import ResumeFile
from pruning.training.state import State, capture, load_into
from tests.conftest import assert_same_state

RUN = Run(6, lambda step: 0.1, 0, ("x",))


class Killed(Exception):
    pass


class Killing(ResumeFile):
    """Saves at the end of every epoch and is killed after one of them."""

    def __init__(self, folder, epoch):
        super().__init__(folder, "same")
        self.left = epoch

    def offer(self, progress):
        self.save(progress())
        self.left -= 1
        if not self.left:
            raise Killed


def assert_same_bytes(first, second, folder):
    for name, trained in (("first", first), ("second", second)):
        save_state(trained.state, folder / name)
    assert (folder / "first").read_bytes() == (folder / "second").read_bytes()
    assert table_csv(first.metrics) == table_csv(second.metrics)


@pytest.mark.parametrize("density", [1.0, 0.3])
def test_a_callback_that_does_nothing_changes_nothing(make_task, density):
    task = make_task("small_cnn", epochs=1)
    start = task.initial_state(0)
    start = start.masked(prune(task, start, density))
    plain, accompanied = (train(task, start, RUN, callback=c) for c in (None, Callback()))
    assert_same_state(plain.state, accompanied.state)
    assert plain.metrics == accompanied.metrics


# A term of the loss.


class Lasso(Callback):
    """0.01 times the sum of |w|; keeps what it saw."""

    def __init__(self):
        self.seen = []

    def penalty(self, module, loss, step):
        self.loss = loss.detach().clone()
        return 0.01 * module.fc1.weight.abs().sum()

    def before_step(self, module, optimizer, step):
        gradients = {name: p.grad.clone() for name, p in module.named_parameters()}
        weights = {name: p.detach().clone() for name, p in module.named_parameters()}
        self.seen.append((step, self.loss, weights, gradients))


def test_a_penalty_changes_gradients_exactly_as_adding_it_by_hand(make_task):
    from pruning.data.batches import TrainingStream

    task, callback = make_task(), Lasso()
    start = replace(task.initial_state(0), step=5)
    trained = train(task, start, RUN, callback=callback)
    module = task.build()
    stream = TrainingStream(task.data.train, task.normalize, task.recipe.batches, 0, ("x",))
    for index, (step, task_loss, weights, gradients) in enumerate(callback.seen):
        assert step == 5 + index  # as the schedule counts
        load_into(module, State(weights, start.buffers))
        module.zero_grad()
        images, labels = stream.batch(index)
        loss = nn.functional.cross_entropy(module(images), labels)
        assert loss == task_loss
        (loss + 0.01 * module.fc1.weight.abs().sum()).backward()
        for name, parameter in module.named_parameters():
            assert torch.equal(parameter.grad, gradients[name]), name
    losses = torch.stack([seen[1] for seen in callback.seen])
    assert trained.metrics[-1]["train_loss"] == float(losses.double().mean())  # without the term


# A change before and after the step.


class Changing(Callback):
    def before_step(self, module, optimizer, step):
        module.fc1.weight.grad.add_(1.0)
        module.fc2.bias.grad.zero_()

    def after_step(self, module, optimizer, step):
        with torch.no_grad():
            module.fc2.weight.clamp_(-0.1, 0.1)


def test_changes_before_and_after_the_step(make_task):
    task = make_task(optimizer=OptimizerConfig("sgd"))
    start = task.initial_state(0)
    start = start.masked(prune(task, start, 0.5))
    one = Run(1, lambda step: 0.1, 0, ("x",))
    plain, changed = (train(task, start, one, callback=c).state for c in (None, Changing()))
    difference = changed.weights["fc1.weight"] - plain.weights["fc1.weight"]
    mask = start.masks["fc1.weight"]
    torch.testing.assert_close(difference[mask], torch.full_like(difference[mask], -0.1))
    assert not difference[~mask].any()  # masks hold, whatever a callback does to gradients
    assert torch.equal(changed.weights["fc2.bias"], start.weights["fc2.bias"])
    assert torch.equal(changed.weights["fc2.weight"], plain.weights["fc2.weight"].clamp(-0.1, 0.1))


# A change at the end of an epoch.


class Shrinking(Callback):
    """Cuts the two hidden units of smallest norm out of an MLP, momentum included."""

    def __init__(self):
        self.units = None  # how many are left; the network is built with all of them

    def adapt(self, module):
        if self.units is not None:
            module.fc1 = nn.Linear(module.fc1.in_features, self.units)
            module.fc2 = nn.Linear(self.units, module.fc2.out_features)
        return module

    def end_epoch(self, module, optimizer):
        state = capture(module, optimizer)
        norms = state.weights["fc1.weight"].norm(dim=1)
        keep = norms.argsort(descending=True)[:-2].sort().values
        self.units = len(keep)

        def cut(tensors):
            dims = {"fc1.weight": 0, "fc1.bias": 0, "fc2.weight": 1}
            found = {}
            for key, value in tensors.items():
                dim = dims.get(key.rpartition("/")[2]) if value.dim() else None  # Adam's step
                found[key] = value if dim is None else value.index_select(dim, keep)
            return found

        shrunk = replace(state, weights=cut(state.weights), slots=cut(state.slots))
        return EpochEnd({"units": self.units}, shrunk)

    def state_dict(self):
        return {} if self.units is None else {"units": torch.tensor(self.units)}

    def load_state_dict(self, state):
        self.units = int(state["units"])


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_surgery_shrinks_weights_and_momentum_and_training_goes_on(make_task, optimizer):
    options = {"momentum": 0.9} if optimizer == "sgd" else {}
    config = OptimizerConfig(optimizer, 5e-4, (), options)
    task = make_task(optimizer=config, learning_rate=0.1 if optimizer == "sgd" else 0.01)
    run = Run(task.timeline.total_steps, task.timeline.schedule(), 0, ("x",))
    trained = train(task, task.initial_state(0), run, callback=Shrinking())
    assert [row["units"] for row in trained.metrics] == [22, 20, 18, 16]
    assert trained.state.weights["fc1.weight"].shape == (16, 64)
    assert trained.state.weights["fc2.weight"].shape == (10, 16)
    slot = "momentum_buffer" if optimizer == "sgd" else "exp_avg"
    assert trained.state.slots[f"{slot}/fc2.weight"].shape == (10, 16)
    assert trained.state.step == run.steps
    last = trained.metrics[-1]
    assert last["train_loss"] < trained.metrics[0]["train_loss"] / 2

    class Small(type(task)):
        def build(self, seed=None):
            shape = Shrinking()
            shape.units = 16
            return shape.adapt(super().build(seed))

    small = Small(task.data, task.network, task.recipe)
    assert last["test_accuracy"] == evaluate(small, trained.state)["test"]["accuracy"]


def test_the_last_momentum_is_what_shrinks(make_task):
    task = make_task(epochs=1, milestones=())
    run = Run(task.timeline.total_steps, task.timeline.schedule(), 0, ("x",))
    start = task.initial_state(0)
    whole, shrunk = (train(task, start, run, callback=c).state for c in (None, Shrinking()))
    keep = whole.weights["fc1.weight"].norm(dim=1).argsort(descending=True)[:-2].sort().values
    for name in ("fc1.weight", "fc1.bias"):
        slot = f"momentum_buffer/{name}"
        assert torch.equal(shrunk.weights[name], whole.weights[name][keep])
        assert torch.equal(shrunk.slots[slot], whole.slots[slot][keep])


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_a_training_that_shrinks_resumes_to_the_same_bytes(make_task, tmp_path, epoch):
    task = make_task()
    run = Run(task.timeline.total_steps, task.timeline.schedule(), 0, ("x",))
    start = task.initial_state(0)
    whole = train(task, start, run, callback=Shrinking())
    with pytest.raises(Killed):
        train(task, start, run, callback=Shrinking(), resume=Killing(tmp_path / "r", epoch))
    assert len(list((tmp_path / "r").glob("callback-*"))) == 1
    resume = ResumeFile(tmp_path / "r", "same")
    assert resume.load().state.weights["fc1.weight"].shape == (24 - 2 * epoch, 64)
    again = train(task, start, run, callback=Shrinking(), resume=resume)
    assert_same_bytes(whole, again, tmp_path)


def test_surgery_that_could_not_be_resumed_is_an_error_at_once(make_task):
    class Forgetful(Shrinking):
        def adapt(self, module):
            return module

    task = make_task(epochs=1, milestones=())
    with pytest.raises(PruningError, match="of another network: its weights differ"):
        train(task, task.initial_state(0), RUN, callback=Forgetful())


class Sparsifying(Callback):
    """Halves the density at the end of every epoch; what it draws is its own."""

    def __init__(self):
        self.generator = torch.Generator().manual_seed(0)
        self.density = 1.0

    def end_epoch(self, module, optimizer):
        state = capture(module, optimizer)
        self.density /= 2
        draws = torch.rand(state.weights["fc1.weight"].shape, generator=self.generator)
        masks = {"fc1.weight": draws < self.density}
        return EpochEnd({"density": self.density}, state.masked(masks))

    def state_dict(self):
        return {"draws": self.generator.get_state(), "density": torch.tensor(self.density)}

    def load_state_dict(self, state):
        self.generator.set_state(state["draws"])
        self.density = float(state["density"])


def test_masks_that_change_at_the_end_of_an_epoch_hold_from_then_on(make_task, tmp_path):
    task = make_task()
    run = Run(task.timeline.total_steps, task.timeline.schedule(), 0, ("x",))
    start = task.initial_state(0)
    middle = task.timeline.epoch_end(1) + 3
    whole = train(task, start, run, callback=Sparsifying(), snapshots=(middle,))
    for state in (whole.snapshots[middle], whole.state):
        mask = state.masks["fc1.weight"]
        assert mask.any()
        assert not state.weights["fc1.weight"][~mask].any()
        assert not state.slots["momentum_buffer/fc1.weight"][~mask].any()
    assert [row["density"] for row in whole.metrics] == [0.5, 0.25, 0.125, 0.0625]
    with pytest.raises(Killed):
        train(task, start, run, callback=Sparsifying(), resume=Killing(tmp_path / "r", 2))
    resume = ResumeFile(tmp_path / "r", "same")
    again = train(task, start, run, callback=Sparsifying(), resume=resume)
    assert_same_bytes(whole, again, tmp_path)


def test_extra_columns_come_last_and_change_no_number(make_task):
    class Counting(Callback):
        def end_epoch(self, module, optimizer):
            return EpochEnd({"parameters": sum(p.numel() for p in module.parameters())})

    task = make_task(epochs=1, milestones=())
    start = task.initial_state(0)
    plain, counted = (train(task, start, RUN, callback=c) for c in (None, Counting()))
    assert_same_state(plain.state, counted.state)
    assert counted.metrics == [row | {"parameters": 1810} for row in plain.metrics]
    assert list(counted.metrics[0])[-1] == "parameters"


def test_a_captured_state_has_the_optimizers_slots(make_task):
    module = make_task().build(0)
    optimizer = optimizers.make(OptimizerConfig("sgd", options={"momentum": 0.9}), module)
    assert not capture(module).slots
    sum(p.sum() for p in module.parameters()).backward()
    optimizer.step()
    assert set(capture(module, optimizer).slots) == {
        f"momentum_buffer/{name}" for name, _ in module.named_parameters()
    }


class Thinning(Callback):
    """Cuts four hidden units out of a network, by the shape that states have."""

    def end_epoch(self, module, optimizer):
        channels = follow(module, (torch.ones(1, 1, 8, 8),))
        gone = set(channels.layers["fc1"].outputs[:4])
        everything = {c for layer in channels.layers.values() for c in layer.outputs + layer.inputs}
        state = replace(capture(module, optimizer), shape=self.shape)
        state = state.cut(cuts(channels, everything - gone))
        self.shape = state.shape
        return EpochEnd({"units": len(state.weights["fc1.bias"])}, state)

    def __init__(self):
        self.shape = {}

    def state_dict(self):
        return self.shape

    def load_state_dict(self, state):
        self.shape = state


@pytest.mark.parametrize("epoch", [1, 3])
def test_a_shape_goes_with_the_state(make_task, tmp_path, epoch):
    task = make_task()
    run = Run(task.timeline.total_steps, task.timeline.schedule(), 0, ("x",))
    start = task.initial_state(0)
    whole = train(task, start, run, callback=Thinning())
    assert [row["units"] for row in whole.metrics] == [20, 16, 12, 8]
    assert whole.state.shape["fc1/outputs"].tolist() == list(range(16, 24))
    assert evaluate(task, whole.state)["test"]["accuracy"] == whole.metrics[-1]["test_accuracy"]
    with pytest.raises(Killed):
        train(task, start, run, callback=Thinning(), resume=Killing(tmp_path / "r", epoch))
    resume = ResumeFile(tmp_path / "r", "same")
    assert len(resume.load().epoch_seconds) == epoch
    again = train(task, start, run, callback=Thinning(), resume=resume)
    assert_same_bytes(whole, again, tmp_path)
    assert len(again.epoch_seconds) == len(again.metrics) == len(whole.epoch_seconds)
    assert all(seconds > 0 for seconds in again.epoch_seconds)


# Batches that grow.


class Growing(Callback):
    """Batches twice as large, at twice the rate, from the third of four epochs on."""

    def __init__(self):
        self.epochs, self.sizes, self.rates = 0, [], []

    def settings(self, task, run):
        before = task.timeline.steps_per_epoch
        if self.epochs < 2:
            return task, run
        batches = replace(task.recipe.batches, size=2 * task.recipe.batches.size)
        large = replace(task, recipe=replace(task.recipe, batches=batches))
        after, done = large.timeline.steps_per_epoch, task.timeline.epoch_end(2)
        ends = (int(before), done, done + int(after), done + 2 * int(after))
        schedule = run.schedule

        def rate(step):
            return schedule(step) if step < done else 2 * schedule(done)

        first = 2 * int(after) - done
        return large, replace(
            run, steps=ends[-1], schedule=rate, epoch_ends=ends, first_batch=first
        )

    def before_step(self, module, optimizer, step):
        self.rates.append(optimizer.param_groups[0]["lr"])

    def end_epoch(self, module, optimizer):
        self.epochs += 1
        return EpochEnd(state=capture(module, optimizer) if self.epochs == 2 else None)

    def state_dict(self):
        return {"epochs": torch.tensor(self.epochs)}

    def load_state_dict(self, state):
        self.epochs = int(state["epochs"])


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_batches_may_grow_and_every_epoch_still_sees_every_image_once(make_task, tmp_path, epoch):
    task = make_task(batches=Batching(64, epoch_boundary="keep"))
    seen = []

    class Watched(type(task)):
        def loss(self, module, batch):
            seen.append(batch[1])
            return super().loss(module, batch)

    watched = Watched(task.data, task.network, task.recipe)
    run = Run(task.timeline.total_steps, lambda step: 0.05, 0, ("x",))
    start, callback = task.initial_state(0), Growing()
    whole = train(watched, start, run, callback=callback)
    assert [row["epoch"] for row in whole.metrics] == [1, 2, 3, 4]
    before, after = (-(-task.examples("train") // size) for size in (64, 128))
    assert callback.rates == [0.05] * (2 * before) + [0.1] * (2 * after)
    ends = [before, 2 * before, 2 * before + after, 2 * before + 2 * after]
    assert [row["step"] for row in whole.metrics] == ends
    assert whole.steps == whole.state.step == len(seen) == ends[-1]
    for begin, end in pairwise([0, *ends]):
        labels = torch.cat(seen[begin:end])
        assert torch.equal(labels.bincount(), task.data.train.labels.bincount())
    with pytest.raises(Killed):
        train(task, start, run, callback=Growing(), resume=Killing(tmp_path / "r", epoch))
    again = train(task, start, run, callback=Growing(), resume=ResumeFile(tmp_path / "r", "same"))
    assert_same_bytes(whole, again, tmp_path)
