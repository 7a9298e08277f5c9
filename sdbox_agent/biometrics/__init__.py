"""Minutiae: records, extraction, comparison. Pure.

`decode` a record of one view, `prepare` its template, `compare` two.
"""

from sdbox_agent.biometrics.comparison import compare, prepare
from sdbox_agent.biometrics.record import decode

__all__ = ["compare", "decode", "prepare"]
