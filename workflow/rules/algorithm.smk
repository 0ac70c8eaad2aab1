# Algorithm 1: how many levels there are is known only when one does not match any more.
checkpoint algorithm_level:
    input:
        unpack(plan.algorithm_level_input),
    output:
        "results/{study}/seed{seed}/algorithm_1/judged/{settings}/level{level}.json",
    log:
        "logs/{study}/seed{seed}/algorithm_1/judged/{settings}/level{level}.log",
    benchmark:
        "logs/{study}/seed{seed}/algorithm_1/judged/{settings}/level{level}.benchmark.tsv"
    params:
        code_version=plan.algorithm_code,
    script:
        "../scripts/algorithm_level.py"


rule algorithm_way:
    input:
        lambda wildcards: plan.algorithm_way_input(
            wildcards, checkpoints.algorithm_level
        ),
    output:
        "results/{study}/seed{seed}/algorithm_1/ways/{settings}.json",
    log:
        "logs/{study}/seed{seed}/algorithm_1/ways/{settings}.log",
    benchmark:
        "logs/{study}/seed{seed}/algorithm_1/ways/{settings}.benchmark.tsv"
    params:
        tolerance=plan.algorithm_tolerance,
    script:
        "../scripts/algorithm_way.py"


rule algorithm:
    input:
        unpack(plan.algorithm_input),
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
        code_version=plan.algorithm_code,
        folders=plan.algorithm_levels,
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
