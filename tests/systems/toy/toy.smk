toy = plan.asks("toy")


rule toy:
    input:
        unpack(toy.training_input),
    output:
        **training("results/{study}/seed{seed}/toy/level{level}"),
    log:
        "logs/{study}/seed{seed}/toy/level{level}/train.log",
    benchmark:
        "logs/{study}/seed{seed}/toy/level{level}/train.benchmark.tsv"
    group:
        plan.group("levels")
    threads: plan.threads
    resources:
        **TRAINING,
    params:
        stage=toy.stage,
        place=toy.place,
        cell=toy.training_params,
    script:
        "script.py"
