"""Importing reads what is there, says what is not, and does it once."""
