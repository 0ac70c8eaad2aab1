"""Searches of random networks for subnetworks (Sreenivasan et al. 2022)."""
