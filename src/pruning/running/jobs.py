"""Running a stage as a job: its log, its messages, its device.

Imports no torch at the top: the thread policy has to be in the environment before torch starts.
"""

import contextlib
import functools
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pruning.errors import PruningError
from pruning.extensions import explained
from pruning.registry import load
from pruning.running import owner
from pruning.running.job_log import job_log
from pruning.running.warm import INTERRUPTED, hand_over

# Idle OpenMP threads sleep instead of spinning: on a shared machine spinning costs up to 30x.
THREAD_POLICY = {"OMP_WAIT_POLICY": "PASSIVE"}
LOADER_WORKERS = "PRUNING_LOADER_WORKERS"  # read by pruning.data.loader, which needs torch


@contextlib.contextmanager
def job(log_file: Path | str | None = None) -> Iterator[None]:
    """Log to a file or, without one, to standard error; turn the user's errors into one paragraph.

    A :class:`PruningError` ends the process with exit code 1 and its message, in the log and on
    standard error, without a traceback, and so does an error in code from outside the package, say
    in a network's ``forward``. Ctrl-C ends it with one line. Anything else is a defect of ours and
    keeps its traceback.
    """
    with logged(log_file):
        logger = logging.getLogger("pruning")
        try:
            yield
        except KeyboardInterrupt:
            logger.error("interrupted")
            raise SystemExit(INTERRUPTED) from None
        except BaseException as error:
            told = explained(error) if isinstance(error, Exception) else None
            if told:
                logger.error("%s", told)
                if log_file:
                    print(f"\nError: {told}\n", file=sys.stderr)
                sys.exit(1)
            if log_file:
                logger.exception("the job failed")
            raise


@contextlib.contextmanager
def logged(log_file: Path | str | None) -> Iterator[None]:
    """Log to a file or, without one, to standard error, with times."""
    for key, value in THREAD_POLICY.items():
        os.environ.setdefault(key, value)
    handler = job_log(log_file)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    logger = logging.getLogger("pruning")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()


def _script(function: Callable[..., None]) -> Callable[..., None]:
    """For what a script calls: Ctrl-C before there is a log ends it without a word."""

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> None:
        try:
            owner.end_with_it()
            function(*arguments, **named)
        except KeyboardInterrupt:
            os._exit(INTERRUPTED)

    return call


@_script
def run(
    snakemake: Any,
    place: str,
    /,
    *,
    warm: bool = False,
    repairs: int | None = None,
    **arguments: Any,
) -> None:
    """All that a rule's script does: call one stage function, as a :func:`job`.

    Scripts name the function instead of importing it: an import may take seconds that a warm
    process saves, and where it fails, the job's log should say so.

    Args:
        snakemake: what Snakemake hands every script.
        place: ``module:attribute`` of the stage function.
        warm: it needs torch, so run in a warm process where there is one.
        repairs: of the first output, see :func:`pruning.study.places.write_repairs`; written down
            last.
        arguments: of the stage function.
    """
    if warm:
        hand_over()
    with job(snakemake.log[0]):
        load(place)(**arguments)
        if repairs is not None:
            from pruning.study.places import write_repairs

            write_repairs(snakemake.output[0], repairs)


@_script
def compute(
    snakemake: Any,
    place: str,
    /,
    *,
    wanted: str | None = None,
    alone: bool = False,
    **arguments: Any,
) -> None:
    """As :func:`run`, for a stage that takes a context: warm, and on a device of its own.

    Where the recipe says several ``processes``, the stage is carried out by as many, each on a
    device of its own; those have no warm process.

    Args:
        snakemake: as of :func:`run`; the rule's parameter ``stage`` makes the context.
        place: as of :func:`run`.
        wanted: as of :func:`devices`; None is what the configuration says.
        alone: it trains nothing, so one process does, whatever the recipe says.
        arguments: of the stage function, after its context; a ``recipe`` among them is what it
            trains by.
    """
    stage, wanted = snakemake.params.stage, wanted or snakemake.config["device"]
    own = stage["task"]["recipe"]
    os.environ[LOADER_WORKERS] = str(readers(snakemake.threads, own))
    count = 1 if alone else _processes(arguments.get("recipe") or own)
    if count == 1 and (alone or _processes(own) == 1):
        hand_over()
        with job(snakemake.log[0]), devices(wanted) as (name,):
            context = load("pruning.stages.context:StageContext")
            load(place)(context(device=name, **stage), **arguments)
        return
    from pruning.running.launch import launch

    with job(snakemake.log[0]):
        if count != _processes(own):
            raise PruningError(
                f"This stage trains by a recipe with `processes: {count}`, and its job was started "
                f"for {_processes(own)}, as the study's recipe says. Make them the same."
            )
        _say_if_few(snakemake, count * own["threads"], count)
        with devices(wanted, count) as names:
            launch(place, names, context=stage, arguments=arguments, log_file=snakemake.log[0])


