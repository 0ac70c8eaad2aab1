from os.path import dirname

from pruning.running.jobs import compute

dense = snakemake.input.get("dense")
compute(
    snakemake,
    "pruning.systems.prunetrain.stages.shrink:shrink",
    data=snakemake.input.data,
    dense=dirname(dense) if dense else None,
    output=dirname(snakemake.output.summary),
    **snakemake.params.cell,
)
