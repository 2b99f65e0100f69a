"""Servers that stand in for systems which cannot be had without containers or a cloud (one folder each)."""
