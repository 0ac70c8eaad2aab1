from os.path import dirname

from pruning.running.jobs import run

run(
    snakemake,
    "pruning.systems.rewinding.stages.algorithm:hand_over",
    warm=True,
    way=snakemake.input.way,
    folders=snakemake.params.folders.value,
    first_mask=snakemake.input.first_mask,
    output=dirname(snakemake.output.result),
)
