"""Columns of this wing's own tables."""

CURVES = ()
