from pruning.jobs import device, job

with job(snakemake.log[0]), device(snakemake.config["device"]) as where:
    from pruning.stages.common import StageContext
    from pruning.stages.dense import rewind_state

    context = StageContext(device=where, **snakemake.params.stage)
    time = float(snakemake.wildcards.time)
    data, kept = snakemake.input.data, snakemake.input.kept
    rewind_state(context, data, kept, time, snakemake.output[0])
