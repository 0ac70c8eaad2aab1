from os.path import dirname

from pruning.running.jobs import compute

compute(
    snakemake,
    "pruning.systems.gem_miner.stages.train:train",
    data=snakemake.input.data,
    mask=snakemake.input.mask,
    state=snakemake.input.get("state"),
    search_summary=snakemake.input.get("search_summary"),
    output=dirname(snakemake.output.summary),
    **snakemake.params.cell,
)
