from os.path import dirname

from pruning.running.jobs import compute

compute(
    snakemake,
    "pruning.systems.rewinding.stages.retrain:retrain",
    data=snakemake.input.data,
    mask=snakemake.input.mask,
    parent=dirname(snakemake.input.parent),
    rewind=snakemake.input.get("rewind"),
    output=dirname(snakemake.output.summary),
    **snakemake.params.cell,
)
