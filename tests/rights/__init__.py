"""Who may do what: the README's table, tried out."""
