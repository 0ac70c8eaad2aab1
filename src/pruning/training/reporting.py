"""What a training says while it runs: a bar on a terminal, a line per epoch in a log."""

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator, Mapping

from pruning.training import processes
from pruning.training.task import Task

log = logging.getLogger("pruning")


@contextlib.contextmanager
def bar(name: str, steps: int, done: int) -> Iterator[Callable[[int], None]]:
    """A progress bar of the first process on a terminal; in a log file, its line per epoch is
    enough."""
    logs_to_file = any(isinstance(h, logging.FileHandler) for h in log.handlers)
    if processes.rank() or logs_to_file or not sys.stderr.isatty():
        yield lambda stop: None
        return
    from tqdm import tqdm

    with tqdm(total=steps, initial=done, desc=name, unit="step", leave=False) as shown:
        yield lambda stop: shown.update(stop - shown.n)


def line(task: Task, row: Mapping[str, float]) -> str:
    """An epoch's row of the metrics in one line, with the score that decides."""
    metric = task.metric.name
    return (
        f"{task.name}: epoch {row['epoch']:g}, step {row['step']}, lr {row['learning_rate']:g}, "
        f"loss {row['train_loss']:.4f}, validation {row[f'validation_{metric}']:.4f}, "
        f"test {row[f'test_{metric}']:.4f}"
    )
