from pathlib import Path

from pruning.running.jobs import training_job

with training_job(snakemake.log[0], snakemake.config["device"]) as where:
    from pruning.stages.context import StageContext
    from pruning.systems.gsm.stages.ticket import ticket

    ticket(
        StageContext(device=where, **snakemake.params.stage),
        snakemake.input.data,
        snakemake.input.mask,
        snakemake.input.state,
        snakemake.input.pruned_summary,
        Path(snakemake.output.summary).parent,
        **snakemake.params.cell,
    )
