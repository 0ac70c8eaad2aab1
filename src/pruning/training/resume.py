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
from typing import Any

from torch import Tensor

from pruning import checks
from pruning.errors import PruningError
from pruning.files import write_json
from pruning.locks import FileLock
from pruning.training import processes
from pruning.training.checkpoint import load_state, load_tensors, save_state, save_tensors
from pruning.training.state import State

log = logging.getLogger("pruning")

LOCK = "lock"  # in the folder
_INDEX = {
    "fingerprint": checks.TEXT,
    "done": checks.COUNT,
    "files": checks.MAPPING,
    "snapshots": checks.LIST,
    "metrics": checks.LIST,
    "seconds": checks.AMOUNT,
    "epoch_seconds": checks.LIST,
}


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

    Of processes that train together all read it, and the first alone does everything else.

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
        self._checksums: dict[str, str] = {}  # of the files that are there, by name
        self._current: list[str] = []  # of these, what the index names
        self._failed = False

    def offer(self, progress: Callable[[], Progress]) -> None:
        """Save ``progress()`` if enough has been trained since the last time.

        By the clock of the first process, and nothing that the others do follows from it.
        """
        if processes.rank():
            return
        started = time.monotonic()
        if self._cost > self.budget * (started - self._last_saved):
            return
        try:
            self.save(progress())
        except (PruningError, OSError) as error:
            # The training's own files may still fit; they say so themselves if they do not.
            self._clean()
            if not self._failed:
                log.warning("No progress is kept, the training goes on: %s", error)
            self._failed = True
        self._last_saved = time.monotonic()
        self._cost = self._last_saved - started

    def save(self, progress: Progress) -> None:
        """Write a progress; only snapshots that are not there yet are written again."""
        done = progress.done
        self._write(save_state, progress.state, _state_name(done))
        self._write(save_tensors, progress.callback, _callback_name(done))
        for step, snapshot in progress.snapshots.items():
            name = _snapshot_name(step)
            if name not in self._checksums or not (self.folder / name).exists():
                self._write(save_state, snapshot, name)
        names = [_state_name(done), _callback_name(done)]
        names += [_snapshot_name(step) for step in sorted(progress.snapshots)]
        write_json(
            self.folder / "index.json",
            {
                "fingerprint": self.fingerprint,
                "done": done,
                "files": {name: self._checksums[name] for name in names},
                "snapshots": sorted(progress.snapshots),
                "metrics": progress.metrics,
                "seconds": progress.seconds,
                "epoch_seconds": progress.epoch_seconds,
            },
        )
        self._current = names
        self._clean()

    def _write(self, save: Callable[..., str], value: Any, name: str) -> None:
        self._checksums[name] = save(value, self.folder / name)

    def _clean(self) -> None:
        """Remove files that belong to no progress."""
        for old in self.folder.glob("*.safetensors"):
            if old.name not in self._current:
                with contextlib.suppress(OSError):
                    old.unlink()
                self._checksums.pop(old.name, None)

    def load(self) -> Progress | None:
        """The progress on disk, or None: nothing there, another fingerprint, or damaged.

        Raises:
            PruningError: another training is at this; or, of one of several processes, what the
                first one could read.
        """
        found: list[Progress] = []

        def first() -> Mapping[str, Any] | None:
            index, progress = self._found()
            found.append(progress)
            return index

        index = processes.decided(first)
        if found or index is None:
            return found[0] if found else None
        return self._loaded(index)

    def _found(self) -> tuple[Mapping[str, Any] | None, Progress | None]:
        """The index and the progress that it names, or two times None; see :meth:`load`."""
        if not self._lock.acquire(self.patience):
            output = self.folder.with_suffix("")
            raise PruningError(
                f"{output} is being trained already, by {self._lock.holder()}. Wait until "
                "that has ended, or end it, and run the same command again."
            )
        if not (self.folder / "index.json").exists():
            self._clear()
            return None, None
        try:
            index = checks.read(self.folder / "index.json", _INDEX)
            if index["fingerprint"] != self.fingerprint:
                log.info("%s is of other settings or inputs and is not used", self.folder)
                self._clear()
                return None, None
            return index, self._loaded(index)
        except Exception as error:  # whatever is wrong with it, the training does not need it
            log.warning("%s is damaged (%s); training starts over", self.folder, error)
            self._clear()
            return None, None

    def _loaded(self, index: Mapping[str, Any]) -> Progress:
        files, done = index["files"], index["done"]

        def read(load: Callable[..., Any], name: str) -> Any:
            return load(self.folder / name, files[name])

        state = read(load_state, _state_name(done))
        snapshots = {s: read(load_state, _snapshot_name(s)) for s in index["snapshots"]}
        memory = read(load_tensors, _callback_name(done))
        self._checksums, self._current = dict(files), list(files)
        return Progress(
            state=state,
            done=done,
            metrics=index["metrics"],
            snapshots=snapshots,
            seconds=index["seconds"],
            epoch_seconds=index["epoch_seconds"],
            callback=memory,
        )

    def discard(self) -> None:
        """Remove the folder."""
        if processes.rank():
            return
        self._clear()
        with contextlib.suppress(OSError):  # who waited for the lock may have made a new one
            (self.folder / LOCK).unlink()
            self.folder.rmdir()
        self._lock.release()

    def _clear(self) -> None:
        """Remove what is in the folder, but for the lock; or a file or link in its place."""
        self._checksums, self._current = {}, []
        with contextlib.suppress(OSError):
            if self.folder.is_symlink() or self.folder.is_file():
                self.folder.unlink()
            for path in self.folder.iterdir() if self.folder.is_dir() else ():
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                elif path.name != LOCK:
                    path.unlink()


def _state_name(done: int) -> str:
    return f"state-{done}.safetensors"


def _callback_name(done: int) -> str:
    return f"callback-{done}.safetensors"


def _snapshot_name(step: int) -> str:
    return f"snapshot-{step}.safetensors"
