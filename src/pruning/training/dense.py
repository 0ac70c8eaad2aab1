"""The original training, from initialization, with the states that rewinding needs."""

from collections.abc import Mapping
from dataclasses import dataclass

from pruning.training.loop import Run, Trained, train
from pruning.training.resume import ResumeFile
from pruning.training.state import State
from pruning.training.task import Task


@dataclass(frozen=True)
class Dense:
    """A dense training.

    Attributes:
        trained: final state and metrics.
        rewind: states at the rewind step of each retrain time, by retrain time in epochs.
    """

    trained: Trained
    rewind: Mapping[float, State]

    @property
    def final(self) -> State:
        """The state at the end of training."""
        return self.trained.state


def train_dense(
    task: Task,
    seed: int,
    retrain_times: tuple[float, ...] = (),
    *,
    resume: ResumeFile | None = None,
    steps: int | None = None,
) -> Dense:
    """Train from initialization for the recipe's length.

    Args:
        task: what to train.
        seed: decides initialization, data order and augmentation.
        retrain_times: epochs before the end whose states to keep for rewinding.
        resume: a file that a killed training continues from.
        steps: stop after this many steps instead (a trial run).

    Raises:
        PruningError: a retrain time outside (0, T].
    """
    at = {time: task.timeline.rewind_step(time) for time in retrain_times}
    steps = task.timeline.total_steps if steps is None else steps
    run = Run(steps, task.timeline.schedule(), seed, ("dense",))
    trained = train(
        task,
        task.initial_state(seed, "dense"),
        run,
        snapshots=tuple(sorted(set(at.values()))),
        resume=resume,
    )
    # A training resumed after a retrain time joined has no state of steps it had passed by then;
    # the stage that asks for one repeats the training up to there.
    kept = {time: trained.snapshots[s] for time, s in at.items() if s in trained.snapshots}
    return Dense(trained, kept)
