from os.path import dirname

from pruning.running.jobs import compute

compute(
    snakemake,
    snakemake.params.place,
    data=snakemake.input.data,
    mask=snakemake.input.mask,
    state=snakemake.input.state,
    output=dirname(snakemake.output.summary),
    **snakemake.params.cell,
)
