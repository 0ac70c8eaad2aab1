# Retraining what was pruned, by the five rules; and Algorithm 1.
rewinding = plan.asks("rewinding")


rule retrain:
    input:
        unpack(rewinding.retrain_input),
    output:
        **training("results/{study}/seed{seed}/{mode}/{method}/t{time}/level{level}"),
    log:
        "logs/{study}/seed{seed}/{mode}/{method}/t{time}/level{level}/retrain.log",
    benchmark:
        "logs/{study}/seed{seed}/{mode}/{method}/t{time}/level{level}/retrain.benchmark.tsv"
    group:
        rewinding.retrain_group
    threads: plan.threads
    resources:
        **TRAINING,
    params:
        stage=rewinding.retrain_stage,
        cell=rewinding.retrain_params,
    script:
        "../scripts/retrain.py"


# Algorithm 1: how many levels there are is known only when one does not match any more.
checkpoint algorithm_level:
    input:
        unpack(rewinding.algorithm_level_input),
    output:
        "results/{study}/seed{seed}/algorithm_1/judged/{settings}/level{level}.json",
    log:
        "logs/{study}/seed{seed}/algorithm_1/judged/{settings}/level{level}.log",
    benchmark:
        "logs/{study}/seed{seed}/algorithm_1/judged/{settings}/level{level}.benchmark.tsv"
    localrule: True
    params:
        code_version=rewinding.algorithm_code,
    script:
        "../scripts/algorithm_level.py"


rule algorithm_way:
    input:
        lambda wildcards: rewinding.algorithm_way_input(
            wildcards, checkpoints.algorithm_level
        ),
    output:
        "results/{study}/seed{seed}/algorithm_1/ways/{settings}.json",
    log:
        "logs/{study}/seed{seed}/algorithm_1/ways/{settings}.log",
    benchmark:
        "logs/{study}/seed{seed}/algorithm_1/ways/{settings}.benchmark.tsv"
    localrule: True
    params:
        tolerance=rewinding.algorithm_tolerance,
    script:
        "../scripts/algorithm_way.py"


rule algorithm:
    input:
        unpack(rewinding.algorithm_input),
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
        code_version=rewinding.algorithm_code,
        folders=rewinding.algorithm_levels,
    script:
        "../scripts/algorithm.py"


rule algorithm_table:
    input:
        rewinding.algorithm_results,
    output:
        "results/{study}/algorithm_1.csv",
    log:
        "logs/{study}/algorithm_1.log",
    benchmark:
        "logs/{study}/algorithm_1.benchmark.tsv"
    localrule: True
    script:
        "../scripts/algorithm_table.py"
