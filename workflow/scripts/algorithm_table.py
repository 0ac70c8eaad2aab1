from pruning.jobs import job

with job(snakemake.log[0]):
    from pruning.stages.algorithm import tabulate

    tabulate(snakemake.input, snakemake.output[0])
