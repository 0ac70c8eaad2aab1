from pathlib import Path

from pruning.jobs import training_job

with training_job(snakemake.log[0]):
    from pruning.stages.algorithm import hand_over

    hand_over(
        snakemake.input.decisions,
        snakemake.input.state,
        snakemake.input.summary,
        snakemake.input.first_mask,
        Path(snakemake.output.result).parent,
    )
