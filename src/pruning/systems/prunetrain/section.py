"""The part of a study that trains networks which shrink while they train. No torch here."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pruning.errors import PruningError, look_up
from pruning.study.recipes import complete_recipe
from pruning.systems.prunetrain.rules import FINE_TUNED, METHODS, UNMODIFIED
from pruning.training.recipe import Recipe


@dataclass(frozen=True)
class Cell:
    """One training.

    Attributes:
        method: a key of :data:`pruning.systems.prunetrain.rules.METHODS`.
        variant: ``unmodified``: the training that shrinks; ``fine_tuned``: what follows it.
        level: place of its penalty ratio among the section's, from 1.
    """

    method: str
    variant: str
    level: int


@dataclass(frozen=True)
class PruneTrain:
    """Trainings with group lasso and reconfigurations (Lym et al. 2019).

    Attributes:
        ratios: of the penalty in the loss at the start, of level 1, 2, ...
        levels: of each method, in the order of the study.
        fine_tuned: methods whose networks train on after they have shrunk.
        recipe: of the trainings that shrink; plain values.
        finetune: of those that follow; None where there are none.
        settings: what all trainings share, see :class:`pruning.systems.prunetrain.method.Settings`.
    """

    ratios: tuple[float, ...]
    levels: Mapping[str, tuple[int, ...]]
    fine_tuned: tuple[str, ...]
    recipe: Mapping[str, Any]
    finetune: Mapping[str, Any] | None
    settings: Mapping[str, Any]

    def shrinking(self) -> Iterator[Cell]:
        """Every training that shrinks."""
        for method, levels in self.levels.items():
            yield from (Cell(method, UNMODIFIED, level) for level in levels)

    def finetunings(self) -> Iterator[Cell]:
        """Every training that follows one."""
        for method in self.fine_tuned:
            yield from (Cell(method, FINE_TUNED, level) for level in self.levels[method])

    def told(self, cell: Cell) -> dict[str, Any]:
        """What the stage of a cell is told of how it trains."""
        return {**self.settings, "method": cell.method, "ratio": self.ratios[cell.level - 1]}


def read(
    values: Mapping[str, Any], document: Mapping[str, Any], parts: Mapping[str, Any]
) -> PruneTrain:
    """The section of a study file, checked against its schema before.

    Raises:
        PruningError: an unknown method; ratios that do not rise; a method or ratio that is not
            there; an impossible recipe; an interval longer than the training; batches that are to
            grow and do not end with the epoch, or whose largest is smaller than the first.
    """
    ratios = tuple(values["ratios"])
    if list(ratios) != sorted(set(ratios)):
        raise PruningError(f"prunetrain.ratios must rise from level to level: {list(ratios)}.")
    for name in values["methods"]:
        look_up("method of PruneTrain", name, METHODS)
    own = document["recipe"]
    recipe = complete_recipe(values.get("recipe", own), "prunetrain.recipe", own)
    part = PruneTrain(
        ratios=ratios,
        levels={name: _levels(name, values, ratios) for name in values["methods"]},
        fine_tuned=_fine_tuned(values),
        recipe=recipe,
        finetune=_finetune(values, own),
        settings={key: values[key] for key in ("interval", "threshold", "epsilon", "growth")},
    )
    for name in values["ratios_by_method"]:
        _require_method("ratios_by_method", name, values)
    used = {level for levels in part.levels.values() for level in levels}
    for level, ratio in enumerate(ratios, 1):
        if level not in used:
            raise PruningError(
                f"prunetrain.ratios has {ratio:g}, which no method is trained at: see "
                "prunetrain.ratios_by_method."
            )
    _check_interval(part)
    if any(METHODS[name].grows for name in part.levels):
        _check_growth(part)
    return part


def _levels(name: str, values: Mapping[str, Any], ratios: tuple[float, ...]) -> tuple[int, ...]:
    own = values["ratios_by_method"].get(name, ratios)
    for ratio in own:
        if ratio not in ratios:
            raise PruningError(
                f"prunetrain.ratios_by_method.{name} names {ratio:g}, which is not among "
                f"prunetrain.ratios: {list(ratios)}. Add it there."
            )
    return tuple(sorted(ratios.index(ratio) + 1 for ratio in own))


def _fine_tuned(values: Mapping[str, Any]) -> tuple[str, ...]:
    for name in values["fine_tuned"]:
        _require_method("fine_tuned", name, values)
    return tuple(n for n in values["methods"] if n in values["fine_tuned"] or METHODS[n].trained)


def _finetune(values: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any] | None:
    wanted = _fine_tuned(values)
    if "finetune" in values:
        if not wanted:
            raise PruningError(
                "prunetrain.finetune is a recipe that no training uses. Name methods under "
                "prunetrain.fine_tuned, or take it out."
            )
        return complete_recipe(values["finetune"], "prunetrain.finetune", own)
    if wanted:
        raise PruningError(
            f"prunetrain.finetune is missing: {', '.join(wanted)} train on after they have shrunk, "
            "and it says how."
        )
    return None


def _require_method(key: str, name: str, values: Mapping[str, Any]) -> None:
    if name not in values["methods"]:
        raise PruningError(f"prunetrain.{key} names {name!r}, which is not among its methods.")


def _check_interval(part: PruneTrain) -> None:
    interval, epochs = part.settings["interval"], part.recipe["epochs"]
    if interval >= epochs and not all(METHODS[name].once for name in part.levels):
        raise PruningError(
            f"prunetrain.interval: {interval} epochs are no shorter than the training, which has "
            f"{epochs:g}, so nothing would be cut before its end. Use a shorter interval; the "
            "method that cuts at the end alone is prunetrain_one_time."
        )


def _check_growth(part: PruneTrain) -> None:
    batches, growth = Recipe.from_dict(part.recipe).batches, part.settings["growth"]
    if batches.epoch_boundary == "straddle":
        raise PruningError(
            "prunetrain_dynamic_batch needs epochs of whole batches: say `epoch_boundary: keep` or "
            "`drop` under the batches of prunetrain's recipe (the study's, without one of its own)."
        )
    if growth["maximum"] // growth["multiple"] * growth["multiple"] <= batches.size:
        raise PruningError(
            f"prunetrain.growth.maximum is {growth['maximum']}: no multiple of "
            f"{growth['multiple']} up to it is larger than the batch of {batches.size} that the "
            "recipe begins with, so nothing could grow."
        )
