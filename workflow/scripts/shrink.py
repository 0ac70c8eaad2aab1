from os.path import dirname

from pruning.running.jobs import compute

compute(
    snakemake,
    "pruning.systems.prunetrain.stages.shrink:shrink",
    data=snakemake.input.data,
    dense=snakemake.input.get("dense"),
    output=dirname(snakemake.output.summary),
    **snakemake.params.cell,
)
