"""The part of a study that searches random networks for subnetworks. No torch here.

Everything is said as density, the fraction of weights that is kept. The authors' configurations
say ``target_sparsity``, which is the density in percent, and ``prune_rate``, which is the share
removed for some methods and the share kept for others.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pruning import registry
from pruning.errors import PruningError, look_up
from pruning.study.densities import check_densities
from pruning.study.recipes import complete_recipe
from pruning.systems.gem_miner.rules import (
    BASELINES,
    METHODS,
    UNMODIFIED,
    Search,
    Variant,
    variant,
)
from pruning.systems.gem_miner.schedule import removed_share

LAYER_RULE = "quadratic"  # without one
STRENGTH = "strength_"  # begins the variants of a sweep over penalties


@dataclass(frozen=True)
class Cell:
    """One kind of network that is found and trained.

    Attributes:
        method: a key of :data:`pruning.systems.gem_miner.rules.METHODS` or ``BASELINES``.
        variant: a key of :data:`pruning.systems.gem_miner.rules.VARIANTS`, or of a sweep.
        level: place of its density in the grid, from 1.
    """

    method: str
    variant: str
    level: int


@dataclass(frozen=True)
class Setting:
    """How one method searches, and trains what it found.

    Attributes:
        search: the recipe by which scores train; plain values.
        finetune: the recipe by which the found network trains.
        period: epochs between changes of the search's density.
        strengths: lambda of level 1, 2, ...
        unflag: of each level, whether weights that the penalty rounded to zero, but that were not
            frozen out, are given back before training.
        fan_share: see :class:`pruning.systems.gem_miner.rules.Search`.
    """

    search: Mapping[str, Any]
    finetune: Mapping[str, Any]
    period: int
    strengths: tuple[float, ...]
    unflag: tuple[bool, ...]
    fan_share: tuple[float, ...]


@dataclass(frozen=True)
class GemMiner:
    """Searches of random networks (Sreenivasan et al. 2022).

    Attributes:
        cells: what is found and trained, baselines included.
        densities: of level 1, 2, ...
        settings: by method.
        baselines: the recipes that baselines with one of their own train by, by method.
        sweep: lambda by variant, of the searches that differ in nothing else.
        initialization: of the network that is searched.
        layer_rule: of Smart Ratio.
    """

    cells: tuple[Cell, ...]
    densities: tuple[float, ...]
    settings: Mapping[str, Setting]
    baselines: Mapping[str, Mapping[str, Any]]
    sweep: Mapping[str, float]
    initialization: str
    layer_rule: str

    def searched(self) -> list[Cell]:
        """The cells with a search of their own, in the order of the study."""
        own = (c for c in self.cells if c.method in METHODS)
        return list(dict.fromkeys(self.found_by(c) for c in own))

    def found_by(self, cell: Cell) -> Cell:
        """The cell whose search found what a cell trains."""
        return cell if cell.variant in self.sweep else replace(cell, variant=UNMODIFIED)

    def variant(self, cell: Cell) -> Variant:
        """What is done to what was found before it is trained."""
        return variant(UNMODIFIED if cell.variant in self.sweep else cell.variant)

    def mask_of(self, cell: Cell) -> Cell:
        """The cell whose mask a cell trains: a variant that only changes weights has no own."""
        return cell if self.variant(cell).shuffle else self.found_by(cell)

    def search(self, cell: Cell) -> Search:
        """How a cell's search is set."""
        setting, level = self.settings[cell.method], cell.level - 1
        return Search(
            method=cell.method,
            density=self.densities[level],
            period=setting.period,
            strength=self.sweep.get(cell.variant, setting.strengths[level]),
            fan_share=setting.fan_share[level],
        )

    def fresh_fan_share(self, cell: Cell) -> float:
        """The ``fan_share`` of weights that are drawn anew: that of those that were searched."""
        if cell.method in METHODS and self.variant(cell).weights == "fresh":
            return self.search(self.found_by(cell)).fan_share
        return 1.0

    def pruning(self, cell: Cell) -> dict[str, Any]:
        """Parameters of the prune stage."""
        density = self.densities[cell.level - 1]
        if cell.method in BASELINES:
            told = dict(BASELINES[cell.method].pruning)
            rule = {"layer_rule": self.layer_rule} if told["kind"] == "smart_ratio" else {}
            return {**told, **rule, "density": density}
        if self.variant(cell).shuffle:
            return {"kind": "shuffled", "density": density}
        unflag = self.settings[cell.method].unflag[cell.level - 1]
        return {
            "kind": "found",
            "density": density,
            "mask": METHODS[cell.method].mask,
            "unflag": unflag,
        }

    def recipe(self, cell: Cell, own: Mapping[str, Any]) -> Mapping[str, Any]:
        """The recipe that a cell's network is trained by; ``own`` is the study's."""
        if cell.method in METHODS:
            return self.settings[cell.method].finetune
        return self.baselines.get(cell.method, own)


