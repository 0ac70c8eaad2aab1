"""A system from outside the package: random masks, trained from the initial state."""

from os.path import dirname, relpath
from pathlib import Path

from pruning.errors import PruningError
from pruning.study.asks import for_rules
from pruning.study.densities import check_densities
from pruning.study.places import Chain, mask, rewind_state, seed_folder
from pruning.systems.system import Claims, Figure, Section, System, Training, Work

SYSTEMS = {"toy": "SYSTEM"}
HERE = relpath(dirname(__file__))
TITLE = "Random tickets"


def _read(values, document, parts):
    check_densities(values["densities"], "toy")
    return tuple(values["densities"])


def _has_toy(study):
    return "toy" in study.parts


def _levels(study):
    return range(1, len(study.parts.get("toy", ())) + 1)


def _initial(study, seed):
    return rewind_state(study.name, seed, study.task["recipe"]["epochs"])


def _dense_times(study):
    return [study.task["recipe"]["epochs"]] if _has_toy(study) else []


def _chains(study):
    told = [
        {"kind": "weights", "density": d, "score": "random"} for d in study.parts.get("toy", ())
    ]
    return {"toy": Chain(tuple(told), lambda seed, _: _initial(study, seed))} if told else {}


def _trainings(study):
    for seed in study.seeds:
        for level in _levels(study):
            folder = f"{seed_folder(study.name, seed)}/toy/level{level}"
            yield Training(folder, mask(study.name, seed, "toy", level))


def _files(study):
    for seed in study.seeds if _has_toy(study) else ():
        yield _initial(study, seed)


def _jobs(study):
    return {"toy": len(study.seeds) * len(_levels(study))}


def _work(study, images):
    from pruning.training.recipe import Recipe

    timeline = Recipe.from_dict(study.task["recipe"]).timeline(images)
    steps = _jobs(study)["toy"] * timeline.steps_from()
    return {"toy": Work.of(timeline, steps, images)}


class ToyAsks:
    """What toy.smk asks."""

    place = f"{HERE}/stage.py:train"

    def __init__(self, workflow):
        self.workflow = workflow
        self.stage = workflow.stage(self.place.rpartition(":")[0])

    @for_rules
    def training_input(self, wildcards):
        study, level = self.workflow.study(wildcards.study), int(wildcards.level)
        if level > len(study.part("toy")):
            raise PruningError(f"Study {study.name!r} has no level {level} of random tickets.")
        inputs = self.workflow.masked(study.name, wildcards.seed, "toy", level)
        return inputs | {"state": _initial(study, wildcards.seed)}

    @for_rules
    def training_params(self, wildcards):
        return {"level": int(wildcards.level)}


SYSTEM = System(
    name="toy",
    citation="Nobody: Random Tickets",
    rules=str(Path(__file__).with_name("toy.smk")),
    schema=Path(__file__).with_name("toy.yaml"),
    asks=f"{HERE}/toy.py:ToyAsks",
    sections=(Section("toy", _read),),
    dense_times=_dense_times,
    chains=_chains,
    trainings=_trainings,
    files=_files,
    jobs=_jobs,
    work=_work,
    figures={
        "toy_accuracy": Figure(
            f"{HERE}/show.py:accuracy", TITLE, "Accuracy by density.", _has_toy, tables=("toy",)
        )
    },
    claims={
        "toy_claims": Claims(
            f"{HERE}/show.py:CLAIMS",
            TITLE,
            "One claim.",
            "toy",
            _has_toy,
            beside=lambda study: ("tidy",),
        )
    },
    wildcards={"chain": "toy"},
)
