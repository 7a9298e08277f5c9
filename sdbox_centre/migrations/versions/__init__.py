"""Written by Alembic from tables.py (`make migration`), then read and kept."""
