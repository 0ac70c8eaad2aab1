from pruning.running.jobs import training_job

with training_job(snakemake.log[0], snakemake.config["device"]) as where:
    from pruning.stages.context import StageContext
    from pruning.stages.dense import rewind_state

    context = StageContext(device=where, **snakemake.params.stage)
    time = float(snakemake.wildcards.time)
    data, kept = snakemake.input.data, snakemake.input.get("kept")
    rewind_state(context, data, kept, time, snakemake.output[0])
