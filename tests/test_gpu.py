"""On a GPU: the same numbers as on the CPU up to rounding, and the same bytes each time."""

from dataclasses import replace

import pytest
import torch

import pruning
from pruning import registry
from pruning.data.batches import Batching, TrainingStream
from pruning.data.loader import WORKERS
from pruning.data.sentences import load_text
from pruning.data.splits import load
from pruning.masks.weights import prune
from pruning.systems.gem_miner.method import search
from pruning.systems.gem_miner.rules import Search
from pruning.systems.prunetrain.method import Settings, train_prunetrain
from pruning.training.dense import train_dense
from pruning.training.loop import Run, train
from pruning.training.recipe import OptimizerConfig
from pruning.training.resume import ResumeFile
from pruning.training.translation import Translation
from tests.conftest import assert_same_state
from tests.test_callback import Killed, Killing
from tests.test_image_files import listed, make_tree
from tests.text import BIASES, NETWORK, text_file
from tests.text import RECIPE as TEXT_RECIPE

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")

NETWORKS = {"mlp": {"widths": [24]}, "small_cnn": {}, "resnet8": {"widths": [8, 16, 32]}}


@pytest.fixture(scope="session")
def on_gpu(digits_file):
    """The digits, kept on the GPU."""
    return load(digits_file, device="cuda")


@pytest.fixture
def pair(make_task, on_gpu):
    """A function that makes one task twice: on the CPU and on the GPU."""

    def make(network="small_cnn", **more):
        task = make_task(network, NETWORKS[network], **more)
        return task, replace(task, data=on_gpu)

    return make


@pytest.mark.parametrize("network", NETWORKS)
def test_initial_states_and_batches_are_those_of_the_cpu(pair, network):
    batches = Batching(48, crop_padding=2, flip=True, normalization="per_image")
    cpu, gpu = pair(network, batches=batches)
    assert_same_state(gpu.initial_state(3), cpu.initial_state(3))
    for index in (0, 5, 40):
        (a, labels), (b, others) = (t.batches(1, ("x",)).batch(index) for t in (cpu, gpu))
        assert b.is_cuda
        assert torch.equal(labels, others.cpu())
        assert torch.allclose(a, b.cpu(), atol=1e-5)


@pytest.mark.parametrize("workers", [0, 2])
def test_pictures_from_files_come_to_the_gpu_as_they_are(tmp_path, monkeypatch, workers):
    make_tree(tmp_path / "tree", train=150)
    path = listed(tmp_path)
    batching = Batching(100, flip=True, crop_padding=2)  # of two chunks
    monkeypatch.setenv(WORKERS, str(workers))
    cpu, gpu = (
        TrainingStream(load(path, device=d).train, lambda x: x, batching, 0, ("x",))
        for d in ("cpu", "cuda")
    )
    for index in range(4):
        (a, labels), (b, others) = (source.batch(index) for source in (cpu, gpu))
        assert b.is_cuda
        assert torch.equal(a, b.cpu())
        assert torch.equal(labels, others.cpu())


@pytest.mark.parametrize("network", NETWORKS)
def test_some_steps_agree_with_the_cpu(pair, network):
    moves, states = [], []
    for task in pair(network):
        start = task.initial_state(0)
        start = start.masked(pruning.prune(task, start, 0.5))
        states.append(train(task, start, Run(4, lambda step: 0.02, 0, ("x",))).state)
        now, before = states[-1].weights, start.weights
        moves.append(torch.cat([(now[name] - before[name]).flatten() for name in now]))
    # A CPU's batch norm is the less exact one of the two.
    assert (moves[0] - moves[1]).norm() < 1e-2 * moves[0].norm()
    for name, mask in states[0].masks.items():
        assert torch.equal(states[1].weights[name] != 0, mask)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_training_is_the_same_bytes_each_time_killed_or_not(pair, network, tmp_path):
    _, task = pair(network)
    run = Run(task.timeline.total_steps, task.timeline.schedule(), 0, ("dense",))
    start = task.initial_state(0)
    start = start.masked(pruning.prune(task, start, 0.3))
    whole = train(task, start, run)
    assert_same_state(train(task, start, run).state, whole.state)

    with pytest.raises(Killed):
        train(task, start, run, resume=Killing(tmp_path / "r", 1))
    again = train(task, start, run, resume=ResumeFile(tmp_path / "r", "same"))
    assert_same_state(again.state, whole.state)
    assert again.metrics == whole.metrics


