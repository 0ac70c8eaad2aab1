"""Stage: dense network -> its accuracy when single layers are pruned."""

from pathlib import Path

from pruning.files import write_csv
from pruning.stages.context import StageContext
from pruning.stages.outputs import table_csv
from pruning.systems.gsm.zeroing import sensitivity as layer_sensitivity
from pruning.training.arithmetic import arithmetic
from pruning.training.checkpoint import load_state


def sensitivity(
    context: StageContext,
    data: Path | str,
    state: Path | str,
    output: Path | str,
    *,
    densities: list[float],
) -> None:
    """Prune each layer alone, evaluate, and write a CSV.

    Args:
        context: study, seed, task.
        data: the prepared data set.
        state: of the trained network.
        output: the CSV to write.
        densities: that layers are pruned to.
    """
    task = context.load_task(data, "sensitivity of single layers")
    with arithmetic(task.recipe.threads, task.recipe.precision):
        rows = layer_sensitivity(task, load_state(state), densities)
    write_csv(output, table_csv(rows))
