"""The views of an enrolled person's record that are worth comparing with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdbox_agent.biometrics import iso19794_2_2005 as iso
from sdbox_agent.biometrics import quality
from sdbox_agent.biometrics.compare import Prepared, prepare
from sdbox_agent.errors import DecodeError, Refused

if TYPE_CHECKING:
    from collections.abc import Collection


def views(record: bytes, positions: Collection[int]) -> list[Prepared]:
    """The usable views of `record`, prepared; its fingers must be `positions` (19794-2 codes).

    Raises Refused: reference-malformed; reference-poor when no view is good enough.
    """
    try:
        decoded = iso.decode(record)
    except DecodeError:
        raise Refused("reference-malformed") from None
    if {view.position for view in decoded.views} != set(positions):
        raise Refused("reference-malformed")
    usable = []
    for view in decoded.views:
        template = decoded.template(view)
        prepared = prepare(template)
        try:
            quality.check_reference(quality.measure(template, prepared))
        except Refused:
            continue  # one good view is enough; none is a refusal
        usable.append(prepared)
    if not usable:
        raise Refused("reference-poor")
    return usable
