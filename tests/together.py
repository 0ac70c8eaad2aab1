"""Several processes that train together, forked from one that has imported torch and computed
nothing."""

import multiprocessing
import os
import socket
import traceback

from pruning.training import processes

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.together", "tests.conftest", "pruning.training.loop"])
PATIENCE = 60  # seconds


def run(count, function, *arguments, told=None):
    """Call a function of a module as each of so many processes; what it returned or raised, by
    rank. It is within `processes.together`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = []
    for rank in range(count):
        mine, theirs = CONTEXT.Pipe(duplex=False)
        process = CONTEXT.Process(
            target=_one,
            args=(theirs, rank, count, port, function, arguments, told or {}),
            daemon=True,
        )
        process.start()
        theirs.close()
        started.append((process, mine))
    try:
        return [_answer(process, mine) for process, mine in started]
    finally:
        for process, _ in started:
            process.join(5)
            process.kill()


def _answer(process, mine):
    if not mine.poll(PATIENCE):
        return TimeoutError("no answer")
    try:
        return mine.recv()
    except EOFError:
        process.join(5)
        return process.exitcode


def _one(answer, rank, count, port, function, arguments, named):
    told = {"RANK": rank, "WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({key: str(value) for key, value in told.items()})
    try:
        import torch

        torch.set_num_threads(1)
        with processes.together(count, "cpu"):
            answer.send(function(*arguments, **named))
        processes.leave()
    except BaseException as error:
        traceback.print_exc()
        answer.send(error)
