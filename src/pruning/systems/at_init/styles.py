"""How figures draw this wing's methods, in the order of legends."""

from pruning.figures.style import Style

# Methods that prune at initialization, and what they are measured against: the two that prune after
# training (broken lines, dark) and random pruning (grey, olive).
STYLES = {
    "lottery_ticket": Style("Lottery ticket", "0.1", "H", "--"),
    "magnitude_after_training": Style(
        "Magnitude after training", "#22307a", "8", (0, (4, 1, 1, 1))
    ),
    "magnitude": Style("Magnitude", 0, "o"),
    "snip": Style("SNIP", 1, "s"),
    "grasp": Style("GraSP", 2, "^"),
    "grasp_abs": Style("GraSP, absolute", "#01503a", "<"),
    "synflow": Style("SynFlow", 4, "D"),
    "random": Style("Random", 7, "v"),
    "random_layerwise": Style("Random, by layer", "#6b6a00", ">"),
    "lottery_ticket_whole_schedule": Style("Lottery ticket, whole schedule", "0.25", "p", ":"),
}
