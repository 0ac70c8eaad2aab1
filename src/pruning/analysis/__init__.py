"""From summaries to tidy tables, and from those to what figures draw."""

FOLDER = "resources/published"  # of numbers from papers
