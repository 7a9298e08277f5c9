"""What the host's network lets pass, as set-up tells the centre: `preflight`'s own probes [door].

Those that speak to nobody but whom a box's walls let it speak to: time servers and the centre, by
address. What else a host's network does, the host's own run of `preflight` shows. Of what is seen
only results and codes are told.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Final

import msgspec

from sdbox_agent.centre.reported import MAX_LINES, Measured
from sdbox_agent.provision import preflight

if TYPE_CHECKING:
    from pathlib import Path

    from sdbox_agent.provision.setup.answers import Answers

PROBES: Final = (preflight.address, preflight.clock, preflight.centre)


def network(answers: Answers, anchor: Path) -> tuple[Measured, ...]:
    """Measured now; 3 s for each that does not answer. `anchor`: the centre's authorities, PEM."""
    centre = answers.centre
    options = argparse.Namespace(
        centre=preflight.Endpoint(centre.host, centre.port, next(iter(centre.addresses), "")),
        anchor=str(anchor),
        time_server=[preflight.time_server(each) for each in answers.lan.time_servers],
    )
    probes = preflight.Probes(options, time.time)  # noqa: TID251  a door
    rows = [row for probe in PROBES for row in probe(probes)]
    told = [{"what": row.name, "result": row.result, "code": row.code} for row in rows]
    return msgspec.convert(told[:MAX_LINES], tuple[Measured, ...])
