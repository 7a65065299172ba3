"""Accidents on purpose."""
