"""Mini-batches that grow."""

from fractions import Fraction

import pytest
import torch

from pruning.data.batching import Batching
from pruning.models.build import build
from pruning.models.config import NetworkConfig
from pruning.systems.prunetrain.batches import (
    Growth,
    Memory,
    from_tensor,
    grown,
    memory_of,
    to_tensor,
)
from pruning.training.loop import Run


def test_the_batch_is_the_largest_multiple_within_the_budget():
    growth, memory = Growth(maximum=512, multiple=32), Memory(parameters=1000, saved=100.0)
    assert memory.of(64) == 12_000 + 6_400
    assert growth.size(memory, memory.of(200), 64) == 192
    assert growth.size(memory, memory.of(192), 64) == 192
    assert growth.size(memory, memory.of(191), 64) == 160
    assert growth.size(memory, 1e9, 64) == 512
    assert growth.size(memory, 0.0, 64) == 64  # never smaller
    assert growth.size(memory, memory.of(192), 200) == 200


def test_saved_memory_is_what_a_forward_pass_keeps_of_an_image():
    module = build(NetworkConfig("lenet_300_100"), (1, 28, 28), 10, 0)
    before = {n: p.clone() for n, p in module.state_dict().items()}
    memory = memory_of(module, (torch.ones(1, 1, 28, 28),))
    # Inputs of three linear layers; a ReLU keeps its output, which is the next one's input.
    assert memory.saved == 4 * (784 + 300 + 100)
    assert memory.parameters == 266_610
    assert all(torch.equal(before[n], p) for n, p in module.state_dict().items())


def test_a_network_with_fewer_channels_takes_less():
    sizes = [
        memory_of(
            build(NetworkConfig("small_cnn", options={"widths": [w, 2 * w]}), (1, 8, 8), 10, 0),
            (torch.ones(1, 1, 8, 8),),
        ).saved
        for w in (4, 8, 16)
    ]
    assert sizes[0] < sizes[1] < sizes[2]


def test_a_grown_run_is_as_long_in_epochs_and_as_fast_in_each(make_task):
    task = make_task(epochs=6, batches=Batching(64, epoch_boundary="keep"), milestones=(2, 5))
    before = int(task.timeline.steps_per_epoch)
    run = Run(task.timeline.total_steps, task.timeline.schedule(), 3, ("x",), first_batch=0)
    large, longer = grown(task, run, [(0, 64), (3, 128), (4, 320)])
    images = task.examples("train")
    per = {size: -(-images // size) for size in (64, 128, 320)}
    ends = [before, 2 * before, 3 * before]
    ends += [ends[-1] + per[128]]
    ends += [ends[-1] + per[320], ends[-1] + 2 * per[320]]
    assert longer.epoch_ends == tuple(ends)
    assert longer.steps == ends[-1]
    assert large.recipe.batches.size == 320
    assert (longer.seed, longer.stream) == (3, ("x",))
    # The stream of the last size begins with its own epoch 4.
    assert longer.first_batch + ends[3] == 4 * per[320]
    rates = [longer.schedule(step) for step in range(longer.steps)]
    assert rates[: 2 * before] == [0.1] * (2 * before)
    assert rates[2 * before : 3 * before] == pytest.approx([0.01] * before)
    assert rates[3 * before : ends[3]] == pytest.approx([0.02] * per[128])
    assert rates[ends[3] : ends[4]] == pytest.approx([0.05] * per[320])
    assert rates[ends[4] :] == pytest.approx([0.005] * per[320])  # the milestone at epoch 5


def test_a_part_of_an_epoch_at_the_end_stays_one(make_task):
    task = make_task(epochs=2.5, batches=Batching(64, epoch_boundary="keep"), milestones=())
    run = Run(task.timeline.total_steps, task.timeline.schedule(), 0, ("x",))
    _, longer = grown(task, run, [(0, 64), (1, 128)])
    before, after = int(task.timeline.steps_per_epoch), -(-task.examples("train") // 128)
    share = Fraction(run.steps, before) - 1
    assert longer.epoch_ends == (before, before + after, before + int(share * after))


def test_sizes_survive_a_resume_file():
    sizes = [(0, 64), (10, 96)]
    assert from_tensor(to_tensor(sizes)) == sizes
