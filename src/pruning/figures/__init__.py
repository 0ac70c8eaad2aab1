"""One module per paper, one style. Figures read tables and never a state."""
