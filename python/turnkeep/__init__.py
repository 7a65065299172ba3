"""Turnkeep: every turn of an assistant's conversation, exactly once."""

__version__ = "0.1.0.dev0"
