"""Sentences that the captions of several figures share."""

MEANS = (
    "Points are means over replicates, bars one standard deviation to each side; the dashed line "
    "and the grey band are the dense networks. Arrows through an edge are points beyond it."
)
