"""What this wing hands over."""

from collections.abc import Iterator, Mapping
from typing import Any

from pruning.study.densities import check_shown_levels
from pruning.study.papers import checked_file
from pruning.study.study import Study
from pruning.systems.at_init import places
from pruning.systems.at_init.catalog import CLAIMS, FIGURES, PAPERS
from pruning.systems.at_init.section import read
from pruning.systems.system import Need, Section, System, Work


def _check_figure(options: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
    levels = len(parts["at_init"].densities) if "at_init" in parts else 0
    check_shown_levels(options, "at_init_levels", levels)


def _dense_times(study: Study) -> Iterator[float]:
    if "at_init" in study.parts:
        yield from study.part("at_init").kept_times()


def _dense_needs(study: Study) -> Iterator[Need]:
    part = study.parts.get("at_init")
    for cell in part.cells if part else ():
        for time in part.times(cell):
            yield Need.of_state(study, time, f"`{cell.method}` of `at_init`")


def _jobs(study: Study) -> dict[str, int]:
    return {"at_init": sum(1 for _ in places.trainings(study))}


def _work(study: Study, images: int) -> dict[str, Work]:
    from pruning.training.recipe import Recipe

    if "at_init" not in study.parts:
        return {}
    part = study.part("at_init")
    timeline = Recipe.from_dict(study.task["recipe"]).timeline(images)
    first_steps = (timeline.rewind_step(part.epochs(cell)) for cell in part.cells)
    steps = len(study.seeds) * sum(map(timeline.steps_from, first_steps))
    return {"at_init": Work.of(timeline, steps, images)}


SYSTEM = System(
    name="at_init",
    citation="Frankle, Dziugaite, Roy, Carbin: Pruning Neural Networks at Initialization: Why Are "
    "We Missing the Mark? ICLR 2021",
    rules="at_init.smk",
    asks="pruning.systems.at_init.asks:AtInitAsks",
    sections=(Section("at_init", read),),
    check_figure=_check_figure,
    dense_times=_dense_times,
    dense_needs=_dense_needs,
    chains=places.chains,
    trainings=places.trainings,
    files=places.files,
    masks=places.masks,
    jobs=_jobs,
    work=_work,
    figures=FIGURES,
    claims=CLAIMS,
    styles="pruning.systems.at_init.styles:STYLES",
    papers=PAPERS,
    overlays={
        "at_init_published": checked_file(
            "at_init", "pruning.systems.at_init.tables:check_reference"
        )
    },
    wildcards={"chain": "at_init/[a-z0-9_]+/[a-z0-9_]+/e[0-9.]+", "epoch": "[0-9]+([.][0-9]+)?"},
)
