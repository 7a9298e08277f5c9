"""The centre: who may enter, decided in one place."""
