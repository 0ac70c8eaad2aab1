from pruning.running.jobs import job

with job(snakemake.log[0]):
    from pruning.systems.rewinding.stages.algorithm import write_way

    write_way(snakemake.input, snakemake.params.tolerance, snakemake.output[0])
