# Searching random networks for subnetworks, and training what was found.
gem_miner = plan.asks("gem_miner")


rule search:
    input:
        data=plan.data_file,
    output:
        **training(
            "results/{study}/seed{seed}/gem_miner/search/{method}/{variant}/level{level}"
        ),
        network="results/{study}/seed{seed}/gem_miner/search/{method}/{variant}/level{level}/network.safetensors",
    log:
        "logs/{study}/seed{seed}/gem_miner/search/{method}/{variant}/level{level}.log",
    benchmark:
        "logs/{study}/seed{seed}/gem_miner/search/{method}/{variant}/level{level}.benchmark.tsv"
    group:
        plan.group("levels")
    threads: plan.threads
    resources:
        **TRAINING,
    params:
        stage=gem_miner.search_stage,
        cell=gem_miner.search_params,
    script:
        "../scripts/search.py"


rule found:
    input:
        unpack(gem_miner.training_input),
    output:
        **training(
            "results/{study}/seed{seed}/gem_miner/{method}/{variant}/level{level}"
        ),
    log:
        "logs/{study}/seed{seed}/gem_miner/{method}/{variant}/level{level}/train.log",
    benchmark:
        "logs/{study}/seed{seed}/gem_miner/{method}/{variant}/level{level}/train.benchmark.tsv"
    group:
        plan.group("levels")
    threads: plan.threads
    resources:
        **TRAINING,
    params:
        stage=gem_miner.training_stage,
        cell=gem_miner.training_params,
    script:
        "../scripts/found.py"
