from os.path import dirname

from pruning.running.jobs import compute

compute(
    snakemake,
    "pruning.systems.gsm.stages.ticket:ticket",
    data=snakemake.input.data,
    mask=snakemake.input.mask,
    state=snakemake.input.state,
    pruned_summary=snakemake.input.pruned_summary,
    output=dirname(snakemake.output.summary),
    **snakemake.params.cell,
)
