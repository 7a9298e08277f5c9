"""A record of the format that it names itself, for tools; a box takes what the metadata names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdbox_agent.biometrics import iso19794_2_2005
from sdbox_agent.errors import DecodeError

if TYPE_CHECKING:
    from sdbox_agent.biometrics.minutia import Template


def decode(data: bytes) -> Template:
    """The template of a record of one view. Raises DecodeError for any other."""
    record = iso19794_2_2005.decode(data)
    if len(record.views) != 1:
        raise DecodeError("not one view")
    return record.template(record.views[0])
