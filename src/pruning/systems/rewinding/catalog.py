"""Renda, Frankle, Carbin (ICLR 2020): what figures and claims there are, of which studies.

Imports nothing that draws or counts, as the workflow reads this each time it starts.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pruning.analysis import SAFE_ZONE
from pruning.study.papers import Paper
from pruning.study.study import Study
from pruning.systems.rewinding.rules import CORE
from pruning.systems.rewinding.section import STRUCTURED
from pruning.systems.system import Claims, Figure

LITERATURE = "renda2020_literature.csv"

# A new line changes no other; the line that a figure or page uses is among its parameters.
CODE_VERSION_SKIP = "a table of names"

TITLE = "Comparing rewinding and fine-tuning"
# (network, data set, mode) of the points in that file.
IN_LITERATURE = (
    ("resnet56", "cifar10", "iterative"),
    ("resnet50", "imagenet", "iterative"),
    ("gnmt", "wmt16_en_de", "iterative"),
    *((name, "cifar10", f"structured_{x}") for name in ("resnet56", "resnet110") for x in "ab"),
    *(("resnet34", "imagenet", f"structured_{x}") for x in "ab"),
)


def _has(modes: tuple[str, ...] = ("",), methods: tuple[str, ...] = ()) -> Callable[[Study], bool]:
    """Whether a study runs one of these methods in a mode whose name begins like one of these."""

    def needs(study: Study) -> bool:
        found = study.part("rewinding").modes if "rewinding" in study.parts else {}
        return any(
            name.startswith(modes) and (not methods or not mode.times.keys().isdisjoint(methods))
            for name, mode in found.items()
        )

    return needs


def _has_others(study: Study) -> bool:
    """Whether a study runs one of the main methods, and another that hides it."""
    found = study.part("rewinding").modes if "rewinding" in study.parts else {}
    run = {method for mode in found.values() for method in mode.times}
    return not run.isdisjoint(CORE) and not run.issubset(CORE)


def _has_times(methods: tuple[str, ...] = ()) -> Callable[[Study], bool]:
    """Whether there are several retrain times, of one of these methods if any are named."""

    def needs(study: Study) -> bool:
        found = study.part("rewinding").modes if "rewinding" in study.parts else {}
        return any(
            len(times) > 1 and (not methods or method in methods)
            for mode in found.values()
            for method, times in mode.times.items()
        )

    return needs


def _all(*conditions: Callable[[Study], bool]) -> Callable[[Study], bool]:
    return lambda study: all(condition(study) for condition in conditions)


def _in_literature(mode: str) -> Callable[[Study], bool]:
    """Whether other papers have points of a study's network in a mode that begins like this."""

    def needs(study: Study) -> bool:
        network, dataset = study.task["network"]["name"], study.dataset
        _, _, like = str(study.figure.get("published") or "").partition(":")
        return any(
            found.startswith(mode)
            and (like == name if like else (network, dataset) == (name, data))
            for name, data, found in IN_LITERATURE
        )

    return needs


def _several_modes(study: Study) -> bool:
    return "rewinding" in study.parts and len(study.part("rewinding").modes) > 1


def _has_single_rule(
    modes: tuple[str, ...] = ("",), methods: tuple[str, ...] = ()
) -> Callable[[Study], bool]:
    """As :func:`_has`, at a retrain time that :func:`pruning.analysis.cells.single_rule` takes."""

    def needs(study: Study) -> bool:
        found = study.part("rewinding").modes if "rewinding" in study.parts else {}
        epochs = study.task["recipe"]["epochs"]
        return any(
            time <= (SAFE_ZONE[1] + 1e-9) * epochs if method == "weight_rewind" else time == epochs
            for name, mode in found.items()
            for method, times in mode.times.items()
            for time in times
            if name.startswith(modes) and method in methods
        )

    return needs


