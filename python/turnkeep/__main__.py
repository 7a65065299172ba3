"""``python -m turnkeep`` is ``turnkeep``."""

from turnkeep.cli import main

if __name__ == "__main__":
    main()
