from pruning.running.jobs import training_job

with training_job(snakemake.log[0]):
    from pruning.stages.context import StageContext
    from pruning.stages.prune import prune

    context = StageContext(**snakemake.params.stage)
    data, state = snakemake.input.data, snakemake.input.state
    prune(context, data, state, snakemake.output.mask, **snakemake.params.level)
