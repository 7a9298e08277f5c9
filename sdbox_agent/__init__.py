"""The SD-Box: a person's card and finger open one encrypted tunnel, and nothing else does."""

__version__ = "0.1.0"
