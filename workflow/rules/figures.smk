rule collect:
    input:
        plan.collect_input,
    output:
        "results/{study}/tidy.csv",
    log:
        "logs/{study}/collect.log",
    benchmark:
        "logs/{study}/collect.benchmark.tsv"
    params:
        stage=plan.collect_params,
    script:
        "../scripts/collect.py"


rule rewind_vs_finetune:
    input:
        [layout.tidy(study.name) for study in plan.enabled],
    output:
        pdf=report(
            "plots/rewind_vs_finetune.pdf",
            caption="../report/rewind_vs_finetune.rst",
            category="Comparing rewinding and fine-tuning",
            labels={"figure": "rewind vs fine-tune", "study": "all enabled"},
        ),
        png="plots/rewind_vs_finetune.png",
        csv="plots/rewind_vs_finetune.csv",
    log:
        "logs/plots/rewind_vs_finetune.log",
    benchmark:
        "logs/plots/rewind_vs_finetune.benchmark.tsv"
    params:
        figure=plan.figure_params(
            "pruning.figures.rewinding",
            plan.enabled,
            layout.figure_files("plots/rewind_vs_finetune"),
        ),
    script:
        "../scripts/rewind_vs_finetune.py"


use rule rewind_vs_finetune as study_rewind_vs_finetune with:
    input:
        "results/{study}/tidy.csv",
    output:
        pdf=report(
            "plots/{study}/rewind_vs_finetune.pdf",
            caption="../report/rewind_vs_finetune.rst",
            category="Comparing rewinding and fine-tuning",
            labels={"figure": "rewind vs fine-tune", "study": "{study}"},
        ),
        png="plots/{study}/rewind_vs_finetune.png",
        csv="plots/{study}/rewind_vs_finetune.csv",
    log:
        "logs/plots/{study}/rewind_vs_finetune.log",
    benchmark:
        "logs/plots/{study}/rewind_vs_finetune.benchmark.tsv"
    params:
        figure=lambda wildcards: plan.figure_params(
            "pruning.figures.rewinding",
            [plan.study(wildcards.study)],
            layout.figure_files(f"plots/{wildcards.study}/rewind_vs_finetune"),
        ),
