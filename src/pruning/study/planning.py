"""What a study will cost before it runs: jobs, steps, arithmetic and, where measured, time."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pruning.analysis.claims_catalog import claims_of
from pruning.analysis.claims_catalog import entry as claims_entry
from pruning.analysis.records import read_summary, read_timing
from pruning.analysis.tables import mask_tables
from pruning.data.known import Facts, TextFacts, known_facts, prepared_facts
from pruning.data.store import opened
from pruning.errors import PruningError
from pruning.figures.catalog import entry, figures_of
from pruning.study import places
from pruning.study.study import Study
from pruning.systems import joined, systems
from pruning.systems.system import Work


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
class Rate:
    """How fast one GPU is taken to train, where nothing was measured here.

    Attributes:
        macs_per_second: multiply-accumulates, forward and backward.
        told: where that is from, as a sentence goes on.
    """

    macs_per_second: float
    told: str


# ResNet-50 at 224x224 (Lym et al.'s count of multiply-accumulates), and its training on one A100
# as NVIDIA's table of its PyTorch example has it, in images per second: reference, section 3.5. Of
# strict float32, which these cards have no fast units for, the table is about a V100.
RESNET50_MACS = 4_089_184_256
_A100 = "on one NVIDIA A100, as NVIDIA's table says"
LEAST_MACS = 10**9  # of an image: a smaller network keeps no GPU as busy
IMAGES_PER_SECOND = {
    "float32": (367, "on one NVIDIA V100, as NVIDIA's table says"),
    "tf32": (938, _A100),
    "bfloat16": (2470, f"{_A100} of mixed precision"),
}


def assumed_rate(precision: str) -> Rate:
    """What published throughput of ResNet-50 makes of a recipe's precision."""
    from pruning.models.cost import training_macs

    images, where = IMAGES_PER_SECOND[precision]
    return Rate(
        training_macs(RESNET50_MACS, images),
        f"assuming {images:,} images/s of ResNet-50 at 224x224 in {precision} {where}, other "
        "networks by their multiply-accumulates; nothing of it was measured here",
    )


@dataclass(frozen=True)
class Plan:
    """What drawing everything of a study takes, from nothing.

    Attributes:
        jobs: by rule, as Snakemake counts them.
        work: of trainings, by rule.
        macs_per_image: multiply-accumulates of training on one image, forward and backward,
            nothing skipped: masks make no dense kernel faster.
        measured: the last training timed on this machine, of this study if there is one.
    """

    jobs: Mapping[str, int]
    work: Mapping[str, Work]
    macs_per_image: int
    measured: Throughput | None
    precision: str = "float32"

    @property
    def images(self) -> float:
        """Images that all trainings see, repetitions counted."""
        return float(sum(work.images for work in self.work.values()))

    def gpu_hours(self, examples_per_second: float | None = None) -> tuple[float, str] | None:
        """GPU hours of all trainings, and what they assume, as a sentence goes on; None without a
        rate for a network so much smaller that published ones say nothing of it.

        Args:
            examples_per_second: what one GPU trains of this study's network; without it, by
                :func:`assumed_rate`. Several GPUs take as many GPU hours, or more.

        Raises:
            PruningError: a rate that is not positive.
        """
        from pruning.models.cost import training_macs

        if examples_per_second is None:
            if self.macs_per_image < training_macs(LEAST_MACS, 1.0):
                return None
            rate = assumed_rate(self.precision)
            return self.images * self.macs_per_image / rate.macs_per_second / 3600, rate.told
        if not 0 < examples_per_second < math.inf:
            raise PruningError(
                f"--examples-per-second must be positive, it is {examples_per_second}."
            )
        told = f"at {examples_per_second:,.6g} examples/s and GPU, as you say"
        return self.images / examples_per_second / 3600, told

    @property
    def training_flops(self) -> int:
        """Floating-point operations of all trainings, two for a multiply-accumulate."""
        return round(2 * self.macs_per_image * self.images)

    def hours(self, study: str) -> float | None:
        """Hours of training on one worker; None where nothing was ever measured."""
        if self.measured is None:
            return None
        images = self.images
        if self.measured.study == study and "dense" in self.work:
            per_image = self.work["dense"].images / self.work["dense"].steps
            return images / per_image * self.measured.seconds_per_step / 3600
        return images * self.macs_per_image / self.measured.macs_per_second / 3600


