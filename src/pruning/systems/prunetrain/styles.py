"""How figures draw this wing's methods, in the order of legends."""

from pruning.figures.style import Style

STYLES = {
    "prunetrain": Style("PruneTrain", 0, "o"),
    "prunetrain_one_time": Style("Cut once, at the end", 1, "s"),
    "train_then_prune": Style("Trained, then pruned", 3, "^"),
    "prunetrain_gating": Style("PruneTrain, gating", 2, "D"),
    "prunetrain_size_scaled": Style("PruneTrain, by size of group", 4, "v"),
    "prunetrain_proximal": Style("PruneTrain, proximal", 5, "P"),
    "prunetrain_folded": Style("PruneTrain, branches folded", 6, "X"),
    "prunetrain_dynamic_batch": Style("PruneTrain, growing batch", 7, "<"),
}
