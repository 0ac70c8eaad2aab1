"""Campaigns against the project: kills, damaged files, wrong configurations, broken disks.

``python -m tests.campaigns`` runs them; see docs/reliability.md. A case is a number of a campaign,
drawn with a fixed seed; it ends in one of the outcomes of :mod:`tests.campaigns.outcomes`.
"""
