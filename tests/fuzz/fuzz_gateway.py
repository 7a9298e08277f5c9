"""The kernel's tables of routes and neighbours, one after the other."""

import re

from sdbox_agent.identity import surroundings
from tests.identity.test_surroundings import HEAD, NEIGHBOURS, OTHER, neighbour, route

PARSERS = (surroundings.gateway, surroundings._defaults, surroundings._hex)
_SPLIT = "\0"
SEEDS = [
    (HEAD + routes + _SPLIT + NEIGHBOURS + "".join(neighbours)).encode()
    for routes, neighbours in (
        ("", ()),
        (route(), ()),
        (route(), (neighbour(),)),
        (route(metric="600") + route(via="090200C0"), (neighbour(), neighbour("192.0.2.9", OTHER))),
        (route(flags="0002") + route(metric="x") + "x\n", (neighbour(),)),
        (route(), (neighbour(flags="0x0"), "x\n")),
        (route(via="x"), (neighbour(mac="00:00:00:00:00:00"),)),
    )
]


def target(data: bytes) -> None:
    routes, _, neighbours = data.decode("latin-1").partition(_SPLIT)
    found = surroundings.gateway(routes, neighbours)
    assert not found or re.fullmatch(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", found)
    assert not found or found in neighbours.lower()
