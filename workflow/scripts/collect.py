from pruning.running.jobs import job
from pruning.study.places import write_repairs

with job(snakemake.log[0]):
    from pruning.stages.collect import collect

    study = snakemake.wildcards.study
    collect(study, [f for f in snakemake.input if f.endswith("summary.json")], snakemake.output[0])
    write_repairs(snakemake.output[0], snakemake.params.stage["repairs"])
