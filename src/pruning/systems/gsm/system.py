"""What this wing hands over."""

from collections.abc import Iterator

from pruning.study.papers import checked_file
from pruning.study.study import Study
from pruning.systems.gsm import places
from pruning.systems.gsm.catalog import CLAIMS, FIGURES
from pruning.systems.gsm.section import TICKETS, ZEROED, read
from pruning.systems.system import Gathered, Need, Section, System, Work

_TABLES = "pruning.systems.gsm.tables:"


def _dense_times(study: Study) -> Iterator[float]:
    if "gsm" in study.parts and study.part("gsm").tickets:
        yield study.task["recipe"]["epochs"]  # tickets start from the initial state


def _dense_needs(study: Study) -> Iterator[Need]:
    for time in _dense_times(study):
        yield Need.of_state(study, time, "`tickets` of `gsm`")


def _jobs(study: Study) -> dict[str, int]:
    if "gsm" not in study.parts:
        return {}
    part = study.part("gsm")
    per_seed = {
        "gsm": len(list(part.trainings())),
        "zero": len(list(part.zeroed())),
        "ticket": len(list(part.ticket_cells())),
        "sensitivity": int(bool(part.sensitivity)),
    }
    return {name: len(study.seeds) * count for name, count in per_seed.items()}


def _work(study: Study, images: int) -> dict[str, Work]:
    if "gsm" not in study.parts:
        return {}
    part, seeds = study.part("gsm"), len(study.seeds)
    own = [Work.trainings(part.training_recipe(*c), seeds, images) for c in part.trainings()]
    tickets = seeds * len(list(part.ticket_cells()))
    return {
        "gsm": sum(own, Work(0, 0)),
        "ticket": Work.trainings(study.task["recipe"], tickets, images),
    }


SYSTEM = System(
    name="gsm",
    citation="Ding, Ding, Zhou, Guo, Han, Liu: Global Sparse Momentum SGD for Pruning Very Deep "
    "Neural Networks. NeurIPS 2019",
    rules="gsm.smk",
    asks="pruning.systems.gsm.asks:GsmAsks",
    sections=(Section("gsm", read),),
    dense_times=_dense_times,
    dense_needs=_dense_needs,
    chains=places.chains,
    trainings=places.trainings,
    files=places.files,
    masks=places.masks,
    gathered={
        "gsm_curves": Gathered(f"{_TABLES}CURVES", places.curves),
        "gsm_magnitudes": Gathered(f"{_TABLES}MAGNITUDES", places.magnitudes),
        "gsm_sensitivity": Gathered(f"{_TABLES}SENSITIVITY", places.sensitivities),
    },
    jobs=_jobs,
    work=_work,
    figures=FIGURES,
    claims=CLAIMS,
    styles="pruning.systems.gsm.styles:STYLES",
    overlays={
        "gsm_published": checked_file("gsm", "pruning.systems.gsm.published:check_reference")
    },
    wildcards={
        "chain": "gsm/[a-z0-9_]+/[a-z0-9_]+",
        "ticket": "|".join(TICKETS),
        "zeroed": "|".join(ZEROED),
    },
    entries={
        "optimizer": {"gsm": "pruning.systems.gsm.method:gsm"},
        "threshold rule": {"gsm": "pruning.systems.gsm.threshold:gsm"},
    },
    public={"GSM": "pruning.systems.gsm.method"},
)
