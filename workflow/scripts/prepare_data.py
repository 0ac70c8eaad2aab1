from pruning.running.jobs import job
from pruning.study.study import data_root

with job(snakemake.log[0]):
    from pruning.stages.prepare_data import prepare_data

    options = snakemake.params.stage["options"]
    prepare_data(snakemake.wildcards.dataset, options, data_root(), snakemake.output[0])
