from os.path import dirname

from pruning.running.jobs import compute

compute(
    snakemake,
    "pruning.systems.gem_miner.stages.search:search",
    data=snakemake.input.data,
    output=dirname(snakemake.output.summary),
    **snakemake.params.cell,
)
