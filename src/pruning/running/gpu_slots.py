"""Which GPU is mine? Snakemake counts GPUs but hands out no numbers, so jobs agree by file locks.

Each GPU has a number of slots, each slot a lock file. A job holds the lock of its slot while it
trains; the kernel lets go of it when the process ends, however it ends.
"""

import contextlib
import fcntl
import getpass
import logging
import os
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pruning.errors import PruningError

log = logging.getLogger("pruning")


def default_folder() -> Path:
    """The lock folder that all jobs of this user on this machine share.

    It has the machine's name, as nodes of a cluster may have one folder for temporary files.
    """
    owner = f"{getpass.getuser()}-{socket.gethostname()}"
    return Path(tempfile.gettempdir(), f"pruning-gpu-slots-{owner}")


@contextlib.contextmanager
def gpu_slot(
    gpus: int,
    share: int = 1,
    visible: str = "",
    folder: Path | None = None,
    poll: float = 0.5,
) -> Iterator[int]:
    """Hold a slot; wait for one if all are taken.

    Args:
        gpus: how many GPUs this process sees.
        share: jobs per GPU. Slots are filled GPU by GPU, one job each first.
        visible: ``CUDA_VISIBLE_DEVICES``, so that index 0 of two differently restricted jobs is
            not taken for the same GPU.
        folder: where the lock files are.
        poll: seconds between tries.

    Yields:
        The index of the GPU among those this process sees.

    Raises:
        PruningError: no GPU, or a share below 1.
    """
    if gpus < 1 or share < 1:
        raise PruningError(f"No GPU slots: {gpus} GPUs, {share} jobs each (PRUNING_JOBS_PER_GPU).")
    folder = folder or default_folder()
    folder.mkdir(parents=True, exist_ok=True)
    names = [name for name in visible.split(",") if name] or [str(i) for i in range(gpus)]
    slots = [(index, names[index].strip(), n) for n in range(share) for index in range(gpus)]
    waiting = False
    while True:
        for index, name, number in slots:
            handle = _try_lock(folder / f"gpu{name}-slot{number}.lock")
            if handle is None:
                continue
            try:
                log.info("using GPU %s, slot %d of %d", name, number + 1, share)
                yield index
            finally:
                os.close(handle)
            return
        if not waiting:
            log.info("waiting for one of %d GPU slots", len(slots))
            waiting = True
        time.sleep(poll)


def _try_lock(path: Path) -> int | None:
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle
