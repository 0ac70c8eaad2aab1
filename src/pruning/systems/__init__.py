"""Published pruning systems: a wing each, with the same rooms in all.

This is the one table of systems. Ground and frame name none of them; they ask :func:`systems`.
"""

import importlib
import os
from functools import cache
from typing import TYPE_CHECKING, Any

from pruning.errors import PruningError, look_up

if TYPE_CHECKING:
    from pruning.systems.system import System

# A new line here changes no number of any other system; what a stage uses of one is versioned.
CODE_VERSION_SKIP = "a table of names"

# Environment: references to the systems of extensions, a line each; jobs inherit it from Snakemake.
OUTSIDE = "PRUNING_SYSTEMS"

SYSTEMS = (
    "pruning.systems.rewinding.system:SYSTEM",
    "pruning.systems.at_init.system:SYSTEM",
    "pruning.systems.gsm.system:SYSTEM",
    "pruning.systems.gem_miner.system:SYSTEM",
    "pruning.systems.prunetrain.system:SYSTEM",
)


@cache
def systems() -> tuple["System", ...]:
    """Every system there is, in the order of tables and figures.

    Raises:
        PruningError: two systems hand over the same name.
    """
    found = [_load(place) for place in SYSTEMS]
    found += [_load_outside(place) for place in os.environ.get(OUTSIDE, "").splitlines()]
    for kind in ("name", "sections", "figures", "claims", "papers", "gathered", "overlays"):
        _refuse_twice(kind, found)
    return tuple(found)


def find_system(name: str) -> "System":
    """The system of this name.

    Raises:
        PruningError: there is none; the message lists those there are.
    """
    return look_up("system", name, {system.name: system for system in systems()})


def joined(attribute: str) -> dict[str, Any]:
    """What all systems hand over under one attribute, by name."""
    return {
        name: value for system in systems() for name, value in getattr(system, attribute).items()
    }


def alternatives() -> dict[str, str]:
    """What wildcards of the systems' rules may be, by name; alternatives are joined."""
    found: dict[str, list[str]] = {}
    for system in systems():
        for name, pattern in system.wildcards.items():
            found.setdefault(name, []).append(pattern)
    return {name: "|".join(patterns) for name, patterns in found.items()}


def _load(place: str) -> "System":
    module, attribute = place.split(":")
    return getattr(importlib.import_module(module), attribute)


def _load_outside(place: str) -> "System":
    from pruning import extensions  # few have any
    from pruning.systems.system import System

    system = extensions.load(place, callable_only=False)
    if not isinstance(system, System):
        raise PruningError(f"{place} is no System; see pruning.systems.system.")
    return system


def _refuse_twice(kind: str, found: list["System"]) -> None:
    owner: dict[str, str] = {}
    for system in found:
        told = getattr(system, kind)
        names = [told] if isinstance(told, str) else [getattr(t, "name", t) for t in told]
        for name in names:
            if name in owner:
                raise PruningError(
                    f"The systems {owner[name]} and {system.name} both have {name!r} ({kind}). "
                    "Rename one."
                )
            owner[name] = system.name
