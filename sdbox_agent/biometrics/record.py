"""Records of any format, for tools: those of 2005 and 2011 say themselves which they are.

INCITS 378-2004 has the version of 19794-2:2005 and has to be named. A box takes what a reference's
signed metadata name (`sdbox_agent.pki.reference.FORMAT`), and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sdbox_agent.biometrics import fmr, incits378_2004, iso19794_2_2005, iso19794_2_2011
from sdbox_agent.errors import DecodeError

if TYPE_CHECKING:
    from sdbox_agent.biometrics.minutia import Template

# -- ours ----------------------------------------------------------------------------------------

ISO_2005: Final = "iso-19794-2-2005"
ISO_2011: Final = "iso-19794-2-2011"
INCITS_2004: Final = "incits378-2004"
FORMATS: Final = (ISO_2005, ISO_2011, INCITS_2004)


def decode(data: bytes, format: str | None = None) -> Template:
    """The template of a record of one view, read as `decode_views` does.

    Raises DecodeError for any other.
    """
    views = decode_views(data, format)
    if len(views) != 1:
        raise DecodeError("not one view")
    return views[0][1]


def decode_views(data: bytes, format: str | None = None) -> tuple[tuple[int, Template], ...]:
    """Finger position (19794-2's code) and template of each view, in the record's order.

    `format` is one of FORMATS; without, what the record says of itself. Raises DecodeError for
    what is no such record, ValueError for a format that is none.
    """
    format_ = _said(data) if format is None else format
    if format_ == ISO_2005:
        of_2005 = iso19794_2_2005.decode(data)
        return tuple((view.position, of_2005.template(view)) for view in of_2005.views)
    if format_ == ISO_2011:
        of_2011 = iso19794_2_2011.decode(data)
        return tuple((view.position, of_2011.template(view)) for view in of_2011.views)
    if format_ == INCITS_2004:
        of_2004 = incits378_2004.decode(data)
        return tuple((view.position, of_2004.template(view)) for view in of_2004.views)
    raise ValueError("no such format")


def _said(data: bytes) -> str:
    for version, format_ in ((iso19794_2_2005, ISO_2005), (iso19794_2_2011, ISO_2011)):
        if data.startswith(fmr.MAGIC + version.VERSION):
            return format_
    raise DecodeError("not a minutiae record that says what it is")
