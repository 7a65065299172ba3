"""The cache: threads, answers, and what Redis may do."""
