from pathlib import Path

from pruning.running.jobs import training_job

with training_job(snakemake.log[0], snakemake.config["device"]) as where:
    from pruning.stages.context import StageContext
    from pruning.systems.gsm.stages.training import gsm

    gsm(
        StageContext(device=where, **snakemake.params.stage),
        snakemake.input.data,
        Path(snakemake.input.dense).parent,
        Path(snakemake.output.summary).parent,
        **snakemake.params.cell,
    )
