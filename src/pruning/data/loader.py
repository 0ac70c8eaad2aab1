"""Worker processes that read pictures ahead, in the order in which they will be asked for.

They are forks of the training process, so that the list of files is in memory once, and never touch
a GPU. Each computes on one thread. Without any, the same is read in the process itself.
"""

import contextlib
import ctypes
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pruning.errors import PruningError

WORKERS = "PRUNING_LOADER_WORKERS"  # environment: how many processes read pictures for a training
AHEAD = 4  # requests that wait at each worker

Load = Callable[[Any], np.ndarray]


def workers(environment: Mapping[str, str] = os.environ) -> int:
    """How many processes read pictures for this one.

    Raises:
        PruningError: the environment says something else than a number.
    """
    told = environment.get(WORKERS, "0")
    if not told.isdecimal():
        raise PruningError(f"{WORKERS} must be a whole number, it is {told!r}.")
    return int(told)


def load_ahead(load: Load, requests: Iterable[Any]) -> Iterator[Tensor]:
    """Arrays for requests, in their order; the number of workers changes none.

    Args:
        load: makes an array of a request; in a worker process, where there are any.
        requests: endless, if you like; looked at a little ahead of what is taken.

    Raises:
        PruningError: whatever ``load`` raised, once it is that request's turn; or a worker died.
    """
    count = workers()
    if not count:
        return (torch.from_numpy(load(request)) for request in requests)
    return _ahead(load, requests, count)


def _ahead(load: Load, requests: Iterable[Any], count: int) -> Iterator[Tensor]:
    loader = DataLoader(
        _Pictures(load),
        batch_size=None,  # each request is a batch by itself
        sampler=requests,
        num_workers=count,
        prefetch_factor=AHEAD,
        collate_fn=_as_it_is,
        worker_init_fn=_Start(os.getpid()),
        generator=torch.Generator(),  # else it draws from the one that dropout draws from
        multiprocessing_context="fork",
    )
    with _no_alarm():
        loaded = iter(loader)
    try:
        while True:
            made = _next(loaded)
            if made is None:
                return
            if isinstance(made, str):
                raise PruningError(made)
            yield made
    finally:
        del loaded  # which ends the workers; an error would keep this frame, and so them


def _next(loaded: Iterator[Tensor | str]) -> Tensor | str | None:
    """What comes next, or the text of an error; None at the end."""
    try:
        return next(loaded)
    except StopIteration:
        return None
    except (EOFError, ConnectionError, FileNotFoundError):
        pass  # what it had read went with it
    except RuntimeError as error:  # torch's, of a process that is no longer there
        if "DataLoader worker" not in str(error):
            raise
    return (
        "A process that reads pictures ended unexpectedly: killed, perhaps as memory ran out, or "
        "without room in /dev/shm. Nothing that was written is lost. Run the same command again; "
        "if it happens again, with more memory or fewer `resources.loader_workers`."
    )


class _Pictures(Dataset):
    """Requests to arrays, or to the text of an error: an exception would come with a traceback."""

    def __init__(self, load: Load) -> None:
        self.load = load

    def __getitem__(self, request: Any) -> Tensor | str:
        try:
            return _shared(torch.from_numpy(self.load(request)))
        except PruningError as error:
            return str(error)


def _shared(made: Tensor) -> Tensor:
    """In memory that the training sees too.

    Torch would do that in a thread of its own, and where it cannot, the training would wait for
    ever.
    """
    try:
        return made.share_memory_()
    except (RuntimeError, OSError) as error:
        raise PruningError(
            f"There is no room for pictures that were read ahead ({' '.join(str(error).split())}). "
            "They wait in shared memory, /dev/shm: give it more (Docker: --shm-size), or have "
            "fewer `resources.loader_workers`; with 0 none is needed. Nothing that was written is "
            "lost."
        ) from None


def _as_it_is(made: Any) -> Any:
    return made


class _Start:
    """What a worker does first.

    Args:
        parent: the process that it works for.
    """

    def __init__(self, parent: int) -> None:
        self.parent = parent

    def __call__(self, _number: int) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the training, which ends us
        sys.excepthook = _tell_unless_gone
        if sys.platform == "linux":
            set_parent_death_signal = 1  # PR_SET_PDEATHSIG; else torch looks every few seconds
            ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
        if os.getppid() != self.parent:
            os._exit(1)


def _tell_unless_gone(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """Threads that hand pictures over meet a training that is killed just then: nothing to tell."""
    if not issubclass(kind, ConnectionError | EOFError):
        sys.__excepthook__(kind, error, trace)


@contextlib.contextmanager
def _no_alarm() -> Iterator[None]:
    """Starting workers leaves no handler that would raise anywhere when one of them dies: it is
    noticed where its work is waited for. Nor a warning of what forks and threads might do, as the
    workers use nothing of the other threads."""
    here = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGCHLD)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
    if here:
        signal.signal(signal.SIGCHLD, before)
