"""One owner calls everything with whatever it can think of, and looks for another's."""
