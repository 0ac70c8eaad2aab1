from os.path import dirname

from pruning.running.jobs import compute

compute(
    snakemake,
    "pruning.stages.dense:dense",
    data=snakemake.input.data,
    output=dirname(snakemake.output.summary),
    retrain_times=snakemake.params.times.value,
)
