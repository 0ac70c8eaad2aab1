from pruning.running.jobs import job
from pruning.study.places import write_repairs

with job(snakemake.log[0]):
    from pruning.stages.collect_masks import collect_masks

    layers, channels = snakemake.output.layers, snakemake.output.channels
    collect_masks(snakemake.wildcards.study, snakemake.input, layers, channels)
    write_repairs(layers, snakemake.params.stage["repairs"])
