"""Which GPU is mine? Snakemake counts GPUs but hands out no numbers, so jobs agree by file locks.

Each GPU has a number of slots, each slot a lock file. A job holds the lock of its slot while it
trains; the kernel lets go of it when the process ends, however it ends.
"""

import contextlib
import logging
import os
import random
import socket
import stat
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from pruning.errors import PruningError
from pruning.locks import try_lock

log = logging.getLogger("pruning")


def default_folder() -> Path:
    """The lock folder that all jobs of this user on this machine share.

    It has the machine's name, as nodes of a cluster may have one folder for temporary files.
    """
    owner = f"{os.getuid()}-{socket.gethostname()}"
    return Path(tempfile.gettempdir(), f"pruning-gpu-slots-{owner}")


@contextlib.contextmanager
def hold_gpus(
    gpus: int,
    share: int = 1,
    visible: str = "",
    folder: Path | None = None,
    poll: float = 0.5,
    wanted: int = 1,
) -> Iterator[tuple[int, ...]]:
    """Hold slots of different GPUs, all or none; wait while there are too few.

    A job that held some while it waits for more could wait for one that does the same.

    Args:
        gpus: how many GPUs this process sees.
        share: jobs per GPU. Slots are filled GPU by GPU, one job each first.
        visible: ``CUDA_VISIBLE_DEVICES``, so that index 0 of two differently restricted jobs is
            not taken for the same GPU.
        folder: where the lock files are.
        poll: seconds between tries.
        wanted: how many slots, at most one of each GPU.

    Yields:
        The indices of the GPUs among those this process sees.

    Raises:
        PruningError: fewer GPUs than are wanted, a share below 1, or a folder or lock file that is
            not ours.
    """
    if gpus < wanted or share < 1:
        raise PruningError(f"No GPU slots: {gpus} GPUs, {share} jobs each (PRUNING_JOBS_PER_GPU).")
    folder = folder or default_folder()
    _own(folder)
    names = [name for name in visible.split(",") if name] or [str(i) for i in range(gpus)]
    slots = [(index, names[index].strip(), n) for n in range(share) for index in range(gpus)]
    waiting = False
    while True:
        with contextlib.ExitStack() as held:
            taken = _take(slots, wanted, folder, held)
            if len(taken) == wanted:
                for name, number in taken.values():
                    log.info("using GPU %s, slot %d of %d", name, number + 1, share)
                yield tuple(sorted(taken))
                return
        if not waiting:
            log.info("waiting for %d of %d GPU slots", wanted, len(slots))
            waiting = True
        # Two jobs that try in step would take from each other what either needs.
        time.sleep(poll * random.uniform(0.5, 1.5))


def _take(
    slots: Sequence[tuple[int, str, int]], wanted: int, folder: Path, held: contextlib.ExitStack
) -> dict[int, tuple[str, int]]:
    """Lock free slots, of other GPUs each; (name, slot) by the GPU's index."""
    taken: dict[int, tuple[str, int]] = {}
    for index, name, number in slots:
        if len(taken) == wanted:
            break
        if index in taken:
            continue
        path = folder / f"gpu{name}-slot{number}.lock"
        try:
            handle = try_lock(path)
        except OSError as error:
            raise _refusal(path, error) from None
        if handle is not None:
            held.callback(os.close, handle)
            taken[index] = name, number
    return taken


def _own(folder: Path) -> None:
    """Make the folder, or see that it is ours: others could keep us waiting or redirect us.

    Raises:
        PruningError: it is somebody else's, or no folder.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = os.lstat(folder)
        if not stat.S_ISDIR(found.st_mode):
            raise NotADirectoryError("a link")
        if found.st_uid != os.getuid():
            raise PermissionError("it belongs to another user")
        if stat.S_IMODE(found.st_mode) & 0o077:
            os.chmod(folder, 0o700)
    except OSError as error:
        raise _refusal(folder, error) from None


def _refusal(path: Path, error: OSError) -> PruningError:
    return PruningError(
        f"{path} cannot be used to share GPUs among jobs ({error.strerror or error}). It must "
        "belong to you alone: remove it, have its owner do so, or set TMPDIR to a folder of your "
        "own."
    )
