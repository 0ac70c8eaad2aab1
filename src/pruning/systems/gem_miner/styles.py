"""How figures draw this wing's methods, and its baselines of other systems, in legends' order."""

from pruning.figures.style import Style

STYLES = {
    "gem_miner": Style("Gem-Miner", 0, "o"),
    "gem_miner_long": Style("Gem-Miner, long", "#0b3c5d", "H"),
    "gem_miner_l1": Style("Gem-Miner, L1", "#4a7fb5", "h"),
    "gem_miner_l1_l2": Style("Gem-Miner, L1 and L2", "#7aa6d1", "8"),
    "gem_miner_inverted": Style("Gem-Miner, inverted", 3, "v"),
    "edge_popup": Style("Edge-Popup", 1, "s"),
    "global_edge_popup": Style("Edge-Popup, global", 2, "^"),
    "global_edge_popup_gradual": Style("Edge-Popup, global, gradual", 4, "D"),
    "global_edge_popup_gradual_regularized": Style("The same with a penalty", 6, "P"),
    "smart_ratio": Style("Smart Ratio", 5, "X"),
    "random_subnetwork": Style("Random", 7, "<"),
}

# Of other systems, under names that only figures of this wing use.
OTHERS = {
    "imp_warm": Style("IMP, with warm-up", "0.1", ">", "--"),
    "imp_cold": Style("IMP, cold", "0.45", "p", (0, (4, 1, 1, 1))),
    "lr_rewind": Style("Learning-rate rewinding", "0.1", "d", ":"),
}

# Colours and markers of methods of other systems: elsewhere some look like methods of this wing,
# beside which they stand here.
SPARE_COLORS = (
    "#8c6d31", "#637939", "#843c39", "#7b4173", "#393b79",
    "#b5a642", "#a0522d", "#2f6f6f", "#6b6ecf", "#d6616b",
)  # fmt: skip
SPARE_MARKERS = "ds^DvphXo>"
