"""Where this wing's stages lie under ``results/``.

::

    <study>/seed<k>/at_init/<method>/<variant>/e<epoch>/level<n>/{mask...,state...}
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from pruning.study.places import (
    Chain,
    dense_folder,
    mask,
    mask_metadata,
    rewind_state,
    seed_folder,
)
from pruning.study.study import Study
from pruning.systems.at_init.rules import mask_variant, shuffled_variant, variant
from pruning.systems.at_init.section import Cell
from pruning.systems.system import Training


def chain_of(cell: Cell) -> str:
    """The chain that cuts the masks of a cell: a variant that only changes weights has no own."""
    return f"at_init/{cell.method}/{mask_variant(cell.variant)}/{_spell(cell.epoch)}"


def folder(study: str, seed: int | str, cell: Cell) -> str:
    """The training of a network that was pruned at initialization, or later."""
    place = f"at_init/{cell.method}/{cell.variant}/{_spell(cell.epoch)}/level{cell.level}"
    return f"{seed_folder(study, seed)}/{place}"


def state_at(study: Study, seed: int | str, epoch: float) -> str:
    """The dense training's state after some epochs, 0 for the initial one."""
    if epoch >= study.task["recipe"]["epochs"]:
        return f"{dense_folder(study.name, seed)}/state.safetensors"
    return rewind_state(study.name, seed, study.part("at_init").time(epoch))


def _spell(epoch: float) -> str:
    return f"e{epoch:g}"


def chains(study: Study) -> dict[str, Chain]:
    """Every chain of prunings, by the name that paths have."""
    found = {}
    if "at_init" in study.parts:
        for cell in study.part("at_init").cells:
            for cut in (cell, *_permuted(cell)):
                found[chain_of(cut)] = _chain(study, cut)
    return found


def _chain(study: Study, cell: Cell) -> Chain:
    part = study.part("at_init")
    levels = range(1, len(part.densities) + 1)
    prunings = tuple(part.pruning(cell.method, cell.variant, level) for level in levels)
    for other in _permuted(cell):
        return Chain(prunings, _masks(study, chain_of(other)), prunes="masks")
    return Chain(prunings, _state(study, cell.epoch))


def _permuted(cell: Cell) -> Iterator[Cell]:
    """The cell whose masks are permuted, where a cell's are."""
    if variant(cell.variant).shuffle:
        yield replace(cell, variant=shuffled_variant(cell.variant))


def _masks(study: Study, chain: str) -> Callable[[int | str, int], str]:
    return lambda seed, level: mask(study.name, seed, chain, level)


def _state(study: Study, epoch: float) -> Callable[[int | str, int], str]:
    return lambda seed, _: state_at(study, seed, epoch)


def trainings(study: Study) -> Iterator[Training]:
    """Every training."""
    for seed in study.seeds:
        for cell in study.part("at_init").cells if "at_init" in study.parts else ():
            masks = mask(study.name, seed, chain_of(cell), cell.level)
            yield Training(folder(study.name, seed, cell), masks)


def files(study: Study) -> Iterator[str]:
    """The dense states that are scored or trained, and masks that are permuted."""
    for seed in study.seeds:
        for cell in study.part("at_init").cells if "at_init" in study.parts else ():
            for epoch in (cell.epoch, study.part("at_init").trained_epoch(cell)):
                yield state_at(study, seed, epoch)
            for other in _permuted(cell):
                masks = mask(study.name, seed, chain_of(other), cell.level)
                yield from (masks, mask_metadata(masks))


def masks(study: Study) -> Iterator[tuple[str, int]]:
    """(chain, level) of every mask."""
    for cell in study.part("at_init").masks():
        yield chain_of(cell), cell.level
