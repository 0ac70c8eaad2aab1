"""Where this wing's stages lie under ``results/``.

::

    <study>/seed<k>/<one-shot mode>/level<n>/mask.safetensors
    <study>/seed<k>/iterative/<method>/t<time>/level<n>/mask.safetensors
    <study>/seed<k>/<mode>/<method>/t<time>/level<n>/{state.safetensors,...,summary.json}
    <study>/seed<k>/algorithm_1/{network.safetensors,mask.safetensors,levels.csv,result.json}
    <study>/algorithm_1.csv
"""

from collections.abc import Callable, Iterator

from pruning.study.places import (
    Chain,
    dense_folder,
    mask,
    rewind_state,
    seed_folder,
    spell,
)
from pruning.study.study import Study
from pruning.systems.rewinding.rules import rule
from pruning.systems.rewinding.section import modes
from pruning.systems.system import Training


def retrain_folder(
    study: str, seed: int | str, mode: str, method: str, time: float | str, level: int | str
) -> str:
    """One retraining. ``time`` is spelled as in ``{time:g}``."""
    return f"{seed_folder(study, seed)}/{mode}/{method}/{spell(time)}/level{level}"


def cell_chain(study: Study, mode: str, method: str, time: float | str) -> str:
    """The sequence of prunings a retraining's mask is from.

    Masks that are cut from the dense network are shared by all methods; where a level prunes what
    the level before retrained, the chain is a method's own.
    """
    return f"{mode}/{method}/{spell(time)}" if modes(study)[mode].chained else mode


def pruned_folder(study: str, seed: int | str, chain: str, level: int | str) -> str:
    """The training whose final state a level of a re-training chain prunes."""
    if "/" not in chain or int(level) == 1:
        return dense_folder(study, seed)
    return f"{seed_folder(study, seed)}/{chain}/level{int(level) - 1}"


def chains(study: Study) -> dict[str, Chain]:
    """Every chain of prunings, by the name that paths have."""
    found = {}
    for name, mode in modes(study).items():
        for method, times in mode.times.items():
            for time in times:
                chain = cell_chain(study, name, method, time)
                found[chain] = Chain(
                    mode.prunings, _pruned(study, chain), one_training=mode.chained
                )
    return found


def _pruned(study: Study, chain: str) -> Callable[[int | str, int], str]:
    return lambda seed, level: f"{pruned_folder(study.name, seed, chain, level)}/state.safetensors"


def trainings(study: Study) -> Iterator[Training]:
    """Every retraining of the grid."""
    for seed in study.seeds:
        for *place, level in study.part("rewinding").cells() if "rewinding" in study.parts else ():
            masks = mask(study.name, seed, cell_chain(study, *place), level)
            yield Training(retrain_folder(study.name, seed, *place, level), masks)


def files(study: Study) -> Iterator[str]:
    """The rewind states that methods take tensors from."""
    if "rewinding" not in study.parts:
        return
    for seed in study.seeds:
        for _, method, time, _ in study.part("rewinding").cells():
            if rule(method).needs_rewind_state:
                yield rewind_state(study.name, seed, time)


def algorithm_level(study: Study, seed: int | str, level: int) -> str:
    """The training of one level of Algorithm 1; level 0 is the dense one."""
    if level == 0:
        return dense_folder(study.name, seed)
    algorithm = study.part("algorithm")
    return retrain_folder(
        study.name, seed, algorithm.mode, "lr_rewind", algorithm.retrain_time, level
    )


def algorithm_judgement(study: str, seed: int | str, settings: str, level: int) -> str:
    """How a level of Algorithm 1 was judged, under settings that have this digest."""
    return f"{seed_folder(study, seed)}/algorithm_1/judged/{settings}/level{level}.json"


def algorithm_way(study: str, seed: int | str, settings: str) -> str:
    """The levels Algorithm 1 went through, under settings that have this digest."""
    return f"{seed_folder(study, seed)}/algorithm_1/ways/{settings}.json"


def algorithm_result(study: str, seed: int | str) -> str:
    """The outcome of Algorithm 1 on one replicate."""
    return f"{seed_folder(study, seed)}/algorithm_1/result.json"
