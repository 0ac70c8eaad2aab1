"""Several processes that train one network."""

import ast
import multiprocessing
import os
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from pruning.data import loader
from pruning.data.batching import Batching, ResizedCrop
from pruning.data.picture_files import PictureFiles
from pruning.data.splits import load
from pruning.errors import PruningError
from pruning.masks.weights import prune
from pruning.share import Share
from pruning.study.asks import Workflow
from pruning.study.study import load_study
from pruning.systems.gem_miner.method import search
from pruning.systems.gem_miner.rules import Search
from pruning.systems.prunetrain.batches import Growth
from pruning.systems.prunetrain.method import Settings, train_prunetrain
from pruning.training import optimizers, processes
from pruning.training.backward import backward_of
from pruning.training.callback import Callback
from pruning.training.loop import Run, train
from pruning.training.recipe import OptimizerConfig
from pruning.training.resume import ResumeFile
from pruning.training.state import capture, load_into
from tests import together
from tests.conftest import REPOSITORY, SCHEMAS, small_task
from tests.test_callback import Killed, Killing, Lasso
from tests.test_image_files import listed, make_tree

GSM = OptimizerConfig("gsm", 5e-4, (), {"momentum": 0.9, "density": 0.1})


def run_of(task, steps=None):
    steps = task.timeline.total_steps if steps is None else steps
    return Run(steps, task.timeline.schedule(), 0, ("x",))


def arrays(state):
    """A state as numpy has it, which goes from one process to another by value."""
    groups = ("weights", "buffers", "slots")
    found = {f"{g}/{name}": t.numpy() for g in groups for name, t in getattr(state, g).items()}
    return found | {"step": np.array(state.step)}


def same(first, second):
    return first.keys() == second.keys() and all(
        first[name].tobytes() == second[name].tobytes() for name in first
    )


def far(first, second):
    return max(float(np.abs(first[n].astype(float) - second[n].astype(float)).max()) for n in first)


def well(results):
    """What processes returned, if they did."""
    assert all(not isinstance(result, BaseException | int) for result in results), results
    return results


def one(results):
    """A state and metrics that all processes returned alike."""
    first = results[0]
    assert all(same(first[0], r[0]) and first[1] == r[1] for r in results[1:])
    return first


class Small(nn.Module):
    """A network with batch norm and dropout."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6)
        self.drop, self.last = nn.Dropout(0.2), nn.Linear(6 * 36, 10)

    def forward(self, images):
        return self.last(self.drop(self.norm(self.conv(images)).relu()).flatten(1))


def small(shape, classes):
    return Small()


class Double(nn.Module):
    """A network in double precision, without batch norm and with buffers that nothing changes."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(64, 12).double(), nn.Linear(12, 10).double()
        self.register_buffer("never", torch.tensor([float("-inf"), 1 / 3]))

    def forward(self, images):
        return self.last(torch.tanh(self.first(images.flatten(1).double())))


class Skipping(nn.Module):
    """Of three layers, the first takes part on process 1 alone, the second nowhere."""

    def __init__(self):
        super().__init__()
        self.rarely, self.never, self.last = (nn.Linear(64, 64 if i < 2 else 10) for i in range(3))

    def forward(self, images):
        x = images.flatten(1)
        return self.last(self.rarely(x) if processes.rank() else x)


