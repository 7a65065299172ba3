"""What runs beside a database: serving, sweeping, the page."""
