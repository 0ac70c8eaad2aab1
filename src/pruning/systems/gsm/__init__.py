"""Global sparse momentum SGD (Ding et al. 2019)."""
