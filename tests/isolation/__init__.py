"""Races step by step: the specs, what runs them, and what shows that they can fail."""
