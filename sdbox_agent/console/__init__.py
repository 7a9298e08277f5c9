"""The box on a text terminal: a view of it drawn in large plain words, and a keyboard to choose by.

Everything but `tty` and `run` (the local socket, the loop) is pure.
"""