@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_a_rounded_training_repeats_too_and_differs(pair, precision):
    _, task = pair("resnet8")
    exact, first, second = (
        pruning.train_dense(replace(task, recipe=replace(task.recipe, precision=p)), 0).final
        for p in ("float32", precision, precision)
    )
    assert_same_state(first, second)
    assert any(not torch.equal(w, exact.weights[name]) for name, w in first.weights.items())


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("score", sorted(registry.SCORES))
def test_masks_are_those_of_the_cpu_up_to_rounding(pair, network, score):
    kept = []
    for task in pair(network):
        state = task.initial_state(0)
        masks = pruning.prune(task, state, 0.2, score=score)
        kept.append(torch.cat([mask.flatten().cpu() for mask in masks.values()]))
    assert kept[0].sum() == kept[1].sum()
    same = (kept[0] & kept[1]).sum() / kept[0].sum()
    assert same == 1 if score in ("magnitude", "random") else same > 0.99


def test_every_wings_method_trains_there_and_repeats(pair):
    smooth = OptimizerConfig("sgd", options={"momentum": 0.9})
    gsm = OptimizerConfig("gsm", 5e-4, (), {"momentum": 0.9, "density": 0.2})
    for optimizer in (smooth, gsm):
        _, task = pair(optimizer=optimizer)
        first, second = (pruning.train_dense(task, 0).final for _ in range(2))
        assert_same_state(first, second)

    _, task = pair(epochs=8, milestones=(), optimizer=smooth)
    bare = {"norm_affine": False, "bias": False}
    task = replace(task, network=replace(task.network, options=bare))
    state = task.initial_state(0)
    how = Search("gem_miner", 0.3, period=2, strength=1e-3)
    first, second = (search(task, state, how, recipe=task.recipe) for _ in range(2))
    assert_same_state(first.state, second.state)

    settings = Settings(ratio=0.4, interval=2, threshold=1e-2, epsilon=1e-4)
    wide = {"widths": [8, 16], "hidden": 24}
    task = replace(task, network=replace(task.network, options=wide))
    state = task.initial_state(0)
    first, second = (train_prunetrain(task, state, settings) for _ in range(2))
    assert_same_state(first.trained.state, second.trained.state)
    assert pruning.evaluate(task, first.trained.state)["test"]["accuracy"] > 0.5


@pytest.fixture(scope="module")
def translations(tmp_path_factory):
    """The same task of text on the CPU and on the GPU."""
    path = text_file(tmp_path_factory.mktemp("text") / "renamed.safetensors")
    return [
        Translation(load_text(path, device), NETWORK, TEXT_RECIPE, also_prunable=BIASES)
        for device in ("cpu", "cuda")
    ]


def test_sentences_are_trained_on_as_on_the_cpu(translations):
    cpu, gpu = (train_dense(task, 0, steps=4) for task in translations)
    for name, weight in cpu.final.weights.items():
        assert torch.allclose(gpu.final.weights[name], weight, atol=1e-3), name
    one, other = (run.trained.metrics[-1] for run in (cpu, gpu))
    assert other["test_loss"] == pytest.approx(one["test_loss"], rel=1e-3)


@pytest.mark.parametrize("score", ["snip", "grasp", "synflow"])
def test_text_is_scored_as_on_the_cpu(translations, score):
    cpu, gpu = (
        prune(task, task.initial_state(0), 0.7, score=score, sample={"sentences": 20})
        for task in translations
    )
    differ = sum(int((cpu[name] != gpu[name]).sum()) for name in cpu)
    assert differ <= 4