def _shows_iterative(study: Study) -> bool:
    """Whether iterative pruning beside the literature is another picture than that of all."""
    new = _several_modes(study) or _has_others(study) or _in_literature("iterative")(study)
    return new and _has(("iterative",), CORE)(study)


def _beside_literature(figure: Figure) -> Figure:
    """The same figure, with points of other papers."""
    settings = {**figure.settings, "literature": True}
    return replace(figure, settings=settings, published=(LITERATURE,))


_COMPRESSION = "pruning.systems.rewinding.figures:accuracy_vs_compression"
_TIME = "pruning.systems.rewinding.figures:accuracy_vs_retrain_time"
_POINTS = (
    "Change of the test score against the mean of the dense networks, by compression ratio "
    "(1 / density). Points are medians over replicates, bars run from the minimum to the maximum, "
    "the grey band is the spread of the dense networks. "
)
_BEST = "For every point the retrain time with the best median validation score is taken."
_PAPER = " Methods and terms are those of Renda, Frankle and Carbin (ICLR 2020)."

FIGURES: dict[str, Figure] = {
    "rewind_vs_finetune": Figure(
        _COMPRESSION,
        TITLE,
        _POINTS + _BEST + _PAPER,
        _has(),
        {"rule": "best_validated"},
        tables=("rewinding",),
        overlays=("published",),
    ),
    "rewind_vs_finetune_core": Figure(
        _COMPRESSION,
        TITLE,
        _POINTS + _BEST + _PAPER,
        _has_others,
        {"rule": "best_validated", "methods": CORE},
        tables=("rewinding",),
        overlays=("published",),
    ),
    "rewind_vs_finetune_iterative": _beside_literature(
        Figure(
            _COMPRESSION,
            TITLE,
            _POINTS + _BEST + _PAPER,
            _shows_iterative,
            {"rule": "best_validated", "modes": ["iterative"], "methods": CORE},
            tables=("rewinding",),
            overlays=("published",),
        )
    ),
    "rewind_vs_finetune_one_shot": Figure(
        _COMPRESSION,
        TITLE,
        _POINTS + _BEST + _PAPER,
        _all(_has(("one_shot",)), _several_modes),
        {"rule": "best_validated", "modes": ["one_shot"]},
        tables=("rewinding",),
        overlays=("published",),
    ),
    "rewind_vs_finetune_structured": _beside_literature(
        Figure(
            _COMPRESSION,
            TITLE,
            _POINTS
            + _BEST
            + " Whole filters are pruned; the density also counts the inputs that the "
            "next convolution loses." + _PAPER,
            _has((STRUCTURED,)),
            {"rule": "best_validated", "modes": [STRUCTURED]},
            tables=("rewinding",),
            overlays=("published",),
        )
    ),
    "algorithm_vs_literature": _beside_literature(
        Figure(
            _COMPRESSION,
            TITLE,
            _POINTS
            + "Learning-rate rewinding for the full original training time and nothing tuned, "
            "beside published results of other methods." + _PAPER,
            _all(_has_single_rule(("iterative",), ("lr_rewind",)), _in_literature("iterative")),
            {
                "rule": "single_rule",
                "modes": ["iterative"],
                "methods": ["lr_rewind"],
            },
            tables=("rewinding",),
            overlays=("published",),
        )
    ),
    "fixed_retrain_time": _beside_literature(
        Figure(
            _COMPRESSION,
            TITLE,
            _POINTS
            + "One retrain time per method, chosen in advance: T for learning-rate rewinding "
            "and fine-tuning, the longest one up to 0.9 T for weight rewinding." + _PAPER,
            _all(_has_single_rule(methods=CORE), _has_times(CORE)),
            {"rule": "single_rule", "methods": CORE},
            tables=("rewinding",),
            overlays=("published",),
        )
    ),
    "accuracy_vs_retrain_time": Figure(
        _TIME,
        TITLE,
        "Change of the test score against the mean of the dense networks, by retrain time, one "
        "panel per density. Points are medians over replicates, bars run from the minimum to the "
        "maximum. The shaded band is the rewinding safe zone, 0.25 T to 0.9 T." + _PAPER,
        _has_times(),
        tables=("rewinding",),
        overlays=("published",),
    ),
    "accuracy_vs_retrain_time_core": Figure(
        _TIME,
        TITLE,
        "As accuracy_vs_retrain_time, of the three main methods." + _PAPER,
        _all(_has_times(CORE), _has_others),
        {"methods": CORE},
        tables=("rewinding",),
        overlays=("published",),
    ),
    "speedup": Figure(
        "pruning.systems.rewinding.figures:speedup",
        TITLE,
        "Theoretical speed-up by compression ratio: multiply-accumulates of the dense network over "
        "those of the pruned one, masked weights skipped; medians with minimum and maximum over "
        "replicates. Below, the cost of the fine-tuned network over that of each method's. "
        + _BEST
        + _PAPER,
        _has(("iterative",), CORE),
        {"methods": CORE, "modes": ["iterative"]},
        tables=("rewinding",),
        overlays=("published",),
    ),
}


