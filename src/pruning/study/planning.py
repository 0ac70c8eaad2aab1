"""What a study will cost before it runs: jobs, steps, arithmetic and, where measured, time."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open

from pruning.analysis.claims_catalog import CLAIMS, claims_of
from pruning.analysis.tables import GATHERED, MASK_TABLES
from pruning.data.store import read_header
from pruning.errors import PruningError
from pruning.figures.catalog import entry, figures_of
from pruning.files import read_json
from pruning.study import places as layout
from pruning.study.study import Study
from pruning.systems.rewinding.method import retraining_steps
from pruning.systems.rewinding.rules import rule
from pruning.training.recipe import Recipe

# (training images, (C, H, W), classes) of data sets that are the same everywhere.
KNOWN = {
    "digits": (1352, (1, 8, 8), 10),
    "mnist": (60_000, (1, 28, 28), 10),
    "fashion_mnist": (60_000, (1, 28, 28), 10),
    "cifar10": (50_000, (3, 32, 32), 10),
    "cifar100": (50_000, (3, 32, 32), 100),
    "tiny_imagenet": (100_000, (3, 64, 64), 200),
}


@dataclass(frozen=True)
class Throughput:
    """How fast a training went here.

    Attributes:
        study: whose dense training it was.
        seconds_per_step: of that training.
        macs_per_second: multiply-accumulates, forward and backward.
    """

    study: str
    seconds_per_step: float
    macs_per_second: float


@dataclass(frozen=True)
class Plan:
    """What drawing everything of a study takes, from nothing.

    Attributes:
        jobs: by rule, as Snakemake counts them.
        steps: optimizer steps by rule.
        macs_per_step: multiply-accumulates of one step, forward and backward, nothing skipped:
            masks make no dense kernel faster.
        measured: the last training timed on this machine, of this study if there is one.
    """

    jobs: Mapping[str, int]
    steps: Mapping[str, int]
    macs_per_step: int
    measured: Throughput | None

    @property
    def training_flops(self) -> int:
        """Floating-point operations of all trainings, two for a multiply-accumulate."""
        return 2 * self.macs_per_step * sum(self.steps.values())

    def hours(self, study: str) -> float | None:
        """Hours of training on one worker; None where nothing was ever measured."""
        if self.measured is None:
            return None
        steps = sum(self.steps.values())
        if self.measured.study == study:
            return steps * self.measured.seconds_per_step / 3600
        return steps * self.macs_per_step / self.measured.macs_per_second / 3600


def plan(study: Study, dataset: Mapping[str, Any]) -> Plan:
    """Count what a study takes.

    Args:
        study: the study.
        dataset: its data set's options, ``kind`` among them.

    Raises:
        PruningError: how many images there are is not known before the data set is prepared.
    """
    from pruning.models.build import NetworkConfig, build
    from pruning.models.cost import network_macs, training_macs

    images, shape, classes = _data(study, dataset)
    module = build(NetworkConfig(**study.task["network"]), shape, classes, None)
    macs = network_macs(module, shape)
    recipe = Recipe.from_dict(study.task["recipe"])
    timeline = recipe.timeline(images)
    per_step = training_macs(sum(macs.values()), float(images / timeline.steps_per_epoch))
    steps = Counter({"dense": len(study.seeds) * timeline.total_steps})
    for method, time in _retrainings(study):
        steps["retrain"] += retraining_steps(rule(method), timeline, time)
    if study.at_init:
        for cell in study.at_init.cells:
            skipped = timeline.rewind_step(study.at_init.epochs(cell))
            steps["at_init"] += len(study.seeds) * (timeline.total_steps - skipped)
    if study.gsm:
        for cell in study.gsm.trainings():
            own = Recipe.from_dict(study.gsm.training_recipe(*cell)).timeline(images)
            steps["gsm"] += len(study.seeds) * own.total_steps
        for _ in study.gsm.ticket_cells():
            steps["ticket"] += len(study.seeds) * timeline.total_steps
    return Plan(jobs(study), dict(steps), per_step, last_measured(study))


def jobs(study: Study) -> dict[str, int]:
    """Jobs of ``snakemake plots_<study>`` by rule, when nothing has been done yet."""
    files = layout.training_files(study)
    figures = figures_of(study)
    claims = claims_of(study)
    tables = {layout.TIDY, *(name for figure in figures for name in entry(figure).tables)}
    tables |= {CLAIMS[page].table for page in claims}
    counts = {
        "prepare_data": 1,
        "dense": len(study.seeds),
        "rewind_state": sum("/rewind_states/" in file for file in files),
        "prune": sum(file.endswith("/mask.safetensors") for file in files),
        "retrain": len(list(_retrainings(study))),
        "at_init": sum("/at_init/" in folder for folder in layout.training_folders(study)),
        **_gsm_jobs(study),
        "collect": len(tables - MASK_TABLES.keys() - GATHERED.keys()),
        "collect_masks": len({name.rpartition("_")[0] for name in tables & MASK_TABLES.keys()}),
        "gather": len(tables & GATHERED.keys()),
        "figure": len(figures),
        "claims": len(claims),
        f"plots_{study.name}": int(bool(figures or claims)),
    }
    return {name: count for name, count in counts.items() if count}


def _gsm_jobs(study: Study) -> dict[str, int]:
    if not study.gsm:
        return {}
    per_seed = {
        "gsm": len(list(study.gsm.trainings())),
        "zero": len(list(study.gsm.zeroed())),
        "ticket": len(list(study.gsm.ticket_cells())),
        "sensitivity": int(bool(study.gsm.sensitivity)),
    }
    return {name: len(study.seeds) * count for name, count in per_seed.items()}


def last_measured(study: Study, results: Path | str = layout.RESULTS) -> Throughput | None:
    """The newest timed dense training: of this study, or else of any."""
    own = Path(results).glob(f"{study.name}/seed*/dense/timing.json")
    found = sorted(own, key=_age) or sorted(
        Path(results).glob("*/seed*/dense/timing.json"), key=_age
    )
    for timing in reversed(found):
        try:
            seconds = read_json(timing)["seconds"]
            summary = read_json(timing.with_name("summary.json"))
            steps, macs = summary["training_steps"], summary["training_macs"]
        except (PruningError, KeyError):
            continue  # of an older version, or being written
        if seconds > 0:
            return Throughput(timing.parts[-4], seconds / steps, macs / seconds)
    return None


def describe(plan: Plan, study: Study) -> str:
    """A plan for people."""
    width = max(map(len, plan.jobs))
    lines = [f"{study.name}: {study.title}, {len(study.seeds)} replicates", ""]
    for name, count in plan.jobs.items():
        steps = f"{plan.steps[name]:>14,} steps" if name in plan.steps else ""
        lines.append(f"  {name:<{width}} {count:>7,} jobs{steps}")
    lines.append(f"  {'total':<{width}} {sum(plan.jobs.values()):>7,} jobs")
    lines += ["", f"Training: {plan.training_flops:.3g} FLOPs (2 per multiply-accumulate)."]
    hours = plan.hours(study.name)
    if hours is None:
        lines.append(
            "Time: nothing has been trained here yet to measure by. After the first dense training "
            "of any study this says hours."
        )
    else:
        source = plan.measured.study
        note = "" if source == study.name else "; another network, so only roughly"
        lines.append(
            f"Time: {hours:.3g} hours of training on one worker, at the speed of the last dense "
            f"training of {source} here{note}."
        )
    return "\n".join(lines)


def _retrainings(study: Study) -> Iterator[tuple[str, float]]:
    """(method, retrain time) of every retraining of every replicate."""
    if study.rewinding:
        for _ in study.seeds:
            for _, method, time, _ in study.rewinding.cells():
                yield method, time


def _data(study: Study, dataset: Mapping[str, Any]) -> tuple[int, tuple[int, int, int], int]:
    prepared = Path(layout.data_file(study.dataset))
    if prepared.exists():
        classes = len(read_header(prepared)["classes"])
        with safe_open(prepared, framework="numpy") as file:
            images, height, width, channels = file.get_slice("train_images").get_shape()
        shape = (channels, height, width)
    elif dataset["kind"] in KNOWN:
        images, shape, classes = KNOWN[dataset["kind"]]
    else:
        raise PruningError(
            f"How many images {study.dataset} has is known once it is prepared: "
            f"`pruning prepare {study.dataset}`, then plan again."
        )
    validation = study.task["validation"]
    if validation["source"] == "train":
        images -= round(validation["fraction"] * images)
    size = dataset.get("size")
    if size and not prepared.exists():
        shape = (shape[0], size, size)
    return images, tuple(shape), classes


def _age(path: Path) -> float:
    return path.stat().st_mtime