def flat(shape, classes):
    """A batch norm that sees one value per channel and example."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Linear(8, 10))


# In the processes.


def trained(path, count, steps=None, density=None, callback=None, **told):
    """State and metrics of a training of a small task."""
    task = small_task(load(path), processes=count, **told)
    start = task.initial_state(0)
    if density is not None:
        start = start.masked(prune(task, start, density))
    done = train(task, start, run_of(task, steps), callback=callback and callback())
    return arrays(done.state), done.metrics


class Dying(Killing):
    """Kills all processes alike, where only the first one saves."""

    def save(self, progress):
        if not processes.rank():
            super().save(progress)


def killed_in_turn(path, count, folder, **told):
    """What a training ends in whole, and killed after each of its epochs but the last."""
    task = small_task(load(path), processes=count, **told)
    start, run = task.initial_state(0), run_of(task)
    found = [train(task, start, run)]
    for epoch in range(1, task.recipe.epochs):
        with pytest.raises(Killed):
            train(task, start, run, resume=Dying(f"{folder}/{epoch}", epoch))
        processes.barrier()
        found.append(train(task, start, run, resume=ResumeFile(f"{folder}/{epoch}", "same")))
    return [(arrays(done.state), done.metrics) for done in found]


def first_gradients(path, count, kind, callback=None, **told):
    """Gradients of the first step of a module, where there are any, and its buffers, by name."""
    task = small_task(load(path), processes=count, **told)
    torch.manual_seed(0)
    module = kind() if isinstance(kind, type) else task.build(0)
    backward = backward_of(task, module.train(), task.batches(0, ("x",)), callback and callback())
    loss = backward(0, 0)
    found = {n: p.grad.numpy() for n, p in module.named_parameters() if p.grad is not None}
    return found | {n: b.numpy() for n, b in module.named_buffers()}, float(loss)


def refused(path, count, callback=None, **told):
    """The message of a training that is refused."""
    try:
        trained(path, count, callback=callback, **told)
    except PruningError as error:
        return str(error)
    return None


class Straying(Callback):
    """Changes the weights of process 1 alone."""

    def after_step(self, module, optimizer, step):
        with torch.no_grad():
            module.fc1.weight[0, 0] += 1e-6 * processes.rank()


class Squaring(Callback):
    def penalty(self, module, loss, step):
        return loss**2


def searched(path, count):
    recipe = {"epochs": 2, "milestones": (), "optimizer": OptimizerConfig("sgd")}
    task = small_task(load(path), processes=count, **recipe)
    how = Search("gem_miner", 0.5, 1, 1e-4)
    done = search(task, task.initial_state(0), how, recipe=task.recipe)
    return arrays(done.state), done.metrics


def shrunk(path, count):
    task = small_task(
        load(path), "small_cnn", processes=count, epochs=3, milestones=(),
        batches=Batching(64, "keep"),
    )  # fmt: skip
    how = Settings("prunetrain_dynamic_batch", 0.5, 1, 0.3, 1e-4, Growth(128, 4))
    result = train_prunetrain(task, task.initial_state(0), how)
    assert result.trained.metrics[-1]["batch"] > 64
    return arrays(result.trained.state), [vars(result.start), *result.trained.metrics]


PICTURES = {
    "epochs": 2,
    "milestones": (),
    "batches": Batching(
        6, "keep", flip=True, resized_crop=ResizedCrop((0.2, 1.0), (0.75, 1.33)),
        normalization="given", mean=(0.5,) * 3, std=(0.25,) * 3,
    ),
}  # fmt: skip


def read_from_files(path, count, workers=0):
    """What :func:`trained` gives, and which training pictures this process read, in turn."""
    os.environ[loader.WORKERS] = str(workers)
    read, real = [], PictureFiles._drawn
    PictureFiles._drawn = lambda self, row, *rest: read.append(row) or real(self, row, *rest)
    try:
        return *trained(path, count, **PICTURES), read
    finally:
        PictureFiles._drawn = real


def read_in_both_ways(path, count):
    # Those of a job are no daemons, which may not have processes of their own.
    multiprocessing.current_process()._config["daemon"] = False
    return read_from_files(path, count), read_from_files(path, count, workers=1)


MASKED = {"network": "small_cnn", "density": 0.3, "batches": Batching(64)}
GROUPED = {"network": "small_cnn", "steps": 3, "batches": Batching(80)}  # five groups of 16
CALLS = {
    "sgd": (trained, {"steps": 10, "network": "small_cnn"}),
    "gsm": (trained, {"steps": 10, "network": "small_cnn", "optimizer": GSM}),
    "masked": (trained, {**MASKED, "steps": 20}),
    "double": (first_gradients, {"kind": Double, "batches": Batching(10)}),
    "skipping": (first_gradients, {"kind": Skipping}),
    "plain": (first_gradients, {"kind": None}),
    "lasso": (first_gradients, {"kind": None, "callback": Lasso}),
    "grouped": (trained, {**GROUPED, "batch_norm_group": 16}),
    "ungrouped": (trained, GROUPED),
    "straying": (refused, {"callback": Straying, "epochs": 1, "milestones": ()}),
    "searched": (searched, {}),
    "shrunk": (shrunk, {}),
    "short": (trained, {"epochs": 1, "milestones": (), "batches": Batching(50, "keep")}),
    "killed": (killed_in_turn, {"network": small, "epochs": 3, "milestones": (2,),
                                "batches": Batching(60)}),
}  # fmt: skip


SYSTEMS = ["searched", "shrunk"]


def all_of(path, count, folder, names):
    more = {"killed": {"folder": folder}}
    return {n: CALLS[n][0](path, count, **CALLS[n][1], **more.get(n, {})) for n in names}


def alone(path, name):
    function, told = CALLS[name]
    return function(path, 1, **told)


def together_of(count, names):
    @pytest.fixture(scope="module")
    def results(digits_file, tmp_path_factory):
        """By what was called, what each process returned."""
        folder = str(tmp_path_factory.mktemp("together"))
        found = together.run(count, all_of, digits_file, count, folder, names)
        return {name: [one[name] for one in well(found)] for name in names}

    return results


two = together_of(
    2,
    [
        "grouped",
        "ungrouped",
        "sgd",
        "gsm",
        "masked",
        "skipping",
        "plain",
        "lasso",
        "straying",
        *SYSTEMS,
    ],
)
three = together_of(3, ["double", "short", "killed"])


# What is added up.


def accumulated(task, count, steps, of_each=None):
    """One process that adds the shares' gradients up in the order of ranks, and steps.

    Args:
        of_each: what is made of a share's gradients before they are added up.
    """
    module = task.build().to(memory_format=torch.channels_last).train()
    load_into(module, task.initial_state(0))
    optimizer = optimizers.make(task.recipe.optimizer, module, task.prunable())
    batches, rate = task.batches(0, ("x",)), task.timeline.schedule()
    parameters, buffers = list(module.parameters()), dict(module.named_buffers())
    statistics = [name for name, buffer in buffers.items() if buffer.is_floating_point()]
    for index in range(steps):
        gradients, changes, before = [], [], {n: b.clone() for n, b in buffers.items()}
        for rank in range(count):
            for name, buffer in buffers.items():
                buffer.copy_(before[name])
            module.zero_grad()
            share, size = Share(rank, count), batches.size(index)
            first, stop = share.rows(size)
            loss = task.loss(module, batches.batch(index, share)) * ((stop - first) / size)
            loss.backward()
            if of_each:
                of_each(optimizer)
            gradients.append([p.grad.clone() for p in parameters])
            weight = (stop - first) / size
            changes.append({n: (buffers[n] - before[n]) * weight for n in statistics})
        for name in statistics:
            buffers[name].copy_(before[name] + sum(change[name] for change in changes))
        for parameter, *shares in zip(parameters, *gradients, strict=True):
            parameter.grad = sum(shares)
        for group in optimizer.param_groups:
            group["lr"] = rate(index) * group["relative_rate"]
        optimizer.step()
    return arrays(replace(capture(module, optimizer), step=steps))


@torch.no_grad()
def silence(optimizer):
    """Leave the gradients of the weights that matter most to one share alone."""
    optimizer._silence_passive()


@pytest.mark.parametrize("name", ["sgd", "gsm"])
def test_two_processes_are_one_that_adds_their_gradients_up(make_task, two, name):
    """To the bit, batch norm and all. So the active set of GSM is that of the summed gradient."""
    told = {key: value for key, value in CALLS[name][1].items() if key != "steps"}
    result, _ = one(two[name])
    assert same(result, accumulated(make_task(**told), 2, 10))
    if name == "gsm":  # and not of each process's own
        assert far(result, accumulated(make_task(**told), 2, 10, silence)) > 1e-4


def test_three_processes_share_ten_examples_as_one_has_them(digits_file, three):
    result, loss = one(three["double"])
    expected, of_one = alone(digits_file, "double")
    assert result.pop("never").tobytes() == expected.pop("never").tobytes()
    assert 0 < far(result, expected) < 1e-14
    assert loss == pytest.approx(of_one, rel=1e-6)


def test_groups_of_batch_norm_are_the_same_however_many_processes_share_them(digits_file, two):
    """Weights and running statistics, where without groups each process normalizes its own."""
    far_apart = {}
    for name in ("grouped", "ungrouped"):
        (result, _), (expected, _) = one(two[name]), alone(digits_file, name)
        far_apart[name] = far(result, expected)
    assert far_apart["grouped"] < 1e-6 < 1e-3 < far_apart["ungrouped"]


def test_a_short_batch_may_leave_a_process_nothing(digits_file, three):
    result, metrics = one(three["short"])  # of 1352 images the last two
    expected, of_one = alone(digits_file, "short")
    assert far(result, expected) < 1e-5
    for name, value in of_one[-1].items():
        assert metrics[-1][name] == pytest.approx(value, rel=1e-4), name


def test_who_has_a_gradient_anywhere_has_it_everywhere(two):
    result, _ = one(two["skipping"])
    assert {name.partition(".")[0] for name in result} == {"rarely", "last"}


def test_a_penalty_is_added_once(two):
    (plain, loss), (lasso, same_loss) = one(two["plain"]), one(two["lasso"])
    assert loss == same_loss
    added = lasso["fc1.weight"] - plain["fc1.weight"]
    np.testing.assert_allclose(np.abs(added), 0.01, rtol=1e-3)


def test_masked_weights_stay_zero_on_all(make_task, two):
    result, _ = one(two["masked"])
    task = make_task("small_cnn")
    for name, mask in prune(task, task.initial_state(0), 0.3).items():
        assert not result[f"weights/{name}"][~mask.numpy()].any()
        assert result[f"weights/{name}"][mask.numpy()].all()


@pytest.mark.parametrize("name", SYSTEMS)
def test_what_systems_do_while_they_train_is_the_same_on_all(two, name):
    one(two[name])


# The same bytes.


def test_equal_numbers_of_processes_give_equal_bytes_whenever_they_are_killed(digits_file, three):
    whole = three["killed"][0][0]
    for found in three["killed"]:
        assert len(found) == 3
        for state, metrics in found:
            assert same(state, whole[0])
            assert metrics == whole[1]
    other = trained(digits_file, 1, **CALLS["killed"][1])[0]
    assert not same(other, whole[0])


# What is refused.


def test_processes_that_differ_stop_at_the_end_of_the_epoch(two):
    first, second = two["straying"]
    assert first == second
    assert "are no longer the same: 1 differs from 0" in first


@pytest.mark.parametrize(("wanted", "there"), [(2, 1), (1, 2), (3, 2)])
def test_other_numbers_of_processes_than_were_started_are_refused(
    make_task, monkeypatch, wanted, there
):
    if there > 1:
        monkeypatch.setenv("RANK", "0")
        monkeypatch.setenv("WORLD_SIZE", str(there))
    task = make_task(processes=wanted)
    with pytest.raises(PruningError, match=f"`processes: {wanted}`, and there (is|are) {there} "):
        train(task, task.initial_state(0), run_of(task, 1))
    train(task, task.initial_state(0), run_of(task, 0))  # who only looks whether it could begin


def test_shares_of_one_example_are_refused_where_a_batch_norm_needs_more(make_task):
    for size, boundary, count in ((3, "straddle", 2), (50, "keep", 2)):  # 1352 = 27 * 50 + 2
        task = make_task(flat, batches=Batching(size, boundary), processes=count)
        with pytest.raises(PruningError, match=f"{count} processes share a batch of [23] examples"):
            train(task, task.initial_state(0), run_of(task, 0))
    task = make_task(batches=Batching(3), processes=2)  # none has a batch norm
    train(task, task.initial_state(0), run_of(task, 0))
    with pytest.raises(PruningError, match="processes: 4 cannot share batches of 3"):
        make_task(batches=Batching(3), processes=4)


def test_batches_that_cannot_be_shared_out_are_refused(make_task, monkeypatch):
    task = make_task(processes=2)
    stream = task.batches(0, ("x",))
    monkeypatch.setattr(
        type(task), "batches", lambda *_: type("Old", (), {"batch": stream.batch})()
    )
    with pytest.raises(
        PruningError, match=r"batches of this kind of task \(Old\) cannot be shared"
    ):
        train(task, task.initial_state(0), run_of(task, 0))


def test_all_trainings_of_a_study_have_the_same_processes(tmp_path):
    shutil.copy(REPOSITORY / "config" / "studies" / "digits.yaml", tmp_path)
    path = tmp_path / "a.yaml"
    path.write_text("extends: digits\nrecipe: {processes: 2}\n")
    study = load_study(path, SCHEMAS / "study.schema.yaml")
    assert study.processes == study.part("gsm").recipe["processes"] == 2
    path.write_text("extends: digits\ngsm: {recipe: {processes: 2}}\n")
    with pytest.raises(PruningError, match="gsm.recipe.processes is 2, .* study's recipe has 1"):
        load_study(path, SCHEMAS / "study.schema.yaml")


def test_a_job_reserves_what_all_processes_of_a_training_need(tmp_path):
    shutil.copy(REPOSITORY / "config" / "studies" / "digits.yaml", tmp_path)
    (tmp_path / "a.yaml").write_text("extends: digits\nrecipe: {processes: 2, threads: 3}\n")
    known = {"digits": {"kind": "digits"}}
    config = {"study_folder": str(tmp_path), "studies": ["a"], "datasets": known, "device": "cuda"}
    plan = Workflow(config, SCHEMAS)
    for name, gpus, nodes, threads in (("a", 2, 1, 6), ("digits", 1, None, 1)):
        job = SimpleNamespace(study=name, seed="0", level="1")
        assert (plan.gpu(job), plan.nodes(job), plan.threads(job)) == (gpus, nodes, threads)
    job = SimpleNamespace(study="a", seed="0")
    assert (plan.gpu_alone, plan.threads_alone(job)) == (1, 3)
    assert plan.group("levels")(job) is None


def test_one_module_alone_knows_how_processes_speak():
    found = set()
    for path in (REPOSITORY / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{a.name}" for a in node.names]
            if isinstance(node, ast.Attribute) and node.attr == "distributed":
                names = ["torch.distributed"]
            if any(name.startswith("torch.distributed") for name in names):
                found.add(path.name)
    assert found == {"processes.py"}


def test_each_process_reads_its_own_pictures_and_workers_change_nothing(tmp_path):
    """Of 20 pictures in batches of 6, 6, 6 and 2: three, three, three and one for each."""
    make_tree(tmp_path / "tree", train=20)
    path = listed(tmp_path)
    found = well(together.run(2, read_in_both_ways, path, 2))
    result, metrics = one([alike[:2] for alike, _ in found])
    assert same(result, one([ahead[:2] for _, ahead in found])[0])
    task = small_task(load(path), **PICTURES)
    assert same(result, accumulated(task, 2, 8))
    order = task.batches(0, ("x",)).order
    for rank, ((*_, read), (*_, of_workers)) in enumerate(found):
        pieces = [piece for index in range(8) for piece in order.pieces(index, Share(rank, 2))]
        assert read == [row for piece in pieces for row in order.images(piece).tolist()]
        assert len(read) == 20  # of 40 that two epochs have
        assert not of_workers  # which read in processes of their own
    assert metrics[-1]["test_loss"] > 0
