"""Mutants of the deployed database: what is taken out of it, and which test notices."""
