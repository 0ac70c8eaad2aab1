"""Where this wing's stages lie under ``results/``.

::

    <study>/seed<k>/gsm/training/<variant>/level<n>/{state.safetensors,...,summary.json}
    <study>/seed<k>/gsm/<method>/<variant>/level<n>/{mask.safetensors,state.safetensors,...}
    <study>/seed<k>/gsm/sensitivity.csv
"""

from collections.abc import Callable, Iterator

from pruning.study.places import (
    TRAINING_FILES,
    Chain,
    dense_folder,
    mask,
    rewind_state,
    seed_folder,
)
from pruning.study.study import Study
from pruning.systems.gsm.section import MAGNITUDE, TICKETS
from pruning.systems.system import Training


def chain_of(method: str, variant: str) -> str:
    """The chain that cuts the masks of a method whose smallest weights are zeroed."""
    return f"gsm/{method}/{variant}"


def folder(study: str, seed: int | str, method: str, variant: str, level: int | str) -> str:
    """A cell; method ``training`` is the training by GSM itself, before zeroing."""
    return f"{seed_folder(study, seed)}/gsm/{method}/{variant}/level{level}"


def zeroed_folder(study: str, seed: int | str, method: str, variant: str, level: int | str) -> str:
    """The training whose smallest weights are set to zero."""
    if method == MAGNITUDE:
        return dense_folder(study, seed)
    return folder(study, seed, "training", variant, level)


def sensitivity(study: str, seed: int | str) -> str:
    """Accuracies of one replicate's dense network with single layers pruned."""
    return f"{seed_folder(study, seed)}/gsm/sensitivity.csv"


def chains(study: Study) -> dict[str, Chain]:
    """Every chain of prunings, by the name that paths have."""
    if "gsm" not in study.parts:
        return {}
    part = study.part("gsm")
    prunings = tuple(map(part.pruning, part.levels))
    return {
        chain_of(method, variant): Chain(prunings, _zeroed(study, method, variant))
        for method, variant, _ in part.zeroed()
    }


def _zeroed(study: Study, method: str, variant: str) -> Callable[[int | str, int], str]:
    return lambda seed, level: (
        f"{zeroed_folder(study.name, seed, method, variant, level)}/state.safetensors"
    )


def trainings(study: Study) -> Iterator[Training]:
    """Every zeroed network, and every winning ticket under the mask of one."""
    for seed in study.seeds:
        part = study.parts.get("gsm")
        for cells in (part.zeroed(), part.ticket_cells()) if part else ():
            for method, variant, level in cells:
                chain = chain_of(TICKETS.get(method, method), variant)
                place = folder(study.name, seed, method, variant, level)
                yield Training(place, mask(study.name, seed, chain, level))


def files(study: Study) -> Iterator[str]:
    """Trainings by GSM, and the initial state that tickets are trained from."""
    if "gsm" not in study.parts:
        return
    part = study.part("gsm")
    for seed in study.seeds:
        for cell in part.trainings():
            place = folder(study.name, seed, "training", *cell)
            # Its summary is of no row: the zeroed network's is.
            yield from (f"{place}/{file}" for file in TRAINING_FILES if file != "summary.json")
        if part.tickets:
            yield rewind_state(study.name, seed, study.task["recipe"]["epochs"])


def masks(study: Study) -> Iterator[tuple[str, int]]:
    """(chain, level) of every mask."""
    for method, variant, level in study.part("gsm").zeroed():
        yield chain_of(method, variant), level


def curves(study: Study, seed: int) -> Iterator[tuple[str, str]]:
    """(summary, metrics) of every training of a replicate, the dense one first."""
    part = study.part("gsm")
    cells = [("training", *cell) for cell in part.trainings()]
    folders = [folder(study.name, seed, *c) for c in (*cells, *part.ticket_cells())]
    for place in (dense_folder(study.name, seed), *folders):
        yield f"{place}/summary.json", f"{place}/metrics.csv"


def magnitudes(study: Study, seed: int) -> Iterator[tuple[str, str]]:
    """(summary, histogram) of every zeroed network of a replicate."""
    for cell in study.part("gsm").zeroed():
        place = folder(study.name, seed, *cell)
        yield f"{place}/summary.json", f"{place}/magnitudes.csv"


def sensitivities(study: Study, seed: int) -> Iterator[tuple[str, str]]:
    """(summary, accuracies) of a replicate's dense network with single layers pruned."""
    if study.part("gsm").sensitivity:
        yield f"{dense_folder(study.name, seed)}/summary.json", sensitivity(study.name, seed)
