"""How figures draw this wing's methods, in the order of legends."""

from pruning.figures.style import Style

STYLES = {
    "lr_rewind": Style("Learning-rate rewinding", 0, "o"),
    "weight_rewind": Style("Weight rewinding", 1, "s"),
    "fine_tune": Style("Fine-tuning", 2, "^"),
    "low_lr_weight_rewind": Style("Low-LR weight rewinding", 4, "D"),
    "reinit": Style("Reinitialization", 3, "v"),
}
