"""Minutiae: records, extraction, comparison. Pure."""
