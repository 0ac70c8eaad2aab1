"""Where a killed training goes on from.

Snakemake deletes the declared outputs of a job that failed, so this file is *undeclared*: it lies
beside the output, is written atomically at the end of epochs, and is removed on success. It
carries a fingerprint of everything that decides numbers and is used only where that matches.
"""

import contextlib
import logging
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from pruning.errors import PruningError
from pruning.files import read_json, write_json
from pruning.locks import FileLock
from pruning.training.checkpoint import load_state, load_tensors, save_state, save_tensors
from pruning.training.state import State

log = logging.getLogger("pruning")

LOCK = "lock"  # in the folder


@dataclass(frozen=True)
class Progress:
    """A training that is under way.

    Attributes:
        state: the state now.
        done: steps of this run made so far.
        metrics: rows so far.
        snapshots: states taken so far, by global step.
        seconds: training time so far.
        callback: what a callback remembers, see :class:`pruning.training.callback.Callback`.
        epoch_seconds: what the steps of each row of the metrics took.
    """

    state: State
    done: int = 0
    metrics: list[dict] = field(default_factory=list)
    snapshots: Mapping[int, State] = field(default_factory=dict)
    seconds: float = 0.0
    callback: Mapping[str, Tensor] = field(default_factory=dict)
    epoch_seconds: list[float] = field(default_factory=list)


class ResumeFile:
    """A folder ``<output>.resume`` with one complete progress at a time.

    ``index.json`` is renamed into place last and names the files that belong to it, so a kill at
    any moment leaves either the old progress or the new one. A lock keeps a second process that
    trains the same away, from :meth:`load` to :meth:`discard`.

    Args:
        folder: where; undeclared, beside the stage's outputs.
        fingerprint: hash of everything that decides the run's numbers.
        budget: the largest share of training time that saving may take. An epoch that is over
            sooner than that is left unsaved: it is cheaper to train again than to write down.
        patience: seconds to wait for a process that trains the same: one that was told to end.
    """

    def __init__(
        self,
        folder: Path | str,
        fingerprint: str,
        budget: float = 0.05,
        patience: float = 60.0,
    ) -> None:
        self.folder, self.fingerprint, self.budget = Path(folder), fingerprint, budget
        self.patience, self._lock = patience, FileLock(self.folder / LOCK)
        self._last_saved, self._cost = time.monotonic(), 0.02  # seconds; a guess before the first

    def offer(self, progress: Callable[[], Progress]) -> None:
        """Save ``progress()`` if enough has been trained since the last time."""
        started = time.monotonic()
        if self._cost > self.budget * (started - self._last_saved):
            return
        self.save(progress())
        self._last_saved = time.monotonic()
        self._cost = self._last_saved - started

    def save(self, progress: Progress) -> None:
        """Write a progress; only snapshots that are not there yet are written again."""
        state_name = f"state-{progress.done}.safetensors"
        save_state(progress.state, self.folder / state_name)
        save_tensors(progress.callback, self.folder / _callback_name(progress.done))
        for step, snapshot in progress.snapshots.items():
            if not (self.folder / _snapshot_name(step)).exists():
                save_state(snapshot, self.folder / _snapshot_name(step))
        write_json(
            self.folder / "index.json",
            {
                "fingerprint": self.fingerprint,
                "done": progress.done,
                "state": state_name,
                "snapshots": sorted(progress.snapshots),
                "metrics": progress.metrics,
                "seconds": progress.seconds,
                "epoch_seconds": progress.epoch_seconds,
            },
        )
        for pattern, current in (
            ("state-*.safetensors", state_name),
            ("callback-*.safetensors", _callback_name(progress.done)),
        ):
            for old in self.folder.glob(pattern):
                if old.name != current:
                    old.unlink()

    def load(self) -> Progress | None:
        """The progress on disk, or None: nothing there, another fingerprint, or damaged.

        Raises:
            PruningError: another process trains this.
        """
        if not self._lock.acquire(self.patience):
            output = self.folder.with_suffix("")
            raise PruningError(
                f"{output} is being trained already, by {self._lock.holder()}. Wait until "
                "that has ended, or end it, and run the same command again."
            )
        if not (self.folder / "index.json").exists():
            self._clear()
            return None
        try:
            index = read_json(self.folder / "index.json")
            if index["fingerprint"] != self.fingerprint:
                log.info("%s is of other settings or inputs and is not used", self.folder)
                self._clear()
                return None
            return Progress(
                state=load_state(self.folder / index["state"]),
                done=index["done"],
                metrics=index["metrics"],
                snapshots={
                    s: load_state(self.folder / _snapshot_name(s)) for s in index["snapshots"]
                },
                seconds=index["seconds"],
                epoch_seconds=index["epoch_seconds"],
                callback=load_tensors(self.folder / _callback_name(index["done"])),
            )
        except (PruningError, KeyError, TypeError) as error:
            log.warning("%s is damaged (%s); training starts over", self.folder, error)
            self._clear()
            return None

    def discard(self) -> None:
        """Remove the folder."""
        self._clear()
        with contextlib.suppress(OSError):  # who waited for the lock may have made a new one
            (self.folder / LOCK).unlink()
            self.folder.rmdir()
        self._lock.release()

    def _clear(self) -> None:
        """Remove what is in the folder, but for the lock."""
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != LOCK:
                path.unlink()


def _callback_name(done: int) -> str:
    return f"callback-{done}.safetensors"


def _snapshot_name(step: int) -> str:
    return f"snapshot-{step}.safetensors"
