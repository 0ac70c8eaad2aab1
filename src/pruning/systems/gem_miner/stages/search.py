"""Stage: data -> scores of a random network, and the network that was searched."""

from pathlib import Path
from typing import Any

from pruning.masks.report import report
from pruning.models.cost import network_macs
from pruning.stages.context import StageContext
from pruning.stages.outputs import final_scores, resume_file, spent, write_training
from pruning.systems.gem_miner import method as searching
from pruning.systems.gem_miner.places import NETWORK
from pruning.systems.gem_miner.rules import Search
from pruning.systems.gem_miner.states import found
from pruning.training.checkpoint import save_state


def search(
    context: StageContext,
    data: Path | str,
    output: Path | str,
    *,
    method: str,
    variant: str,
    level: int,
    search: dict[str, Any],
    recipe: dict[str, Any],
    initialization: str,
) -> None:
    """Search a random network; write the search's state, the network, metrics and summary.

    All searches of a replicate are of the same network. The scores in the summary are those of the
    mask of the last scores, r(p) * q, before anything is trained, and so is all that it says of
    what is left; ``kept_density`` alone is that of q.

    Args:
        context: study, seed, task.
        data: the prepared data set.
        output: folder to write.
        method, variant, level: name the cell; with the seed they decide scores and data order.
        search: how it is set, see :meth:`pruning.systems.gem_miner.rules.Search.to_dict`.
        recipe: how scores train.
        initialization: of the network.
    """
    output = Path(output)
    cell = ("gem_miner", "search", method, variant, f"level{level}")
    own = context.changed(recipe, initialization=initialization)
    task = own.load_task(data, "/".join(cell))
    config = own.config(stage="search", cell=list(cell), search=search)
    parents = {"data": data}
    resume = resume_file(output, config, parents)
    setting = {key: value for key, value in search.items() if key != "row"}
    trained = searching.search(
        task,
        task.initial_state(context.seed, "gem_miner"),
        Search(**setting),
        recipe=task.recipe,
        seed=context.seed,
        stream=cell,
        resume=resume,
    )
    macs = sum(network_macs(task.build(), task.example()).values())  # no kernel skips a weight
    last = trained.metrics[-1]
    result = found(trained.state, task.prunable(), search["row"]["mask"])
    save_state(result.state, output / NETWORK)
    left = report(task, result.active)
    summary = {
        **context.facts(task),
        "method": method,
        "variant": f"searched_{variant}",
        "level": level,
        "density": search["density"],
        "mask_density": left["mask_density"],
        "effective_density": left["effective_density"],
        "collapsed_layers": left["collapsed_layers"],
        "kept_density": last["kept_density"],
        "strength": search["strength"],
        "retrain_time": task.recipe.epochs,
        "training_time": context.task["recipe"]["epochs"],
        "macs": macs,
        **spent(task, trained.steps, macs),
        "scores": final_scores(trained),
    }
    write_training(trained, output, config=config, parents=parents, summary=summary)
    resume.discard()
