"""The parts of a study that compare re-training methods, from the study file. No torch here."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from pruning import registry
from pruning.errors import PruningError, unknown
from pruning.study.densities import check_densities
from pruning.study.study import Study
from pruning.systems.rewinding.filter_fractions import FRACTIONS
from pruning.systems.rewinding.rules import RULES

ALGORITHM = "algorithm_1"
STRUCTURED = "structured_"
STRUCTURED_LEVELS = 5  # as published
TIME = re.compile("-?[0-9]+([.][0-9]+)?")  # as paths spell it


@dataclass(frozen=True)
class Mode:
    """One way to go from the dense network to a sparse one, level by level.

    Attributes:
        times: retrain times in epochs by method, keys of
            :data:`pruning.systems.rewinding.rules.RULES`.
        prunings: parameters of the prune stage at level 1, 2, ...; ``kind`` is a key of
            :data:`pruning.registry.PRUNERS`, the rest is its options.
        levels: how many of the prunings a study's grid has.
        chained: whether a level prunes what the level before retrained, or the dense network.
    """

    times: Mapping[str, tuple[float, ...]]
    prunings: tuple[Mapping[str, Any], ...]
    levels: int
    chained: bool


@dataclass(frozen=True)
class Rewinding:
    """The part of a study that compares re-training methods (Renda et al. 2020).

    Attributes:
        modes: by name: ``iterative`` (prune, retrain, prune what was retrained, ...), ``one_shot``
            (prune the dense network straight to each density), ``structured_...`` (one-shot, whole
            filters).
        kept_times: every retrain time of the study, rising: what the dense training keeps states
            for. Also of methods that are not run, so that a study that gains one finds its states.
        data_order: see :func:`pruning.systems.rewinding.method.retrain`.
    """

    modes: Mapping[str, Mode]
    kept_times: tuple[float, ...]
    data_order: str = "fresh"

    def cells(self) -> Iterator[tuple[str, str, float, int]]:
        """Every (mode, method, retrain time, level) of the grid."""
        for name, mode in self.modes.items():
            for method, times in mode.times.items():
                for time in times:
                    for level in range(1, mode.levels + 1):
                        yield name, method, time, level


@dataclass(frozen=True)
class Algorithm:
    """Algorithm 1 of Renda et al. (2020): prune, rewind the learning rate for T, repeat.

    Attributes:
        mode: name of the mode whose chain of lr_rewind at T it follows; the study's own iterative
            one where that prunes the same fraction, so that nothing trains twice.
        definition: that mode, with prunings for at least as far as the algorithm may go.
        max_levels: how far it may go.
        retrain_time: T in epochs.
        tolerance: fall of the validation score that ends it, in the unit of its changes.
    """

    mode: str
    definition: Mode
    max_levels: int
    retrain_time: float
    tolerance: float


def modes(study: Study) -> dict[str, Mode]:
    """Every mode that a cell of the study may be in, Algorithm 1's included."""
    found = dict(study.parts["rewinding"].modes) if "rewinding" in study.parts else {}
    if "algorithm" in study.parts:
        algorithm = study.parts["algorithm"]
        found[algorithm.mode] = algorithm.definition
    return found


def read(
    values: Mapping[str, Any], document: Mapping[str, Any], parts: Mapping[str, Any]
) -> Rewinding:
    """The section ``rewinding`` of a study file, checked against its schema before.

    Raises:
        PruningError: an unknown method, mode or score, a density outside (0, 1], a retrain time
            above T.
    """
    return _rewinding(values, document["network"]["name"], document["recipe"]["epochs"])


def read_algorithm(
    values: Mapping[str, Any], document: Mapping[str, Any], parts: Mapping[str, Any]
) -> Algorithm:
    """The section ``algorithm``; it follows the study's own chain where that prunes the same."""
    return _algorithm(values, parts.get("rewinding"), document["recipe"]["epochs"])


