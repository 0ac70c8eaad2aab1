"""What a network cannot be trained on, or for, said before anything is."""

import contextlib
import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import NoReturn

import torch
from torch import Tensor, nn

from pruning.errors import PruningError
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
    alone = _alone(task)
    if alone is None:
        return
    probe = copy.deepcopy(module).train()
    where = next(module.parameters()).device
    devices = [where] if where.type == "cuda" else []
    with (
        torch.random.fork_rng(devices=devices),
        torch.no_grad(),
        explained(f"{task.name}: {alone}"),
    ):
        probe(*(part.to(where) for part in task.example()))


def _alone(task: Task) -> str | None:
    """What leaves an example alone, and what helps; None where none ever is."""
    recipe, examples = task.recipe, task.examples("train")
    batching, count = recipe.batches, recipe.processes
    smallest = batching.smallest(examples)
    other = "Take another size of batches, or epoch_boundary: straddle or drop."
    if batching.size == 1:
        return "batches of one example. Take a larger size of batches."
    if smallest == 1:
        return f"of {examples} examples in batches of {batching.size} one is alone. {other}"
    whole = max(smallest, min(batching.size, examples))  # a short batch may be the only one
    for size in dict.fromkeys([smallest, whole]):
        rows = [recipe.share(rank).rows(size) for rank in range(count)]
        if any(stop - first == 1 for first, stop in rows):
            other = other if size != batching.size else "Take larger batches, or fewer processes."
            return (
                f"{count} processes share a batch of {size} examples (batches.size, processes), "
                f"and one of them has a single one. {other}"
            )
    return None


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