def _processes(recipe: Mapping[str, Any]) -> int:
    return recipe.get("processes", 1)


def _say_if_few(snakemake: Any, threads: int, count: int) -> None:
    """Snakemake gives a job no more cores than it was told of itself."""
    given = getattr(snakemake, "threads", threads)
    if given < threads:
        logging.getLogger("pruning").warning(
            "%d processes need %d cores (processes times threads of the recipe) and share the %d "
            "that Snakemake has (--cores): the numbers are the same, and it takes longer.",
            count, threads, given,
        )  # fmt: skip


def readers(threads: int, recipe: Mapping[str, Any]) -> int:
    """How many processes read pictures for each one that trains.

    Args:
        threads: that the job was given, which may be fewer than it asked for.
        recipe: plain values of the study's recipe, whose threads come first; its processes have
            readers each.
    """
    return max(0, threads // _processes(recipe) - recipe["threads"])


@contextlib.contextmanager
def devices(
    wanted: str, count: int = 1, environment: Mapping[str, str] = os.environ
) -> Iterator[tuple[str, ...]]:
    """The devices for one training job, for as long as the block lasts.

    Args:
        wanted: ``cpu``, ``cuda``, or ``auto`` (GPUs where there is one).
        count: how many; GPUs are all different.
        environment: ``PRUNING_JOBS_PER_GPU`` says how many jobs share a GPU (1).

    Raises:
        PruningError: ``cuda`` where there is none, or fewer GPUs than are wanted.
    """
    if wanted == "cpu":
        yield ("cpu",) * count
        return
    import torch

    there = torch.cuda.device_count()
    if not there:
        if wanted == "cuda":
            raise PruningError(
                "device: cuda was asked for, but torch sees no GPU. Check the driver and that this "
                "torch has CUDA, or set `device: auto` or `cpu` in config/config.yaml."
            )
        yield ("cpu",) * count
        return
    if there < count:
        raise PruningError(
            f"processes: {count} need a GPU each, and torch sees {there} here. Ask for a machine "
            "with more (a job of Slurm asks by itself, see docs/cluster.md), use fewer processes, "
            "or set `device: cpu` in config/config.yaml."
        )
    from pruning.running.gpu_slots import hold_gpus

    share = environment.get("PRUNING_JOBS_PER_GPU", "1")
    if not share.isdigit():
        raise PruningError(f"PRUNING_JOBS_PER_GPU must be a whole number, it is {share!r}.")
    with hold_gpus(there, int(share), _visible(there, environment), wanted=count) as indices:
        yield tuple(f"cuda:{index}" for index in indices)


def _visible(count: int, environment: Mapping[str, str]) -> str:
    """Names of the GPUs that this process sees, the same for all jobs on this machine.

    Where Slurm hides a node's other GPUs, CUDA_VISIBLE_DEVICES begins with 0 in every job.
    """
    for name in ("SLURM_STEP_GPUS", "SLURM_JOB_GPUS"):
        given = environment.get(name, "")
        if given and len(given.split(",")) == count:
            return given
    return environment.get("CUDA_VISIBLE_DEVICES", "")


@dataclass(frozen=True)
class Untracked:
    """A rule parameter that reaches the script but reruns nothing when it changes.

    Snakemake compares parameters of plain types only. For what decides no number: how long a list
    of states to keep is, how a study is titled.
    """

    value: Any
