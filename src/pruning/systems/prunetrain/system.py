"""What this wing hands over."""

from collections.abc import Mapping
from typing import Any

from pruning.study.densities import check_shown_level
from pruning.study.papers import checked_file
from pruning.study.study import Study
from pruning.systems.prunetrain import places
from pruning.systems.prunetrain.catalog import CLAIMS, FIGURES
from pruning.systems.prunetrain.section import read
from pruning.systems.system import Gathered, Section, System, Work

_TABLES = "pruning.systems.prunetrain.tables:"


def _check_figure(options: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
    levels = len(parts["prunetrain"].ratios) if "prunetrain" in parts else 0
    check_shown_level(options, "prunetrain_level", levels, "ratios")


def _jobs(study: Study) -> dict[str, int]:
    per_seed = {
        "shrink": len(places.shrinking(study)),
        "finetune": len(places.finetunings(study)),
    }
    return {name: len(study.seeds) * count for name, count in per_seed.items()}


def _work(study: Study, images: int) -> dict[str, Work]:
    if "prunetrain" not in study.parts:
        return {}
    part, jobs = study.part("prunetrain"), _jobs(study)
    recipes = {"shrink": part.recipe, "finetune": part.finetune}
    return {
        rule: Work.trainings(recipe, jobs[rule], images)
        for rule, recipe in recipes.items()
        if jobs[rule]
    }


SYSTEM = System(
    name="prunetrain",
    citation="Lym, Choukse, Zangeneh, Wen, Sanghavi, Erez: PruneTrain: Fast Neural Network "
    "Training by Dynamic Sparse Model Reconfiguration. SC 2019",
    rules="prunetrain.smk",
    trial="pruning.systems.prunetrain.trial:try_out",
    asks="pruning.systems.prunetrain.asks:PruneTrainAsks",
    sections=(Section("prunetrain", read),),
    check_figure=_check_figure,
    trainings=places.trainings,
    files=places.files,
    gathered={
        "prunetrain_epochs": Gathered(f"{_TABLES}EPOCHS", places.epochs),
        "prunetrain_layers": Gathered(f"{_TABLES}LAYERS", places.layers),
        "prunetrain_channels": Gathered(f"{_TABLES}CHANNELS", places.channels),
        "prunetrain_filters": Gathered(f"{_TABLES}FILTERS", places.filters),
        "prunetrain_seconds": Gathered(f"{_TABLES}SECONDS", places.seconds),
    },
    jobs=_jobs,
    work=_work,
    figures=FIGURES,
    claims=CLAIMS,
    styles="pruning.systems.prunetrain.styles:STYLES",
    overlays={
        "prunetrain_published": checked_file(
            "prunetrain", "pruning.systems.prunetrain.published:check_reference"
        )
    },
)
