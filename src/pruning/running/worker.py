"""One of several processes that carry out a stage; :mod:`pruning.running.launch` has them started.

The first logs, and writes what the stage leaves. The others compute the same and keep it to
themselves. A process that fails says why in a file, for the job to read: of errors that all have
alike, one is told, and those of who only lost the others are not.
"""

import contextlib
import json
import logging
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from pruning import files
from pruning.extensions import explained
from pruning.registry import load
from pruning.running import owner
from pruning.running.jobs import logged
from pruning.running.warm import die_with_parent

LINGER = 10  # seconds that who lost another waits to be ended, so that the other is who failed


def main(stage_file: str) -> None:
    """Be one process of a stage.

    Args:
        stage_file: what :func:`pruning.running.launch.launch` wrote.
    """
    os.dup2(1, 2)
    die_with_parent(signal.SIGKILL)
    owner.end_with_it(end=lambda: os._exit(1))
    told = json.loads(Path(stage_file).read_text(encoding="utf-8"))
    rank = int(os.environ["RANK"])
    try:
        _stage(told, rank)
    except BaseException as error:
        lost = _note(error, rank, Path(told["failures"]))
        if lost:
            time.sleep(LINGER)
        os._exit(1)  # whatever hangs on others is left


def _stage(told: dict[str, Any], rank: int) -> None:
    if rank:
        logging.getLogger("pruning").addHandler(logging.NullHandler())
    with logged(told["log"]) if rank == 0 else files.withheld():
        from pruning.training import processes

        devices = told["devices"]
        context = load("pruning.stages.context:StageContext")
        with processes.together(len(devices), devices[rank]):
            stage = load(told["place"])
            stage(context(device=devices[rank], **told["context"]), **told["arguments"])
            processes.barrier()  # what the first one writes is there before any says it is done
        processes.leave()


def _note(error: BaseException, rank: int, folder: Path) -> bool:
    """Write down why this process ends; whether that is only because another has."""
    from pruning.training.processes import OtherEnded

    known = explained(error) if isinstance(error, Exception) else None
    lost = isinstance(error, OtherEnded)
    told = {
        "rank": rank,
        "lost": lost,
        "message": str(known) if known else f"{type(error).__name__}: {error}",
        "traceback": None if known else "".join(traceback.format_exception(error)),
    }
    # Whole or not there: this process may be ended at any time.
    temporary = folder / f".rank{rank}"
    with contextlib.suppress(OSError):
        temporary.write_text(json.dumps(told), encoding="utf-8")
        temporary.replace(folder / f"rank{rank:04d}")
    return lost


if __name__ == "__main__":
    main(sys.argv[1])
