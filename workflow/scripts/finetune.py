from os.path import dirname

from pruning.running.jobs import compute

compute(
    snakemake,
    "pruning.systems.prunetrain.stages.finetune:finetune",
    data=snakemake.input.data,
    shrunk=dirname(snakemake.input.shrunk),
    output=dirname(snakemake.output.summary),
    **snakemake.params.cell,
)
