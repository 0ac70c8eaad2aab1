"""The processes that train one network together; nothing else knows how they speak to each other.

All of them run the same stage, with the same files and the same draws, and each computes its share
of every batch (:class:`pruning.share.Share`). What they add up here is the same on all of them, to
the bit, so whatever follows from it (masks, thresholds, penalties, surgery, the update) each does
for itself. Everything that waits for others has to be called by all, and in the same order.

Where there is one process nothing here does anything, and ``torch.distributed`` is not looked at.
"""

import contextlib
import datetime
import os
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor

from pruning.errors import PruningError

# How long one may wait for another: evaluations are shared out too, so what takes time is what one
# does alone, such as writing to a slow disk. Whoever dies is noticed at once, by other means.
PATIENCE = datetime.timedelta(hours=6)

_MEMBER: ContextVar[tuple[int, int]] = ContextVar("member", default=(0, 1))


class OtherEnded(PruningError):
    """Another of the processes has ended, which is for that one to explain."""


def rank() -> int:
    """Which of the processes this is, from 0; 0 where it is alone."""
    return _MEMBER.get()[0]


def world() -> int:
    """How many there are; 1 outside :func:`together`."""
    return _MEMBER.get()[1]


@contextlib.contextmanager
def together(count: int, device: torch.device | str) -> Iterator[None]:
    """Be one of so many processes for as long as the block lasts.

    They were started by ``torchrun`` or by what sets the environment as it does; the group that it
    describes is made at the first call, and stays.

    Args:
        count: how many are wanted: a recipe's ``processes``.
        device: of this one. GPUs speak by NCCL, CPUs by gloo.

    Raises:
        PruningError: there are other than ``count``.
    """
    if world() > 1 and count == world():
        yield
        return
    started = _started()
    if count != (started if world() == 1 else world()):
        raise _wrong_number(count, max(started, world()))
    if count == 1:
        yield
        return
    _make_group(count, torch.device(device))
    token = _MEMBER.set((int(os.environ["RANK"]), count))
    try:
        yield
    finally:
        _MEMBER.reset(token)


def _started() -> int:
    """How many processes were started together, by the environment; others than torchrun leave
    traces of what they start too, so without a rank this is one alone."""
    if "RANK" not in os.environ:
        return 1
    told = os.environ.get("WORLD_SIZE", "")
    return int(told) if told.isdigit() else 1


def _wrong_number(wanted: int, there: int) -> PruningError:
    start = f"`torchrun --standalone --nproc-per-node {wanted} <script>`"
    how = f"Start it with {start}" if wanted > 1 else "Start it without torchrun"
    return PruningError(
        f"The recipe says `processes: {wanted}`, and there {'is' if there == 1 else 'are'} {there} "
        f"here. {how}, or set the recipe's `processes` to {there}."
    )


def _make_group(count: int, device: torch.device) -> None:
    import torch.distributed as distributed

    if device.type == "cuda":
        torch.cuda.set_device(device)
        # One algorithm of summation, whatever the size, or bits could differ from run to run.
        os.environ.setdefault("NCCL_ALGO", "Ring")
    if not distributed.is_initialized():
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        with _others_there():
            distributed.init_process_group(backend, timeout=PATIENCE)
    if distributed.get_world_size() != count:
        raise _wrong_number(count, distributed.get_world_size())


def leave() -> None:
    """Take the group down, at the very end of a process that was in one."""
    import torch.distributed as distributed

    if distributed.is_initialized():
        distributed.destroy_process_group()


@contextlib.contextmanager
def _others_there() -> Iterator[None]:
    """Whatever goes wrong in speaking to others is that one of them has gone."""
    try:
        yield
    except RuntimeError as error:
        what = " ".join(str(error).split())[:300]
        raise OtherEnded(f"Another process of this training has ended ({what}).") from error


def sum_(tensor: Tensor) -> Tensor:
    """Add a tensor up over all processes, in place; the same bits on all. Shapes must agree."""
    if world() > 1:
        import torch.distributed as distributed

        with _others_there():
            distributed.all_reduce(tensor)
    return tensor


def broadcast_(tensor: Tensor) -> Tensor:
    """Replace a tensor by that of process 0, in place."""
    if world() > 1:
        import torch.distributed as distributed

        with _others_there():
            distributed.broadcast(tensor, 0)
    return tensor


def gathered(value: Any) -> list[Any]:
    """A plain value of each process, by rank, on all of them."""
    if world() == 1:
        return [value]
    import torch.distributed as distributed

    found: list[Any] = [None] * world()
    with _others_there():
        distributed.all_gather_object(found, value)
    return found


def total(*numbers: float) -> tuple[float, ...]:
    """Each number added up over all processes, in the order of ranks; whole ones stay whole."""
    return tuple(map(sum, zip(*gathered(numbers), strict=True))) if world() > 1 else numbers


def decided(decide: Callable[[], Any]) -> Any:
    """What process 0 decides, a plain value, on all of them.

    For what depends on more than the training: clocks, locks, files that others may change.

    Raises:
        PruningError: of ``decide``, on all of them.
    """
    if world() == 1:
        return decide()
    import torch.distributed as distributed

    told: list[Any] = [None, None]
    if rank() == 0:
        try:
            told[0] = decide()
        except PruningError as error:
            told[1] = str(error)
    with _others_there():
        distributed.broadcast_object_list(told, src=0)
    if told[1] is not None:
        raise PruningError(told[1])
    return told[0]


def barrier() -> None:
    """Wait until all are here."""
    gathered(None)
