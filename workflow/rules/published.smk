# Figures and claims of a paper itself, from the results that its authors published.
rule published:
    input:
        products.published_input,
    output:
        "results/published/{paper}/tidy.csv",
    log:
        "logs/published/{paper}.log",
    benchmark:
        "logs/published/{paper}.benchmark.tsv"
    localrule: True
    params:
        stage=products.published,
    script:
        "../scripts/published.py"


use rule figure as published_figure with:
    input:
        tables=["results/published/{paper}/tidy.csv"],
        published=products.overlay_input,
    output:
        **drawn(
            "plots/published/{paper}/{figure}",
            "Published results",
            figure="{figure}",
            study="{paper}",
        ),
    log:
        "logs/plots/published/{paper}/{figure}.log",
    benchmark:
        "logs/plots/published/{paper}/{figure}.benchmark.tsv"
    localrule: True
    params:
        figure=products.paper_figure,


use rule published_figure as published_network_figure with:
    output:
        **drawn(
            "plots/published/{paper}/{network}/{figure}",
            "Published results",
            figure="{figure}",
            study="{paper}, {network}",
        ),
    log:
        "logs/plots/published/{paper}/{network}/{figure}.log",
    benchmark:
        "logs/plots/published/{paper}/{network}/{figure}.benchmark.tsv"
    localrule: True


use rule claims as published_claims with:
    input:
        table="results/published/{paper}/tidy.csv",
        published=products.claims_published,
    output:
        csv="plots/published/{paper}/{claims}.csv",
        page=report(
            "plots/published/{paper}/{claims}.md",
            caption="../report/claims.rst",
            category="Published results",
            labels={"figure": "{claims}", "study": "{paper}", "format": "page"},
        ),
    log:
        "logs/plots/published/{paper}/{claims}.log",
    benchmark:
        "logs/plots/published/{paper}/{claims}.benchmark.tsv"
    localrule: True
    params:
        claims=products.paper_claims,


# All of a paper's figures: `snakemake plots_published_<paper>`.
for name in papers.papers():

    rule:
        name:
            f"plots_published_{name}"
        input:
            lambda wildcards, paper=name: products.of_paper(paper),
        localrule: True
