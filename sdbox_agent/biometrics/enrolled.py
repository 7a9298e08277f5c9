"""The views of an enrolled person's record that are worth comparing with."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from sdbox_agent.biometrics import iso19794_2_2005 as iso
from sdbox_agent.biometrics import quality
from sdbox_agent.biometrics.comparison import Prepared, prepare
from sdbox_agent.errors import DecodeError, Refused

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from sdbox_agent.biometrics.iso19794_2_2005 import Record


def views(record: bytes, positions: Collection[int]) -> Iterator[tuple[int, Prepared]]:
    """The usable views of `record`, prepared, each with its finger (a 19794-2 position code).

    Its fingers must be `positions`. The first is ready when this returns, the others are made as
    they are asked for: one good view is enough to ask for a finger, and the person needs longer to
    lay it than the rest takes.
    Raises Refused: reference-malformed; reference-poor when no view is good enough.
    """
    try:
        decoded = iso.decode(record)
    except DecodeError:
        raise Refused("reference-malformed") from None
    if {view.position for view in decoded.views} != set(positions):
        raise Refused("reference-malformed")
    usable = _usable(decoded)
    first = next(usable, None)
    if first is None:
        raise Refused("reference-poor")
    return itertools.chain((first,), usable)


def _usable(decoded: Record) -> Iterator[tuple[int, Prepared]]:
    for view in decoded.views:
        template = decoded.template(view)
        prepared = prepare(template)
        try:
            quality.check_reference(quality.measure(template, prepared))
        except Refused:
            continue  # one good view is enough; none is a refusal
        yield view.position, prepared
