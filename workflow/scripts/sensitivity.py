from pruning.running.jobs import training_job

with training_job(snakemake.log[0], snakemake.config["device"]) as where:
    from pruning.stages.context import StageContext
    from pruning.systems.gsm.stages.sensitivity import sensitivity

    sensitivity(
        StageContext(device=where, **snakemake.params.stage),
        snakemake.input.data,
        snakemake.input.state,
        snakemake.output[0],
        densities=snakemake.params.densities,
    )
