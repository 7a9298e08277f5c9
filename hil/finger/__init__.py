"""Synthetic fingers grown from a seed, and the hand that lays them on a virtual sensor."""

from hil.finger.person import LEFT_INDEX, RIGHT_INDEX, Person

__all__ = ["LEFT_INDEX", "RIGHT_INDEX", "Person"]
