from pruning.running.jobs import job
from pruning.study.places import write_repairs

with job(snakemake.log[0]):
    from pruning.stages.gather import gather

    told, output = snakemake.params.stage, snakemake.output[0]
    gather(snakemake.wildcards.study, snakemake.wildcards.gathered, told["cells"], output)
    write_repairs(output, told["repairs"])