def _rewinding(values: dict[str, Any], network: str, epochs: float) -> Rewinding:
    by_mode = values["methods_by_mode"]
    every = (
        *values["methods"],
        *values["times_by_method"],
        *(m for v in by_mode.values() for m in v),
    )
    for method in every:
        if method not in RULES:
            raise unknown("re-training method", method, RULES)
    whole_filters = {mode for mode in values["modes"] if mode.startswith(STRUCTURED)}
    allowed = {
        "methods_by_mode": set(values["modes"]),
        "levels_by_mode": set(values["modes"]),
        "densities_by_mode": set(values["modes"]) - whole_filters,
        "thinnings": whole_filters,
    }
    for key, modes in allowed.items():
        for mode in values[key]:
            if mode not in modes:
                raise PruningError(
                    f"rewinding.{key} names {mode!r}, which is not among the modes it is for "
                    f"({', '.join(sorted(modes)) or 'none'})."
                )
    values = {**values, "score": registry.reference("score", values["score"])}
    kept = set(values["retrain_times"]).union(*values["times_by_method"].values())
    rewinding = Rewinding(
        modes={mode: _mode(mode, values, network) for mode in values["modes"]},
        kept_times=tuple(sorted(kept)),
        data_order=values["data_order"],
    )
    for time in rewinding.kept_times:
        if not TIME.fullmatch(f"{time:g}"):
            raise PruningError(f"retrain time {time:g} must be a plain number of epochs, like 0.5.")
        if float(f"{time:g}") != time:  # which is how paths spell it
            raise PruningError(f"retrain time {time!r} has too many digits: write {time:g}.")
        if not 0 < time <= epochs:
            raise PruningError(
                f"retrain time {time:g} lies outside (0, {epochs:g}]: one cannot rewind "
                "to before the training began. Use at most the recipe's epochs."
            )
    return rewinding


def _mode(name: str, values: dict[str, Any], network: str) -> Mode:
    whole_filters = name.startswith(STRUCTURED)
    prunings = _filters(name, values, network) if whole_filters else _weights(name, values)
    prunings = tuple(prunings)
    methods = values["methods_by_mode"].get(name, values["methods"])
    return Mode(
        times={
            method: tuple(values["times_by_method"].get(method, values["retrain_times"]))
            for method in methods
        },
        prunings=prunings,
        levels=len(prunings),
        chained=name == "iterative",
    )


def _algorithm(values: dict[str, Any], rewinding: Rewinding | None, epochs: float) -> Algorithm:
    density, levels = 1 - values["fraction"], values["max_levels"]
    prunings = tuple(
        {"kind": "weights", "density": density**k, "score": "magnitude", "scope": "global"}
        for k in range(1, levels + 1)
    )
    name, mode = ALGORITHM, Mode({"lr_rewind": (epochs,)}, prunings, 0, chained=True)
    iterative = rewinding.modes.get("iterative") if rewinding else None
    if (
        iterative
        and epochs in iterative.times.get("lr_rewind", ())
        and all(map(_same_pruning, iterative.prunings, prunings))
    ):
        further = prunings[iterative.levels :]
        name, mode = "iterative", replace(iterative, prunings=iterative.prunings + further)
    return Algorithm(name, mode, levels, epochs, values["tolerance"])


def _same_pruning(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether two levels remove the same, up to how their density is written down."""
    densities = first.get("density", 0), second.get("density", 0)
    rest = [{k: v for k, v in p.items() if k != "density"} for p in (first, second)]
    return rest[0] == rest[1] and math.isclose(*densities, rel_tol=1e-9)


def _weights(mode: str, values: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Unstructured pruning: the density of each level."""
    own = mode in values["densities_by_mode"]
    if not own and ("densities" in values) == ("levels" in values):
        raise PruningError("rewinding needs either `levels` (with `fraction`) or `densities`.")
    densities = values["densities_by_mode"].get(mode, values.get("densities"))
    usual = values["levels"] if densities is None else len(densities)
    levels = values["levels_by_mode"].get(mode, usual)
    if densities is None:
        densities = [(1 - values["fraction"]) ** k for k in range(1, levels + 1)]
    if levels > len(densities):
        raise PruningError(
            f"rewinding wants {levels} levels of {mode}, but lists {len(densities)} densities."
        )
    check_densities(densities, "rewinding")
    options = {"score": values["score"], "scope": values["scope"]}
    for density in densities[:levels]:
        yield {"kind": "weights", "density": density, **options}


def _filters(mode: str, values: dict[str, Any], network: str) -> Iterator[dict[str, Any]]:
    """Structured pruning: which convolutions are thinned out, at each level."""
    thinnings = values["thinnings"].get(mode)
    if thinnings is None:
        table = FRACTIONS.get(network, {})
        if mode not in table:
            raise PruningError(
                f"There is no published {mode} for {network} (there is for "
                f"{', '.join(n for n in FRACTIONS if mode in FRACTIONS[n]) or 'none'}). Say under "
                f"rewinding.thinnings.{mode} which convolutions to thin out."
            )
        thinnings = [asdict(thinning) for thinning in table[mode]]
    thinnings = [{"convs": list(t["convs"]), "fraction": t["fraction"]} for t in thinnings]
    for level in range(1, values["levels_by_mode"].get(mode, STRUCTURED_LEVELS) + 1):
        yield {"kind": "filters", "level": level, "thinnings": thinnings}
