"""What this wing hands over."""

from collections.abc import Iterator, Mapping
from typing import Any

from pruning.study.densities import check_shown_levels
from pruning.study.papers import check_reference
from pruning.study.study import Study
from pruning.systems.rewinding import places
from pruning.systems.rewinding.catalog import CLAIMS, FIGURES, PAPERS
from pruning.systems.rewinding.rules import rule
from pruning.systems.rewinding.section import read, read_algorithm
from pruning.systems.system import Need, Section, System, Work


def _check_figure(options: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
    if "published" in options:
        check_reference(options["published"], PAPERS)
    modes = parts["rewinding"].modes.values() if "rewinding" in parts else ()
    levels = max((mode.levels for mode in modes), default=0)
    check_shown_levels(options, "retrain_levels", levels)


def _dense_times(study: Study) -> tuple[float, ...]:
    return study.part("rewinding").kept_times if "rewinding" in study.parts else ()


def _dense_needs(study: Study) -> Iterator[Need]:
    if "rewinding" not in study.parts:
        return
    part = study.part("rewinding")
    for _, method, time, _ in part.cells():
        if rule(method).needs_rewind_state:
            yield Need.of_state(study, time, f"`{method}` of `rewinding`")
    if part.data_order == "rewound":
        yield Need("order of its training images", "`data_order` of `rewinding`")


def _jobs(study: Study) -> dict[str, int]:
    return {"retrain": sum(1 for _ in places.trainings(study))}


def _work(study: Study, images: int) -> dict[str, Work]:
    from pruning.systems.rewinding.method import retraining_steps
    from pruning.training.recipe import Recipe

    if "rewinding" not in study.parts:
        return {}
    timeline = Recipe.from_dict(study.task["recipe"]).timeline(images)
    steps = len(study.seeds) * sum(
        retraining_steps(rule(method), timeline, time)
        for _, method, time, _ in study.part("rewinding").cells()
    )
    return {"retrain": Work.of(timeline, steps, images)}


SYSTEM = System(
    name="rewinding",
    citation="Renda, Frankle, Carbin: Comparing Rewinding and Fine-tuning in Neural Network "
    "Pruning. ICLR 2020",
    rules="rewinding.smk",
    asks="pruning.systems.rewinding.asks:RewindingAsks",
    sections=(Section("rewinding", read), Section("algorithm", read_algorithm)),
    check_figure=_check_figure,
    dense_times=_dense_times,
    dense_needs=_dense_needs,
    chains=places.chains,
    trainings=places.trainings,
    files=places.files,
    jobs=_jobs,
    work=_work,
    figures=FIGURES,
    claims=CLAIMS,
    styles="pruning.systems.rewinding.styles:STYLES",
    papers=PAPERS,
    overlays={"published": lambda reference: reference.partition(":")[0]},
    wildcards={
        "chain": "one_shot|structured_[a-z0-9]+|(iterative|algorithm_1)/[a-z0-9_]+/t[0-9.]+",
        "mode": "iterative|algorithm_1|one_shot|structured_[a-z0-9]+",
    },
    public={
        "RULES": "pruning.systems.rewinding.rules",
        "retrain": "pruning.systems.rewinding.method",
    },
    preload=("pruning.systems.rewinding.stages.retrain",),
)