def plan(study: Study, dataset: Mapping[str, Any]) -> Plan:
    """Count what a study takes.

    Args:
        study: the study.
        dataset: its data set's options, ``kind`` among them.

    Raises:
        PruningError: how many images there are is not known before the data set is prepared.
    """
    from pruning.models.build import build
    from pruning.models.config import NetworkConfig
    from pruning.models.cost import network_macs, training_macs

    images, facts = _data(study, dataset)
    module = build(NetworkConfig(**study.task["network"]), facts.takes, facts.makes, None)
    macs = network_macs(module, facts.example())
    work = {}
    if not study.given:
        work["dense"] = Work.trainings(study.task["recipe"], len(study.seeds), images)
    for system in systems():
        work |= system.work(study, images)
    return Plan(
        jobs(study),
        work,
        training_macs(sum(macs.values()), 1.0),
        last_measured(study),
        study.task["recipe"]["precision"],
    )


def jobs(study: Study) -> dict[str, int]:
    """Jobs of ``snakemake plots_<study>`` by rule, when nothing has been done yet."""
    files = places.training_files(study)
    figures = figures_of(study)
    claims = claims_of(study)
    tables = {places.TIDY, *(name for figure in figures for name in entry(figure).tables)}
    for page in map(claims_entry, claims):
        tables |= {page.table, *page.beside(study)}
    of_masks = {mask_tables()[name] for name in tables & mask_tables().keys()}
    gathered = tables & joined("gathered").keys()
    counts = {
        "prepare_data": 1,
        "dense": len(study.seeds),
        "rewind_state": sum("/rewind_states/" in file for file in files),
        "prune": sum(file.endswith("/mask.safetensors") for file in files),
        "report": sum(file.endswith("/report.json") for file in files),
    }
    for system in systems():
        counts |= system.jobs(study)
    counts |= {
        "collect": len(tables & set(places.tidy_tables())),
        "collect_masks": len(of_masks),
        "gather": len(gathered),
        "figure": len(figures),
        "claims": len(claims),
        f"plots_{study.name}": int(bool(figures or claims)),
    }
    return {name: count for name, count in counts.items() if count}


def last_measured(study: Study, results: Path | str = places.RESULTS) -> Throughput | None:
    """The newest timed dense training: of this study, or else of any."""
    own = Path(results).glob(f"{study.name}/seed*/dense/timing.json")
    found = sorted(own, key=_age) or sorted(
        Path(results).glob("*/seed*/dense/timing.json"), key=_age
    )
    for timing in reversed(found):
        try:
            seconds = read_timing(timing)["seconds"]
            summary = read_summary(timing.with_name("summary.json"))
            steps, macs = summary["training_steps"], summary["training_macs"]
        except (PruningError, KeyError):
            continue  # of an older version, or being written
        if seconds > 0 and steps:  # a network from a file takes no step
            return Throughput(timing.parts[-4], seconds / steps, macs / seconds)
    return None


def describe(plan: Plan, study: Study, examples_per_second: float | None = None) -> str:
    """A plan for people.

    Args:
        plan: of a study.
        study: the study.
        examples_per_second: see :meth:`Plan.gpu_hours`.
    """
    width = max(map(len, plan.jobs))
    lines = [f"{study.name}: {study.title}, {len(study.seeds)} replicates", ""]
    for name, count in plan.jobs.items():
        steps = f"{plan.work[name].steps:>14,} steps" if name in plan.work else ""
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
    if (estimate := plan.gpu_hours(examples_per_second)) is not None:
        hours = f"{estimate[0]:,.0f}" if estimate[0] >= 100 else f"{estimate[0]:.3g}"
        lines.append(f"Estimate: {hours} GPU hours, {estimate[1]}.")
        if examples_per_second is None:
            lines.append("Say what your GPU trains of this network by --examples-per-second.")
    return "\n".join(lines)


def _data(study: Study, dataset: Mapping[str, Any]) -> tuple[int, Facts | TextFacts]:
    """How many examples are trained on, and what is known of the data set."""
    prepared = Path(places.data_file(study.dataset))
    if prepared.exists():
        opened(prepared)  # refuses what is damaged
        facts = prepared_facts(prepared)
    else:
        facts = known_facts(dataset)
    if facts is None:
        raise PruningError(
            f"How many examples {study.dataset} has is known once it is prepared: "
            f"`pruning prepare {study.dataset}`, then plan again."
        )
    examples, validation = facts.train, study.task["validation"]
    if validation["source"] == "train":
        examples -= round(validation["fraction"] * examples)
    return examples, facts


def _age(path: Path) -> float:
    return path.stat().st_mtime
