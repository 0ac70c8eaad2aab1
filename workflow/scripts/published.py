from pruning.running.jobs import job

with job(snakemake.log[0]):
    from pruning.stages.published import published

    stage = snakemake.params.stage
    published(stage["reader"], stage["source"].value, snakemake.output[0])
