rule collect:
    input:
        whenever(plan.collect_input),
    output:
        "results/{study}/{table}.csv",
    log:
        "logs/{study}/collect/{table}.log",
    benchmark:
        "logs/{study}/collect/{table}.benchmark.tsv"
    localrule: True
    params:
        stage=plan.collect_params,
    script:
        "../scripts/collect.py"


rule collect_masks:
    input:
        plan.collect_masks_input,
    output:
        layers="results/{study}/{family}_layers.csv",
        channels="results/{study}/{family}_channels.csv",
    log:
        "logs/{study}/collect/{family}_masks.log",
    benchmark:
        "logs/{study}/collect/{family}_masks.benchmark.tsv"
    localrule: True
    params:
        stage=plan.collect_masks_params,
    script:
        "../scripts/collect_masks.py"


rule gather:
    input:
        plan.gather_input,
    output:
        "results/{study}/{gathered}.csv",
    log:
        "logs/{study}/collect/{gathered}.log",
    benchmark:
        "logs/{study}/collect/{gathered}.benchmark.tsv"
    localrule: True
    params:
        stage=plan.gather_params,
    script:
        "../scripts/gather.py"


rule figure:
    input:
        tables=products.study_figure_input,
        published=products.overlay_input,
    output:
        **drawn(
            "plots/{study}/{figure}",
            of_figure,
            figure="{figure}",
            study="{study}",
        ),
    log:
        "logs/plots/{study}/{figure}.log",
    benchmark:
        "logs/plots/{study}/{figure}.benchmark.tsv"
    localrule: True
    params:
        figure=products.study_figure,
    script:
        "../scripts/figure.py"


# A rule does not take `localrule` from another.
use rule figure as figure_of_enabled with:
    input:
        tables=products.enabled_figure_input,
        published=products.overlay_input,
    output:
        **drawn(
            "plots/{figure}",
            of_figure,
            figure="{figure}",
            study="all enabled",
        ),
    log:
        "logs/plots/{figure}.log",
    benchmark:
        "logs/plots/{figure}.benchmark.tsv"
    localrule: True
    params:
        figure=products.enabled_figure,


rule claims:
    input:
        table=products.study_claims_input,
        beside=products.study_claims_beside,
        summary=products.study_claims_summary,
        published=products.claims_published,
    output:
        csv="plots/{study}/{claims}.csv",
        page=report(
            "plots/{study}/{claims}.md",
            caption="../report/claims.rst",
            category=lambda wildcards: claims_catalog.entry(wildcards.claims).category,
            labels={"figure": "{claims}", "study": "{study}", "format": "page"},
        ),
    log:
        "logs/plots/{study}/{claims}.log",
    benchmark:
        "logs/plots/{study}/{claims}.benchmark.tsv"
    localrule: True
    params:
        claims=products.study_claims,
    script:
        "../scripts/claims.py"


# All figures of a study, and its claims: `snakemake plots_<study>`.
for name in study.study_names(config["study_folder"]):

    rule:
        name:
            f"plots_{name}"
        input:
            lambda wildcards, study=name: products.of_study(study),
        localrule: True
