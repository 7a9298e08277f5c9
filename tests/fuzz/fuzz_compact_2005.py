"""Minutiae of the compact card format: read and written again, or refused by DecodeError."""

from sdbox_agent.biometrics import compact_2005 as compact
from sdbox_agent.errors import DecodeError

SEEDS: list[bytes] = [bytes.fromhex("0a1440ffffbf"), bytes(3 * 60)]


def target(data: bytes) -> None:
    """A list is refused by DecodeError, or kept byte for byte."""
    try:
        found = compact.decode(data)
    except DecodeError:
        return
    if compact.encode(found) != data:
        raise AssertionError("minutiae changed on their way")
