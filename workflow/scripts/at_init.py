from os.path import dirname

from pruning.running.jobs import compute

compute(
    snakemake,
    "pruning.systems.at_init.stages.train:at_init",
    data=snakemake.input.data,
    mask=snakemake.input.mask,
    state=snakemake.input.get("state"),
    output=dirname(snakemake.output.summary),
    **snakemake.params.cell,
)
