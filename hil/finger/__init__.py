"""Synthetic fingers grown from a seed."""