def read(
    values: Mapping[str, Any], document: Mapping[str, Any], parts: Mapping[str, Any]
) -> GemMiner:
    """The section of a study file, checked against its schema before.

    Raises:
        PruningError: an unknown method, variant or initialization; a density outside (0, 1]; a list
            that has not one entry per level; numbers that are not finite; an impossible recipe, or
            one that scores cannot train by; a search that is over before it freezes anything;
            strengths that paths cannot tell apart; what would have no effect.
    """
    densities = tuple(values["densities"])
    check_densities(densities, "gem_miner")
    for name in values["methods"]:
        look_up("method of search", name, {**METHODS, **BASELINES})
    _check_names(values)
    _check_effects(values)
    searched = [name for name in values["methods"] if name in METHODS]
    own = document["recipe"]
    settings = {name: _setting(name, values, len(densities), own) for name in searched}
    sweep = _sweep(values, len(densities))
    part = GemMiner(
        cells=tuple(dict.fromkeys(_cells(values, densities, sweep))),
        densities=densities,
        settings=settings,
        baselines=_baselines(values, own),
        sweep=sweep,
        initialization=registry.reference("initialization", values["initialization"]),
        layer_rule=values.get("layer_rule", LAYER_RULE),
    )
    for cell in part.searched():
        _check_search(part, cell, values)
    return part


def _check_names(values: Mapping[str, Any]) -> None:
    for key in ("settings_by_method", "variants_by_method", "levels_by_method", "strengths"):
        for name in values[key]:
            if name not in values["methods"]:
                raise PruningError(
                    f"gem_miner.{key} names {name!r}, which is not among its methods."
                )
            if key == "strengths" and name in BASELINES:
                raise PruningError(f"gem_miner.{key} names {name!r}, which does not search.")
    for name, levels in values["levels_by_method"].items():
        if max(levels) > len(values["densities"]):
            raise PruningError(
                f"gem_miner.levels_by_method.{name} names level {max(levels)}, but there are "
                f"{len(values['densities'])} densities."
            )
    for kinds in (values["variants"], *values["variants_by_method"].values()):
        for kind in kinds:
            variant(kind)


def _check_effects(values: Mapping[str, Any]) -> None:
    """Refuse what is said in vain: whoever says it expects something of it."""
    for name, own in values["settings_by_method"].items():
        if name in BASELINES and own.keys() - {"finetune"}:
            raise PruningError(
                f"gem_miner.settings_by_method.{name}.{sorted(own.keys() - {'finetune'})[0]} has "
                f"no effect: {name} does not search. Of a baseline only `finetune` can be set."
            )
        if "period" in own and METHODS[name].sparsifies == "at_once":
            raise PruningError(
                f"gem_miner.settings_by_method.{name}.period has no effect: {name} has its density "
                "from the first step on. Take it out."
            )
    if "layer_rule" in values and "smart_ratio" not in values["methods"]:
        raise PruningError(
            "gem_miner.layer_rule has no effect: it is of smart_ratio, which is not among the "
            "methods. Take it out."
        )


def _cells(
    values: Mapping[str, Any], densities: Sequence[float], sweep: Mapping[str, float]
) -> Iterator[Cell]:
    for name in values["methods"]:
        row = BASELINES.get(name)
        for kind in values["variants_by_method"].get(name, values["variants"]):
            if row is not None and kind != UNMODIFIED:
                if name in values["variants_by_method"]:
                    raise PruningError(
                        f"gem_miner.variants_by_method: {name} has random masks, so {kind!r} is "
                        "no check of it."
                    )
                continue
            every = range(1, len(densities) + 1)
            levels = values["levels_by_method"].get(name, every)
            yield from (Cell(name, kind, level) for level in every if level in levels)
    for kind in sweep:
        yield Cell(values["sweep"]["method"], kind, values["sweep"]["level"])


