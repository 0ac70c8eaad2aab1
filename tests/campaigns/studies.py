"""The studies of the campaigns: every stage there is, in trainings of a dozen steps."""

_TOP = """
title: Small
dataset: digits
network: {name: small_cnn, options: {widths: [4, 8], hidden: 8}}
seeds: [0, 1]
recipe:
  epochs: 3
  batches: {size: 256}
  optimizer: {weight_decay: 5.0e-4, options: {momentum: 0.9}}
  schedule: {learning_rate: 0.1, milestones: [2]}
"""

_RECIPE = """
    epochs: 2
    batches: {size: 256}
    optimizer: {weight_decay: 1.0e-4, options: {momentum: 0.9}}
    schedule: {learning_rate: 0.1, milestones: [1]}
"""

SMALL = f"""{_TOP}
rewinding:
  methods: [lr_rewind, weight_rewind, fine_tune, reinit]
  fraction: 0.5
  levels: 2
  retrain_times: [2]
algorithm: {{fraction: 0.5, tolerance: 100, max_levels: 2}}
at_init:
  methods: [magnitude, snip, synflow, lottery_ticket]
  variants_by_method: {{magnitude: [unmodified, shuffled, reinitialized]}}
  densities: [0.5]
  iterations: {{synflow: 3}}
  rewind_epoch: 1
  later: {{epochs: [1], level: 1, methods: [snip]}}
gsm:
  recipe:
    epochs: 2
    batches: {{size: 256}}
    optimizer:
      name: gsm
      weight_decay: 1.0e-3
      decay_exclude: [bias]
      options: {{momentum: 0.98}}
    schedule: {{learning_rate: 0.05}}
  ratios: [4, 10]
  ablations: {{frozen: {{options: {{reselect: false}}}}}}
  ablation_levels: [2]
  tickets: [gsm, magnitude]
  sensitivity: [0.5, 0.1]
gem_miner:
  methods: [gem_miner, edge_popup, smart_ratio]
  densities: [0.5]
  search: {_RECIPE.replace("1.0e-4", "0")}
  finetune: {_RECIPE}
  period: 1
  strengths: {{gem_miner: 1.0e-4}}
  variants_by_method: {{gem_miner: [unmodified, shuffled, reinitialized]}}
  sweep: {{method: gem_miner, level: 1, strengths: [0]}}
prunetrain:
  methods: [prunetrain, train_then_prune]
  ratios: [0.3]
  interval: 1
  threshold: 0.01
  epsilon: 1.0e-4
  recipe: {_RECIPE}
  finetune: {_RECIPE}
"""

# What is changed as a configuration: less of each, and one replicate.
CONFIGURED = (
    SMALL.replace("seeds: [0, 1]", "seeds: [0]")
    .replace("levels: 2", "levels: 1")
    .replace("[lr_rewind, weight_rewind, fine_tune, reinit]", "[lr_rewind, weight_rewind]")
)

OTHER = f"""{_TOP.replace("Small", "Other").replace("[4, 8]", "[6, 8]").replace("[0, 1]", "[0]")}
rewinding: {{methods: [lr_rewind], fraction: 0.5, levels: 1, retrain_times: [2]}}
"""

STUDIES = {"small": SMALL, "other": OTHER}
FIGURES = (
    *("rewind_vs_finetune", "accuracy_vs_retrain_time", "speedup"),
    *("at_init_accuracy", "at_init_layers"),
    *("gsm_accuracy", "gsm_layers", "gsm_magnitudes", "gsm_passive_decay"),
    *("gem_miner_accuracy", "gem_miner_convergence", "gem_miner_layers"),
    *("prunetrain_progress", "prunetrain_filters", "prunetrain_table"),
)
PAGES = ("claims", "at_init_claims", "gsm_claims", "prunetrain_claims")
TARGETS = (
    *(f"plots/small/{name}.pdf" for name in FIGURES),
    *(f"plots/small/{name}.md" for name in PAGES),
    "results/small/tidy.csv",
    "results/small/algorithm_1.csv",
    "results/other/rewinding.csv",
)
