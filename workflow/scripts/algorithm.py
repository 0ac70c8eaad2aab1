from pathlib import Path

from pruning.running.jobs import training_job

with training_job(snakemake.log[0]):
    from pruning.systems.rewinding.stages.algorithm import hand_over

    output = Path(snakemake.output.result).parent
    folders = snakemake.params.folders.value
    hand_over(snakemake.input.way, folders, snakemake.input.first_mask, output)
