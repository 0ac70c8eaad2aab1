from os.path import dirname

from pruning.running.jobs import compute

compute(
    snakemake,
    "pruning.systems.gsm.stages.zero:zero",
    alone=True,
    data=snakemake.input.data,
    mask=snakemake.input.mask,
    trained=dirname(snakemake.input.trained),
    output=dirname(snakemake.output.summary),
    **snakemake.params.cell,
)
