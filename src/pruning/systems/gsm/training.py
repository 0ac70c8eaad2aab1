"""Training by GSM, from a trained network to one whose small weights are close to zero.

Ding et al. 2019 (arXiv 1909.12778); the optimizer is :class:`pruning.systems.gsm.method.GSM`.
"""

from dataclasses import replace

from pruning.systems.gsm.zeroing import Zeroing
from pruning.training.loop import Run, Trained, train
from pruning.training.recipe import Recipe, Timeline
from pruning.training.resume import ResumeFile
from pruning.training.state import State
from pruning.training.task import Task


def shrinkage(timeline: Timeline) -> float:
    """S, the sum of learning rate * weight decay / (1 - momentum) over all steps of a recipe.

    A weight that is passive throughout shrinks to about exp(-S) of what it was, so S is what a
    shorter training by GSM has to keep: 18.9 for the authors' LeNets, 8.0 for their ResNet-56.
    """
    rate, optimizer = timeline.schedule(), timeline.recipe.optimizer
    per_rate = optimizer.weight_decay / (1 - optimizer.options.get("momentum", 0.0))
    return per_rate * sum(map(rate, range(timeline.total_steps)))


def train_gsm(
    task: Task,
    state: State,
    recipe: Recipe,
    *,
    seed: int = 0,
    stream: tuple[str | int, ...] = ("gsm",),
    resume: ResumeFile | None = None,
    steps: int | None = None,
) -> Trained:
    """Train a whole network by a recipe of its own; nothing is zero at the end yet.

    Weights and batch-norm statistics are those of the state; the optimizer starts without memory
    and the schedule at step 0.

    Args:
        task: data and network.
        state: the trained network.
        recipe: whose optimizer is ``gsm`` and says the density.
        seed: the study's seed.
        stream: purpose of this run; with the seed it decides the data order.
        resume: a file that a killed training continues from.
        steps: stop after this many steps instead (a trial run).

    Returns:
        The training; its metrics also have what :class:`pruning.systems.gsm.zeroing.Zeroing` writes
        down.
    """
    task = replace(task, recipe=recipe)
    steps = task.timeline.total_steps if steps is None else steps
    run = Run(steps, task.timeline.schedule(), seed, stream)
    start = State(state.weights, state.buffers)
    density = recipe.optimizer.options["density"]
    return train(task, start, run, callback=Zeroing(task, density), resume=resume)