def _last_drop(study: Study) -> dict[str, Any]:
    """The longest retrain time, in epochs, over which the learning rate never changes.

    Not said where epochs are counted otherwise than the schedule's, as how many images there are
    decides it then; nor of schedules without milestones, whose rates are not constant at the end or
    change in its very last steps.
    """
    recipe, schedule = study.task["recipe"], study.task["recipe"]["schedule"]
    if recipe.get("epoch_steps") is not None or schedule.get("shape", "step") != "step":
        return {"last_drop": {}}
    milestones = schedule.get("milestones", ())
    last = recipe["epochs"] - max(milestones) if milestones else recipe["epochs"]
    return {"last_drop": {study.name: last}}


_VISION = {"ylim": [-3, 1], "retrain_ylim": [-6, 1], "retrain_levels": [1, 5, 10]}

PAPERS = {
    "renda2020": Paper(
        title="Renda, Frankle, Carbin (ICLR 2020), published results",
        label="Renda et al. 2020",
        reader="pruning.systems.rewinding.published:tidy_table",
        titles={
            "renda2020_resnet20": "ResNet-20, CIFAR-10",
            "renda2020_resnet56": "ResNet-56, CIFAR-10",
            "renda2020_resnet110": "ResNet-110, CIFAR-10",
            "renda2020_vgg16": "VGG-16, CIFAR-10",
            "renda2020_resnet34": "ResNet-34, ImageNet",
            "renda2020_resnet50": "ResNet-50, ImageNet",
            "renda2020_gnmt": "GNMT, WMT16",
        },
        options={
            "renda2020_resnet20": _VISION,
            "renda2020_resnet56": _VISION,
            "renda2020_resnet110": _VISION,
            "renda2020_resnet34": _VISION,
            "renda2020_resnet50": _VISION,
            "renda2020_gnmt": {
                "ylim": [-6, 1.5],
                "retrain_ylim": [-12, 1.5],
                "xlim": 35.53,
                "retrain_levels": [1, 5, 10],
            },
        },
        figures=tuple(FIGURES),
        claims={
            "claims": {
                "last_drop": {
                    "renda2020_resnet20": 46,
                    "renda2020_resnet56": 46,
                    "renda2020_resnet110": 46,
                    "renda2020_resnet34": 10,
                    "renda2020_resnet50": 10,
                }
            }
        },
    ),
}

CLAIMS: dict[str, Claims] = {
    "claims": Claims(
        "pruning.systems.rewinding.evidence:RENDA2020",
        TITLE,
        "The claims of Renda, Frankle and Carbin (ICLR 2020), *Comparing Rewinding and "
        "Fine-tuning*, counted over this study's cells: how many satisfy each, and by how much the "
        "worst one misses it.",
        "rewinding",
        lambda study: "rewinding" in study.parts,
        _last_drop,
        (LITERATURE,),
    ),
}
