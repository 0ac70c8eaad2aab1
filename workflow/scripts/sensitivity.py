from pruning.running.jobs import compute

compute(
    snakemake,
    "pruning.systems.gsm.stages.sensitivity:sensitivity",
    alone=True,
    data=snakemake.input.data,
    state=snakemake.input.state,
    output=snakemake.output[0],
    densities=snakemake.params.densities,
)
