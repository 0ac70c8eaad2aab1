from pathlib import Path

from pruning.running.jobs import training_job

with training_job(snakemake.log[0], snakemake.config["device"]) as where:
    from pruning.stages.context import StageContext
    from pruning.systems.at_init.stages.train import at_init

    at_init(
        StageContext(device=where, **snakemake.params.stage),
        snakemake.input.data,
        snakemake.input.mask,
        snakemake.input.get("state"),
        Path(snakemake.output.summary).parent,
        **snakemake.params.cell,
    )
