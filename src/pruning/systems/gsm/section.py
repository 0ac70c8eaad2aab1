"""The part of a study that prunes by GSM, from the study file. No torch here."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pruning import registry
from pruning.errors import PruningError
from pruning.study.densities import check_densities
from pruning.study.recipes import complete_recipe

OPTIMIZER = "gsm"
UNMODIFIED = "unmodified"
MAGNITUDE = "magnitude_without_retraining"
ZEROED = ("gsm", MAGNITUDE)  # methods that set the smallest weights to zero
# Of each kind of winning ticket the method whose masks it has.
TICKETS = {"gsm_ticket": "gsm", "magnitude_ticket": MAGNITUDE}


@dataclass(frozen=True)
class Gsm:
    """Global sparse momentum SGD from the trained network, and winning tickets (Ding et al. 2019).

    Attributes:
        densities: of level 1, 2, ...; each has a training of its own, from the dense network.
        recipe: of the trainings, without density; plain values like a study's own recipe.
        ablations: what variants change of the recipe's optimizer, by name.
        ablation_levels: the levels that ablations are trained at.
        tickets: ``gsm``, ``magnitude``: whose masks are also trained from the initial weights.
        sensitivity: densities that single layers of the dense network are pruned to.
    """

    densities: tuple[float, ...]
    recipe: Mapping[str, Any]
    ablations: Mapping[str, Mapping[str, Any]]
    ablation_levels: tuple[int, ...]
    tickets: tuple[str, ...]
    sensitivity: tuple[float, ...]

    @property
    def levels(self) -> range:
        """1, 2, ..."""
        return range(1, len(self.densities) + 1)

    def trainings(self) -> Iterator[tuple[str, int]]:
        """Every (variant, level) that is trained by GSM."""
        for level in self.levels:
            yield UNMODIFIED, level
            if level in self.ablation_levels:
                yield from ((name, level) for name in self.ablations)

    def zeroed(self) -> Iterator[tuple[str, str, int]]:
        """Every (method, variant, level) whose smallest weights are set to zero."""
        yield from (("gsm", variant, level) for variant, level in self.trainings())
        yield from ((MAGNITUDE, UNMODIFIED, level) for level in self.levels)

    def ticket_cells(self) -> Iterator[tuple[str, str, int]]:
        """Every (method, variant, level) of a winning ticket."""
        for kind in self.tickets:
            yield from ((f"{kind}_ticket", UNMODIFIED, level) for level in self.levels)

    def training_recipe(self, variant: str, level: int) -> dict[str, Any]:
        """The recipe of one training."""
        optimizer = self._optimizer(variant)
        options = optimizer["options"] | {"density": self.densities[level - 1]}
        return {**self.recipe, "optimizer": optimizer | {"options": options}}

    def pruning(self, level: int) -> dict[str, Any]:
        """Parameters of the prune stage: global magnitude, counted as in the authors' code."""
        return {
            "kind": "weights",
            "density": self.densities[level - 1],
            "score": "magnitude",
            "scope": "global",
            "rule": "gsm",
        }

    def _optimizer(self, variant: str) -> dict[str, Any]:
        usual, change = self.recipe["optimizer"], self.ablations.get(variant, {})
        options = usual["options"] | change.get("options", {})
        return {**usual, **change, "options": options, "name": OPTIMIZER}


def read(values: Mapping[str, Any], document: Mapping[str, Any], parts: Mapping[str, Any]) -> Gsm:
    """The section of a study file, checked against its schema before.

    Raises:
        PruningError: a density outside (0, 1], an impossible recipe, an optimizer option that GSM
            does not have, an ablation of no such level.
    """
    densities = _densities(values)
    gsm = Gsm(
        densities=densities,
        recipe=complete_recipe(values["recipe"], "gsm.recipe", document["recipe"]),
        ablations=values["ablations"],
        ablation_levels=tuple(values.get("ablation_levels", range(1, len(densities) + 1))),
        tickets=tuple(values["tickets"]),
        sensitivity=tuple(values["sensitivity"]),
    )
    if UNMODIFIED in gsm.ablations:
        raise PruningError(f"gsm.ablations: the name {UNMODIFIED!r} is taken. Choose another.")
    for variant in (UNMODIFIED, *gsm.ablations):
        _check_optimizer(gsm, variant)
    for level in gsm.ablation_levels:
        if level not in gsm.levels:
            raise PruningError(
                f"gsm.ablation_levels names level {level}, but there are {len(densities)}."
            )
    return gsm


def _check_optimizer(gsm: Gsm, variant: str) -> None:
    optimizer = gsm.training_recipe(variant, 1)["optimizer"]
    where = "gsm.recipe" if variant == UNMODIFIED else f"gsm.ablations.{variant}"
    if gsm.recipe["optimizer"]["name"] != OPTIMIZER:
        raise PruningError(
            f"gsm.recipe: the optimizer is {OPTIMIZER}, not {gsm.recipe['optimizer']['name']!r}."
        )
    registry.checked_options("optimizer", OPTIMIZER, optimizer["options"], f"{where}.options")
    for options in (gsm.recipe["optimizer"]["options"], gsm.ablations.get(variant, {})):
        if "density" in options or "density" in options.get("options", {}):
            raise PruningError(f"{where}: the density is said by `densities` or `ratios`.")


def _densities(values: Mapping[str, Any]) -> tuple[float, ...]:
    if ("densities" in values) == ("ratios" in values):
        raise PruningError(
            "gsm needs either `ratios` (compression ratios, 1 / density) or `densities`."
        )
    densities = values.get("densities") or [1 / ratio for ratio in values["ratios"]]
    check_densities(densities, "gsm")
    return tuple(densities)
