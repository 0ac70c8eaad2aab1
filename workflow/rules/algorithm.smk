# Algorithm 1: how many levels there are is known only when one does not match any more.
checkpoint algorithm_level:
    input:
        unpack(plan.algorithm_level_input),
    output:
        "results/{study}/seed{seed}/algorithm_1/level{level}.json",
    log:
        "logs/{study}/seed{seed}/algorithm_1/level{level}.log",
    benchmark:
        "logs/{study}/seed{seed}/algorithm_1/level{level}.benchmark.tsv"
    params:
        stage=plan.algorithm_params,
    script:
        "../scripts/algorithm_level.py"


rule algorithm:
    input:
        unpack(
            lambda wildcards: plan.algorithm_input(
                wildcards, checkpoints.algorithm_level
            )
        ),
    output:
        network="results/{study}/seed{seed}/algorithm_1/network.safetensors",
        mask="results/{study}/seed{seed}/algorithm_1/mask.safetensors",
        levels="results/{study}/seed{seed}/algorithm_1/levels.csv",
        result="results/{study}/seed{seed}/algorithm_1/result.json",
    log:
        "logs/{study}/seed{seed}/algorithm_1.log",
    benchmark:
        "logs/{study}/seed{seed}/algorithm_1.benchmark.tsv"
    threads: 1
    resources:
        mem_mb=plan.mem_mb,
        runtime=plan.runtime,
    params:
        stage=plan.algorithm_params,
    script:
        "../scripts/algorithm.py"


rule algorithm_table:
    input:
        plan.algorithm_results,
    output:
        "results/{study}/algorithm_1.csv",
    log:
        "logs/{study}/algorithm_1.log",
    benchmark:
        "logs/{study}/algorithm_1.benchmark.tsv"
    script:
        "../scripts/algorithm_table.py"
