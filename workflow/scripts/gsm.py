from os.path import dirname

from pruning.running.jobs import compute

compute(
    snakemake,
    "pruning.systems.gsm.stages.training:gsm",
    data=snakemake.input.data,
    dense=dirname(snakemake.input.dense),
    output=dirname(snakemake.output.summary),
    **snakemake.params.cell,
)
