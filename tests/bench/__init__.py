"""What a call costs, against plain SQL that writes or reads the same rows."""
