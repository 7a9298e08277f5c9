"""Process entry points. They import one another never."""
