"""How long networks take for a batch: side by side, taking turns, so that all see one machine."""

import copy
import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from pruning.deploy.export import Inputs, missing, onnx_inputs, onnx_session, require, write_onnx
from pruning.deploy.trained import TrainedNetwork, load_trained
from pruning.errors import PruningError
from pruning.models.layers import channels_last
from pruning.training.arithmetic import arithmetic

log = logging.getLogger("pruning")

ROUNDS = 10  # turns of every network
PYTORCH, ONNX = "PyTorch", "ONNX Runtime"
ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")

Key = TypeVar("Key", bound=Hashable)
Job = Callable[[], object]


@dataclass(frozen=True)
class Setting:
    """How to measure.

    Attributes:
        batches: examples at a time; each size is measured.
        threads: of the CPU.
        seconds: for each network, batch size and runtime.
        onnx: whether ONNX Runtime has to be there. It is measured wherever it is.

    Raises:
        PruningError: a value below what can be measured.
    """

    batches: tuple[int, ...] = (1, 32)
    threads: int = 1
    seconds: float = 2.0
    onnx: bool = False

    def __post_init__(self) -> None:
        if not self.batches or min(self.batches) < 1:
            raise PruningError(
                f"--batch takes sizes of at least 1, it is {' '.join(map(str, self.batches))}."
            )
        if self.threads < 1:
            raise PruningError(f"--threads must be at least 1, it is {self.threads}.")
        if not 0 < self.seconds < float("inf"):
            raise PruningError(f"--seconds must be above 0, it is {self.seconds:g}.")


@dataclass(frozen=True)
class Latency:
    """Milliseconds that a network took for batches of one size.

    Attributes:
        network: which.
        runtime: what ran it.
        batch: examples at a time.
        quartiles: lower quartile, median, upper quartile.
        ratio: of the median to the first network's, of the same runtime and batch.
    """

    network: TrainedNetwork
    runtime: str
    batch: int
    quartiles: tuple[float, float, float]
    ratio: float


def measure(paths: Sequence[Path | str], setting: Setting) -> list[Latency]:
    """Time the forward pass of networks in evaluation mode, on the CPU.

    PyTorch runs them as they are trained here, in channels-last memory format.

    Args:
        paths: trainings' folders, or their ``state.safetensors``.
        setting: how.

    Returns:
        By batch size, then by runtime, in the order of the networks.

    Raises:
        PruningError: see :func:`pruning.deploy.trained.load_trained`; or ONNX Runtime is asked for
            and not installed.
    """
    if setting.onnx:
        require(*ONNX_PACKAGES)
    networks = [load_trained(path) for path in paths]
    runtimes = {PYTORCH: [_pytorch(network) for network in networks]}
    if not missing(*ONNX_PACKAGES):
        runtimes[ONNX] = [_onnx(network, setting.threads) for network in networks]
    measured = []
    with arithmetic(setting.threads), torch.inference_mode():
        for batch in setting.batches:
            log.info("measuring batches of %d", batch)
            jobs = {
                (runtime, index): prepare(networks[index].inputs(batch))
                for runtime, prepared in runtimes.items()
                for index, prepare in enumerate(prepared)
            }
            measured += _summed_up(take_turns(jobs, setting.seconds), networks, batch)
    return measured


def take_turns(
    jobs: Mapping[Key, Job], seconds: float, rounds: int = ROUNDS
) -> dict[Key, list[float]]:
    """Seconds of every call of every job, in turns: A B C A B C ...; a round before warms up.

    Args:
        jobs: by name.
        seconds: for each job, over all its turns; every turn has one call that counts or more.
        rounds: turns of each job.
    """
    times: dict[Key, list[float]] = {key: [] for key in jobs}
    for number in range(rounds + 1):
        for key, job in jobs.items():
            job()  # not counted: what others left in the caches has to go first
            times[key] += _turn(job, seconds / rounds)
        if number == 0:
            times = {key: [] for key in jobs}
    return times


def table(measured: Sequence[Latency], setting: Setting) -> str:
    """Latencies for people: a row each, aligned."""
    head = ("network", "parameters", "MACs", "batch", "runtime", "median", "quartiles", "ratio")
    rows = [head, *map(_row, measured)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    right = (False, True, True, True, False, True, True, True)
    lines = [
        "  ".join(
            text.rjust(width) if flush else text.ljust(width)
            for text, width, flush in zip(row, widths, right, strict=True)
        )
        for row in rows
    ]
    threads = f"{setting.threads} thread" + "s" * (setting.threads > 1)
    lines = [
        f"Milliseconds a batch on the CPU, {threads}; MACs of one example; ratio of the median to "
        "the first network's, of the same batch and runtime.",
        *lines,
    ]
    for network in {latency.network.name: latency.network for latency in measured}.values():
        lines += _masked(network)
    if all(latency.runtime != ONNX for latency in measured):
        absent = " ".join(missing(*ONNX_PACKAGES))
        lines.append(f"{ONNX} is not installed; not measured (`pip install {absent}`).")
    return "\n".join(lines)


def _turn(job: Job, seconds: float) -> list[float]:
    taken, end = [], time.perf_counter() + seconds
    while not taken or time.perf_counter() < end:
        started = time.perf_counter()
        job()
        taken.append(time.perf_counter() - started)
    return taken


def _pytorch(network: TrainedNetwork) -> Callable[[Inputs], Job]:
    module = channels_last(copy.deepcopy(network.module))

    def prepare(inputs: Inputs) -> Job:
        inputs = tuple(
            one.contiguous(memory_format=torch.channels_last) if one.dim() == 4 else one
            for one in inputs
        )
        return lambda: module(*inputs)

    return prepare


def _onnx(network: TrainedNetwork, threads: int) -> Callable[[Inputs], Job]:
    log.info("exporting %s for %s", network.name, ONNX)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "network.onnx")
        write_onnx(network, path)
        session = onnx_session(path, threads)

    def prepare(inputs: Inputs) -> Job:
        given = onnx_inputs(session, inputs)
        return lambda: session.run(None, given)

    return prepare


def _summed_up(
    times: Mapping[tuple[str, int], Sequence[float]],
    networks: Sequence[TrainedNetwork],
    batch: int,
) -> list[Latency]:
    found = []
    for (runtime, index), taken in times.items():
        quartiles = tuple(1000 * value for value in _quartiles(taken))
        first = 1000 * _quartiles(times[runtime, 0])[1]
        found.append(Latency(networks[index], runtime, batch, quartiles, quartiles[1] / first))
    return found


def _quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    return tuple(statistics.quantiles(values, n=4, method="inclusive"))


def _row(latency: Latency) -> tuple[str, ...]:
    lower, median, upper = (f"{value:.4g}" for value in latency.quartiles)
    return (
        latency.network.name,
        f"{latency.network.parameters:,}",
        f"{latency.network.macs:,}",
        str(latency.batch),
        latency.runtime,
        median,
        f"{lower} to {upper}",
        f"{latency.ratio:.2f}",
    )


def _masked(network: TrainedNetwork) -> list[str]:
    if network.kept is None:
        return []
    kept, prunable = network.kept
    return [
        f"{network.name}: {kept:,} of {prunable:,} prunable weights are kept; masked weights are "
        "zeros, which these kernels multiply like any other."
    ]
