from pruning.running.jobs import job

with job(snakemake.log[0]):
    from pruning.systems.rewinding.stages.algorithm import judge_level

    judge_level(snakemake.input.dense, snakemake.input.retrained, snakemake.output[0])
