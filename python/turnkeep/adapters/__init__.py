"""Turnkeep as the memory of other frameworks, a module each; each needs its extra."""

MESSAGES_A_TURN = 200
MESSAGES_A_PAGE = 1000
