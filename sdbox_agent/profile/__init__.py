"""Firmware profiles: what differs between box models, as data."""
