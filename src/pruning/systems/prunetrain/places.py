"""Where this wing's stages lie under ``results/``.

::

    <study>/seed<k>/prunetrain/<method>/unmodified/level<n>/{state.safetensors,...,summary.json,
        layers.csv,channels.csv,filters.csv,seconds.csv}
    <study>/seed<k>/prunetrain/<method>/fine_tuned/level<n>/{state.safetensors,...,summary.json}
"""

from collections.abc import Iterator
from functools import partial

from pruning.study.places import seed_folder
from pruning.study.study import Study
from pruning.systems.prunetrain.rules import METHODS
from pruning.systems.prunetrain.section import Cell
from pruning.systems.system import Training

TABLES = ("layers", "channels", "filters", "seconds")  # of a training that shrinks


def folder(study: str, seed: int | str, cell: Cell) -> str:
    """A training."""
    place = f"prunetrain/{cell.method}/{cell.variant}/level{cell.level}"
    return f"{seed_folder(study, seed)}/{place}"


def shrinking(study: Study) -> tuple[Cell, ...]:
    """Every training that shrinks, of one replicate."""
    return tuple(study.part("prunetrain").shrinking()) if "prunetrain" in study.parts else ()


def finetunings(study: Study) -> tuple[Cell, ...]:
    """Every training that follows one, of one replicate."""
    return tuple(study.part("prunetrain").finetunings()) if "prunetrain" in study.parts else ()


def trainings(study: Study) -> Iterator[Training]:
    """Every training. None is under a mask: what is pruned is gone."""
    for seed in study.seeds:
        for cell in (*shrinking(study), *finetunings(study)):
            yield Training(folder(study.name, seed, cell))


def files(study: Study) -> Iterator[str]:
    """The tables of trainings that shrink."""
    for seed in study.seeds:
        for cell in shrinking(study):
            yield from (f"{folder(study.name, seed, cell)}/{name}.csv" for name in TABLES)


def _table(name: str, study: Study, seed: int) -> Iterator[tuple[str, str]]:
    for cell in study.part("prunetrain").shrinking():
        place = folder(study.name, seed, cell)
        yield f"{place}/summary.json", f"{place}/{name}.csv"


# (summary, table) of every training that shrinks.
epochs, layers, seconds = (partial(_table, name) for name in ("metrics", "layers", "seconds"))


def channels(study: Study, seed: int) -> Iterator[tuple[str, str]]:
    """(summary, channel sizes) of trainings that keep all channels to the end."""
    return _of_whole("channels", study, seed)


def filters(study: Study, seed: int) -> Iterator[tuple[str, str]]:
    """(summary, filter sizes) of trainings that keep all channels to the end."""
    return _of_whole("filters", study, seed)


def _of_whole(name: str, study: Study, seed: int) -> Iterator[tuple[str, str]]:
    for cell in shrinking(study):
        if METHODS[cell.method].once:
            place = folder(study.name, seed, cell)
            yield f"{place}/summary.json", f"{place}/{name}.csv"
