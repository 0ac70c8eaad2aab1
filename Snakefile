# The workflow lives in workflow/; with this file `snakemake` finds it from the top of the repository.
include: "workflow/Snakefile"


localrules:
    default,


rule default:
    default_target: True
    input:
        rules.all.input,
