# Training networks that were pruned before training, or at some step of it.
at_init = plan.asks("at_init")


rule at_init:
    input:
        unpack(at_init.training_input),
    output:
        **training(
            "results/{study}/seed{seed}/at_init/{method}/{variant}/e{epoch}/level{level}"
        ),
    log:
        "logs/{study}/seed{seed}/at_init/{method}/{variant}/e{epoch}/level{level}/train.log",
    benchmark:
        "logs/{study}/seed{seed}/at_init/{method}/{variant}/e{epoch}/level{level}/train.benchmark.tsv"
    group:
        plan.group("levels")
    threads: plan.threads
    resources:
        **TRAINING,
    params:
        stage=at_init.training_stage,
        cell=at_init.training_params,
    script:
        "../scripts/at_init.py"
