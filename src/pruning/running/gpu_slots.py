"""Which GPU is mine? Snakemake counts GPUs but hands out no numbers, so jobs agree by file locks.

Each GPU has a number of slots, each slot a lock file. A job holds the lock of its slot while it
trains; the kernel lets go of it when the process ends, however it ends.
"""

import contextlib
import logging
import os
import socket
import stat
import tempfile
import time
from collections.abc import Iterator
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
        PruningError: no GPU, a share below 1, or a folder or lock file that is not ours.
    """
    if gpus < 1 or share < 1:
        raise PruningError(f"No GPU slots: {gpus} GPUs, {share} jobs each (PRUNING_JOBS_PER_GPU).")
    folder = folder or default_folder()
    _own(folder)
    names = [name for name in visible.split(",") if name] or [str(i) for i in range(gpus)]
    slots = [(index, names[index].strip(), n) for n in range(share) for index in range(gpus)]
    waiting = False
    while True:
        for index, name, number in slots:
            path = folder / f"gpu{name}-slot{number}.lock"
            try:
                handle = try_lock(path)
            except OSError as error:
                raise _refusal(path, error) from None
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