def _setting(
    name: str, values: Mapping[str, Any], levels: int, study: Mapping[str, Any]
) -> Setting:
    own = values["settings_by_method"].get(name, {})
    recipes = {
        key: complete_recipe(own.get(key, values[key]), _key(name, key, values), study)
        for key in ("search", "finetune")
    }
    strengths = values["strengths"]
    if METHODS[name].penalty == "none" and name in strengths:
        raise PruningError(f"gem_miner.strengths names {name!r}, which has no penalty.")
    of = name if name in strengths or not _is_gem_miner(name) else "gem_miner"
    fans = _by_level(own.get("fan_share", 1.0), levels, _key(name, "fan_share", values))
    return Setting(
        search=recipes["search"],
        finetune=recipes["finetune"],
        period=own.get("period", values["period"]),
        strengths=_by_level(strengths.get(of, 0.0), levels, f"gem_miner.strengths.{of}"),
        unflag=_by_level(values["unflag"], levels, "gem_miner.unflag"),
        fan_share=fans,
    )


def _baselines(values: Mapping[str, Any], study: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    own = {name: values["settings_by_method"].get(name, {}) for name in BASELINES}
    return {
        name: complete_recipe(given["finetune"], _key(name, "finetune", values), study)
        for name, given in own.items()
        if "finetune" in given
    }


def _is_gem_miner(name: str) -> bool:
    """Whether a method differs from Gem-Miner in nothing but how long, or what, it freezes."""
    return replace(METHODS[name], freezes="smallest") == METHODS["gem_miner"]


def _key(name: str, key: str, values: Mapping[str, Any]) -> str:
    """Where a study says something of a method."""
    own = key in values["settings_by_method"].get(name, {})
    return f"gem_miner.settings_by_method.{name}.{key}" if own else f"gem_miner.{key}"


def _by_level(given: Any, levels: int, where: str) -> tuple[Any, ...]:
    if not isinstance(given, list | tuple):
        return (given,) * levels
    if len(given) != levels:
        raise PruningError(
            f"{where} has {len(given)} entries, but there are {levels} densities. Give one for "
            "each, or a single one for all."
        )
    return tuple(given)


def _sweep(values: Mapping[str, Any], levels: int) -> dict[str, float]:
    sweep = values.get("sweep")
    if sweep is None:
        return {}
    name = sweep["method"]
    if name not in values["methods"] or name not in METHODS:
        raise PruningError(f"gem_miner.sweep.method is {name!r}, which is no search of this study.")
    if METHODS[name].penalty == "none":
        raise PruningError(f"gem_miner.sweep.method: {name} has no penalty to vary.")
    if sweep["level"] > levels:
        raise PruningError(f"gem_miner.sweep.level is {sweep['level']}, there are {levels}.")
    found: dict[str, float] = {}
    for value in sweep["strengths"]:
        kind = f"{STRENGTH}{_spelled(value)}"
        if kind in found:
            raise PruningError(
                f"gem_miner.sweep.strengths has {found[kind]!r} and {value!r}, which folders "
                "cannot tell apart: give numbers that differ in their first six digits."
            )
        found[kind] = float(value)
    return found


def _spelled(value: float) -> str:
    """A strength in a path, without a sign or a point: 3e-06 is 3em06."""
    return f"{value:g}".replace("-", "m").replace(".", "p").replace("+", "")


def _check_search(part: GemMiner, cell: Cell, values: Mapping[str, Any]) -> None:
    """Refuse a search by a recipe that scores cannot train by, or that is over too soon."""
    search, recipe = part.search(cell), part.settings[cell.method].search
    where, optimizer = _key(cell.method, "search", values), recipe["optimizer"]
    if search.row.sparsifies != "at_once":
        if recipe["epochs"] != int(recipe["epochs"]):
            raise PruningError(
                f"{where}.epochs: {recipe['epochs']:g} epochs end within one, but densities of "
                f"{cell.method} change when epochs are over. Give a whole number."
            )
        try:
            removed_share(search.density, int(recipe["epochs"]), search.period)
        except PruningError as error:
            period = _key(cell.method, "period", values)
            raise PruningError(f"{period} and {where}.epochs, of {cell.method}: {error}") from None
    if search.row.mask == "rounded" and optimizer["weight_decay"]:
        raise PruningError(
            f"{where}.optimizer: weight decay would act on the scores of {cell.method}. Set "
            "weight_decay to 0; the penalty is for that."
        )
    if _prunes(optimizer["name"]):
        raise PruningError(
            f"{where}.optimizer: {optimizer['name']!r} prunes what it trains, which would be the "
            "scores. Take one that does not."
        )


def _prunes(optimizer: str) -> bool:
    """Whether an optimizer is told a density, so ranks the tensors that it trains."""
    try:
        return "density" in registry.options("optimizer", optimizer)
    except PruningError:  # it does not say what it takes
        return False
