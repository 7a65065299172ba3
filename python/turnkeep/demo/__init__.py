"""Turnkeep at work on real dialogues, under everything that usually goes wrong.

Several worker processes write the same conversations at once; a fifth of all calls
lose their reply and are sent again; files are linked, unlinked and cleaned up at the
same time. What the workers were told is then compared with what the tables hold.
"""

from turnkeep.demo.running import Plan, Result, run

__all__ = ["Plan", "Result", "run"]
