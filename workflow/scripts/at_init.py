from pathlib import Path

from pruning.jobs import training_job

with training_job(snakemake.log[0], snakemake.config["device"]) as where:
    from pruning.stages.at_init import at_init
    from pruning.stages.context import StageContext

    at_init(
        StageContext(device=where, **snakemake.params.stage),
        snakemake.input.data,
        snakemake.input.mask,
        snakemake.input.get("state"),
        Path(snakemake.output.summary).parent,
        **snakemake.params.cell,
    )
