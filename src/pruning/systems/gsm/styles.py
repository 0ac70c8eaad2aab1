"""How figures draw this wing's methods, in the order of legends."""

from pruning.figures.style import Style

# Global sparse momentum SGD, what it is measured against, and winning tickets by the masks of both.
STYLES = {
    "gsm": Style("GSM", 0, "o"),
    "magnitude_without_retraining": Style("Magnitude, not retrained", 1, "s"),
    "gsm_ticket": Style("GSM ticket", 2, "^"),
    "magnitude_ticket": Style("Magnitude ticket", 4, "v"),
}
