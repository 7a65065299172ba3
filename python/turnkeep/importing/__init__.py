"""Bring conversations of other systems in, as often as you like, once.

Two kinds of item are understood, each in a JSON array or one a line: a list of
``messages`` as chat-completions APIs and fine-tuning files have it, and a chat
product's export with its ``mapping`` of nodes. Ids and positions become continuation
and request ids, so that a second import finds everything there and adds only what the
conversations have grown by.
"""

from turnkeep.importing.conversation import Conversation, Finding
from turnkeep.importing.reading import read
from turnkeep.importing.storing import Import, Report

__all__ = ["Conversation", "Finding", "Import", "Report", "read"]
