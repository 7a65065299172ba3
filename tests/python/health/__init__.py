"""Health: what is asked, of what, and how often."""
