"""Where this wing's stages lie under ``results/``.

::

    <study>/seed<k>/gem_miner/search/<method>/<variant>/level<n>/{state,network}.safetensors, ...
    <study>/seed<k>/gem_miner/<method>/<variant>/level<n>/{mask.safetensors,...,summary.json}
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from pruning.study.places import (
    Chain,
    dense_folder,
    mask,
    mask_metadata,
    rewind_state,
    seed_folder,
)
from pruning.study.study import Study
from pruning.systems.gem_miner.rules import BASELINES
from pruning.systems.gem_miner.section import Cell
from pruning.systems.system import Training

NETWORK = "network.safetensors"  # that was searched: its weights, and the buffers it ended with


def chain_of(cell: Cell) -> str:
    """The chain that cuts the masks of cells like this one at every level."""
    return f"gem_miner/{cell.method}/{cell.variant}"


def search_folder(study: str, seed: int | str, cell: Cell) -> str:
    """A search; ``variant`` is one that has a search of its own."""
    place = f"gem_miner/search/{cell.method}/{cell.variant}/level{cell.level}"
    return f"{seed_folder(study, seed)}/{place}"


def folder(study: str, seed: int | str, cell: Cell) -> str:
    """The training of what a search found, or of a baseline."""
    return f"{seed_folder(study, seed)}/{chain_of(cell)}/level{cell.level}"


def initial_state(study: Study, seed: int | str) -> str:
    """The study's own initial state, which baselines train."""
    return rewind_state(study.name, seed, study.task["recipe"]["epochs"])


def cell_mask(study: Study, seed: int | str, cell: Cell) -> str:
    """The mask that a cell trains."""
    own = study.part("gem_miner").mask_of(cell)
    return mask(study.name, seed, chain_of(own), own.level)


def cells(study: Study) -> tuple[Cell, ...]:
    """Everything that is trained, of one replicate."""
    return study.part("gem_miner").cells if "gem_miner" in study.parts else ()


def searches(study: Study) -> list[Cell]:
    """Every search, of one replicate."""
    return study.part("gem_miner").searched() if "gem_miner" in study.parts else []


def chains(study: Study) -> dict[str, Chain]:
    """Every chain of prunings, by the name that paths have."""
    found = {}
    for cell in dict.fromkeys(study.part("gem_miner").mask_of(c) for c in cells(study)):
        found[chain_of(cell)] = _chain(study, cell)
    return found


def _chain(study: Study, cell: Cell) -> Chain:
    part = study.part("gem_miner")
    levels = range(1, len(part.densities) + 1)
    prunings = tuple(part.pruning(replace(cell, level=level)) for level in levels)
    if cell.method in BASELINES:
        return Chain(prunings, lambda seed, _: initial_state(study, seed))
    if part.variant(cell).shuffle:
        other = chain_of(part.found_by(cell))
        masks = partial(_mask, study.name, other)
        return Chain(prunings, masks, prunes="masks")
    return Chain(prunings, partial(_searched, study.name, cell), of_study=False)


def _mask(study: str, chain: str, seed: int | str, level: int) -> str:
    return mask(study, seed, chain, level)


def _searched(study: str, cell: Cell, seed: int | str, level: int) -> str:
    return f"{search_folder(study, seed, replace(cell, level=level))}/state.safetensors"


def trainings(study: Study) -> Iterator[Training]:
    """Every search, whose scores are those before training, and every training.

    A search is under the mask of its last scores, which is not always the one that is cut and
    reported: its summary says itself what that mask leaves.
    """
    for seed in study.seeds:
        for cell in searches(study):
            yield Training(search_folder(study.name, seed, cell))
        for cell in cells(study):
            yield Training(folder(study.name, seed, cell), cell_mask(study, seed, cell))


def files(study: Study) -> Iterator[str]:
    """The initial state that baselines train, networks that were searched, permuted masks."""
    for seed in study.seeds:
        if any(cell.method in BASELINES for cell in cells(study)):
            yield initial_state(study, seed)
        for cell in searches(study):
            yield f"{search_folder(study.name, seed, cell)}/{NETWORK}"
        for cell in cells(study):
            if study.part("gem_miner").variant(cell).shuffle:
                found = study.part("gem_miner").found_by(cell)
                masks = mask(study.name, seed, chain_of(found), cell.level)
                yield from (masks, mask_metadata(masks))


def masks(study: Study) -> Iterator[tuple[str, int]]:
    """(chain, level) of every mask."""
    part = study.part("gem_miner")
    for cell in dict.fromkeys(part.mask_of(cell) for cell in part.cells):
        yield chain_of(cell), cell.level


def curves(study: Study, seed: int) -> Iterator[tuple[str, str]]:
    """(summary, metrics) of every search and training of a replicate, the dense one first."""
    places = [dense_folder(study.name, seed)]
    places += [search_folder(study.name, seed, cell) for cell in searches(study)]
    places += [folder(study.name, seed, cell) for cell in cells(study)]
    for place in places:
        yield f"{place}/summary.json", f"{place}/metrics.csv"
