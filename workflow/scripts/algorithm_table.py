from pruning.running.jobs import job

with job(snakemake.log[0]):
    from pruning.systems.rewinding.stages.algorithm import tabulate

    tabulate(snakemake.input, snakemake.output[0])
