from pathlib import Path

from pruning.running.jobs import training_job

with training_job(snakemake.log[0], snakemake.config["device"]) as where:
    from pruning.stages.context import StageContext
    from pruning.systems.rewinding.stages.retrain import retrain

    retrain(
        StageContext(device=where, **snakemake.params.stage),
        snakemake.input.data,
        snakemake.input.mask,
        Path(snakemake.input.parent).parent,
        Path(snakemake.output.summary).parent,
        rewind=snakemake.input.get("rewind"),
        **snakemake.params.cell,
    )
