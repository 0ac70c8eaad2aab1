from pathlib import Path

from pruning.jobs import device, job

with job(snakemake.log[0]), device(snakemake.config["device"]) as where:
    from pruning.stages.common import StageContext
    from pruning.stages.dense import dense

    context = StageContext(device=where, **snakemake.params.stage)
    output = Path(snakemake.output.summary).parent
    dense(context, snakemake.input.data, output, snakemake.params.times.value)
