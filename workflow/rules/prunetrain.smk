# Training networks that shrink while they train, and training them on.
prunetrain = plan.asks("prunetrain")


rule shrink:
    input:
        unpack(prunetrain.shrink_input),
    output:
        **training(
            "results/{study}/seed{seed}/prunetrain/{method}/unmodified/level{level}"
        ),
        **{
            table: f"results/{{study}}/seed{{seed}}/prunetrain/{{method}}/unmodified/level{{level}}/{table}.csv"
            for table in ("layers", "channels", "filters", "seconds")
        },
    log:
        "logs/{study}/seed{seed}/prunetrain/{method}/unmodified/level{level}.log",
    benchmark:
        "logs/{study}/seed{seed}/prunetrain/{method}/unmodified/level{level}.benchmark.tsv"
    group:
        plan.group("levels")
    threads: plan.threads
    resources:
        **TRAINING,
    params:
        stage=prunetrain.shrink_stage,
        cell=prunetrain.shrink_params,
    script:
        "../scripts/shrink.py"


rule finetune:
    input:
        unpack(prunetrain.finetune_input),
    output:
        **training(
            "results/{study}/seed{seed}/prunetrain/{method}/fine_tuned/level{level}"
        ),
    log:
        "logs/{study}/seed{seed}/prunetrain/{method}/fine_tuned/level{level}.log",
    benchmark:
        "logs/{study}/seed{seed}/prunetrain/{method}/fine_tuned/level{level}.benchmark.tsv"
    group:
        plan.group("levels")
    threads: plan.threads
    resources:
        **TRAINING,
    params:
        stage=prunetrain.finetune_stage,
        cell=prunetrain.finetune_params,
    script:
        "../scripts/finetune.py"
