from pathlib import Path

from pruning.running.jobs import training_job

with training_job(snakemake.log[0], snakemake.config["device"]) as where:
    from pruning.stages.context import StageContext
    from pruning.stages.dense import dense

    context = StageContext(device=where, **snakemake.params.stage)
    output = Path(snakemake.output.summary).parent
    dense(context, snakemake.input.data, output, snakemake.params.times.value)
