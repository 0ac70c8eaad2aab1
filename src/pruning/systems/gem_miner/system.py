"""What this wing hands over."""

from collections.abc import Iterator, Mapping
from typing import Any

from pruning.study.densities import check_shown_level
from pruning.study.papers import checked_file
from pruning.study.study import Study
from pruning.systems.gem_miner import places
from pruning.systems.gem_miner.catalog import CLAIMS, FIGURES
from pruning.systems.gem_miner.rules import BASELINES
from pruning.systems.gem_miner.section import read
from pruning.systems.system import Gathered, Need, Section, System, Work


def _check_figure(options: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
    levels = len(parts["gem_miner"].densities) if "gem_miner" in parts else 0
    check_shown_level(options, "gem_miner_layers", levels, "densities")


def _dense_times(study: Study) -> Iterator[float]:
    if any(cell.method in BASELINES for cell in places.cells(study)):
        yield study.task["recipe"]["epochs"]  # baselines are trained from the initial state


def _dense_needs(study: Study) -> Iterator[Need]:
    for time in _dense_times(study):
        for cell in places.cells(study):
            if cell.method in BASELINES:
                yield Need.of_state(study, time, f"`{cell.method}` of `gem_miner`")


def _jobs(study: Study) -> dict[str, int]:
    per_seed = {"search": len(places.searches(study)), "found": len(places.cells(study))}
    return {name: len(study.seeds) * count for name, count in per_seed.items()}


def _work(study: Study, images: int) -> dict[str, Work]:
    if "gem_miner" not in study.parts:
        return {}
    part, seeds = study.part("gem_miner"), len(study.seeds)
    recipes = {
        "search": [part.settings[cell.method].search for cell in part.searched()],
        "found": [part.recipe(cell, study.task["recipe"]) for cell in part.cells],
    }
    return {
        rule: sum((Work.trainings(each, seeds, images) for each in given), Work(0, 0))
        for rule, given in recipes.items()
    }


SYSTEM = System(
    name="gem_miner",
    citation="Sreenivasan, Sohn, Yang, Grinde, Nagle, Wang, Xing, Lee, Papailiopoulos: Rare Gems: "
    "Finding Lottery Tickets at Initialization. NeurIPS 2022",
    rules="gem_miner.smk",
    asks="pruning.systems.gem_miner.asks:GemMinerAsks",
    sections=(Section("gem_miner", read),),
    check_figure=_check_figure,
    dense_times=_dense_times,
    dense_needs=_dense_needs,
    chains=places.chains,
    trainings=places.trainings,
    files=places.files,
    masks=places.masks,
    gathered={
        "gem_miner_curves": Gathered("pruning.systems.gem_miner.tables:CURVES", places.curves)
    },
    jobs=_jobs,
    work=_work,
    figures=FIGURES,
    claims=CLAIMS,
    styles="pruning.systems.gem_miner.styles:STYLES",
    overlays={
        "gem_miner_published": checked_file(
            "gem_miner", "pruning.systems.gem_miner.published:check_reference"
        )
    },
    wildcards={"chain": "gem_miner/(?!search/)[a-z0-9_]+/[a-z0-9_]+"},
    public={
        "Search": "pruning.systems.gem_miner.rules",
        "found": "pruning.systems.gem_miner.states",
        "search": "pruning.systems.gem_miner.method",
    },
    entries={
        "pruner": {
            "found": "pruning.systems.gem_miner.states:found_masks",
            "smart_ratio": "pruning.systems.gem_miner.smart_ratio:smart_ratio",
        },
    },
)
