"""Training a network that was pruned before training, or at some step of it.

Frankle, Dziugaite, Roy, Carbin (ICLR 2021, arXiv 2009.08576). Masks come from
:mod:`pruning.masks.weights`; which of which weights, a system says.
"""

from collections.abc import Mapping

from torch import Tensor

from pruning.training.loop import Run, Trained, train
from pruning.training.resume import ResumeFile
from pruning.training.state import State
from pruning.training.task import Task


def train_pruned(
    task: Task,
    masks: Mapping[str, Tensor],
    state: State | None,
    *,
    schedule: str = "whole",
    seed: int = 0,
    stream: tuple[str | int, ...] = ("train_pruned",),
    resume: ResumeFile | None = None,
) -> Trained:
    """Train under masks to the end of the schedule.

    Weights and batch-norm statistics are those of the state; the optimizer starts without memory,
    as in the authors' code.

    Args:
        task: what to train.
        masks: what is kept; prunable weights that have none are kept whole.
        state: where weights come from; None draws the whole network anew.
        schedule: ``whole``: from step 0, whatever step the state is of (T epochs); ``rest``: from
            the state's step on.
        seed: the study's seed.
        stream: purpose of this run; with the seed it decides data order and fresh weights.
        resume: a file that a killed training continues from.

    Raises:
        PruningError: masks that do not fit, or no step is left to train.
    """
    source = task.initial_state(seed, *stream) if state is None else state
    step = {"whole": 0, "rest": source.step}[schedule]
    steps = task.timeline.steps_from(step)
    start = State(source.weights, source.buffers, step=step).masked(masks)
    start = start.counting(task.prunable())
    run = Run(steps, task.timeline.schedule(), seed, stream)
    return train(task, start, run, resume=resume)
