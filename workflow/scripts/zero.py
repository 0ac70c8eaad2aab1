from pathlib import Path

from pruning.running.jobs import training_job

with training_job(snakemake.log[0], snakemake.config["device"]) as where:
    from pruning.stages.context import StageContext
    from pruning.systems.gsm.stages.zero import zero

    zero(
        StageContext(device=where, **snakemake.params.stage),
        snakemake.input.data,
        snakemake.input.mask,
        Path(snakemake.input.trained).parent,
        Path(snakemake.output.summary).parent,
        **snakemake.params.cell,
    )
