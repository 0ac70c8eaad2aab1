"""What a network cannot be trained on, or for, said before anything is."""

import contextlib
import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import NoReturn

import torch
from torch import Tensor, nn

from pruning.errors import PruningError
from pruning.training.recipe import Recipe
from pruning.training.task import Task


def untrained(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those of some weights that should have a gradient after a backward pass, and have none."""
    return {name: w for name, w in weights.items() if w.requires_grad and w.grad is None}


def refuse_untrained(names: Iterable[str]) -> NoReturn:
    """Refuse prunable weights that the loss does not depend on.

    Raises:
        PruningError: always; the message names them.
    """
    raise PruningError(
        f"The loss does not depend on {', '.join(names)}, so pruning could not train what is left. "
        "Take such layers out, or list them under `exempt`."
    )


def refuse_lone_examples(task: Task, module: nn.Module) -> None:
    """Refuse batches, or shares of them, of one example where a batch norm needs more.

    Args:
        task: whose recipe says how many examples batches have, and among how many processes.
        module: the network, where it trains; left as it was.

    Raises:
        PruningError: some batch or share has one example, and a batch norm would see one value per
            channel.
    """
    recipe, examples = task.recipe, task.examples("train")
    short = [size for size in recipe.batch_sizes(examples) if 1 in recipe.normalized(size)]
    if not short:
        return
    probe = copy.deepcopy(module).train()
    where = next(module.parameters()).device
    devices = [where] if where.type == "cuda" else []
    with (
        torch.random.fork_rng(devices=devices),
        torch.no_grad(),
        explained(f"{task.name}: {_where_alone(recipe, examples, short[0])}"),
    ):
        probe(*(part.to(where) for part in task.example()))


def _where_alone(recipe: Recipe, examples: int, batch: int) -> str:
    """What leaves an example alone in a batch of so many, and what helps."""
    size, group, count = recipe.batches.size, recipe.batch_norm_group, recipe.processes
    if size == 1:
        return "batches of one example. Take a larger size of batches."
    if group == 1:
        return "batch_norm_group: 1 leaves each example alone. Take a larger group."
    other = "Take another size of batches, or epoch_boundary: straddle or drop."
    if group is not None:
        other = other.replace("batches,", "batches or groups,")
        told = f"of {examples} examples in batches of {size}, normalized in groups of {group}"
        return f"{told}, one is alone. {other}"
    if batch == 1:
        return f"of {examples} examples in batches of {size} one is alone. {other}"
    other = other if batch != size else "Take larger batches, or fewer processes."
    return (
        f"{count} processes share a batch of {batch} examples (batches.size, processes), and one "
        f"of them has a single one. {other}"
    )


@contextlib.contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn torch's error of a batch norm that sees one value per channel into a sentence.

    Args:
        what: is done about it.

    Raises:
        PruningError: in its place.
    """
    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise PruningError(
            f"A batch norm of this network needs more than one value per channel to train, and "
            f"sees one where there is a single example ({error}). {what}"
        ) from None
