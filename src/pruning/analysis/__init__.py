"""From summaries to tidy tables, and from those to what figures draw."""

FOLDER = "resources/published"  # of numbers from papers
SAFE_ZONE = (0.25, 0.9)  # of T: where rewinding is safe (Renda et al. 2020, "rewinding safe zone")
