"""The finger sensor, through libfprint."""
