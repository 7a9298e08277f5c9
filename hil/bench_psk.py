"""What the post-quantum part of a tunnel costs at its two ends, without anything else around it.

pq_key_ms        the helper makes its ML-KEM key
pq_gateway_ms    the gateway checks that key, encapsulates, derives
pq_box_ms        the helper decapsulates, derives
pq_total_ms      the three together
"""

from __future__ import annotations

import hashlib
import os
import time
from typing import TYPE_CHECKING

from hil.bench_figures import timing
from sdbox_agent.tunnel import psk

if TYPE_CHECKING:
    from hil.bench_figures import Figures


def measure(rounds: int) -> Figures:
    """Each figure, of so many tunnels' keys."""
    parts_ms = [_parts_ms() for _ in range(rounds)]
    figures: Figures = {"pq_total_ms": timing(map(sum, parts_ms))}
    names = ("pq_key_ms", "pq_gateway_ms", "pq_box_ms")
    for name, values_ms in zip(names, zip(*parts_ms, strict=True), strict=True):
        figures[name] = timing(values_ms)
    return figures


def _parts_ms() -> tuple[float, float, float]:
    bound = psk.Bound(os.urandom(32), os.urandom(32), os.urandom(32))
    start_ns = time.perf_counter_ns()
    box = psk.KemPair()
    made_ns = time.perf_counter_ns()
    key = psk.encapsulation_key(box.public, hashlib.sha256(box.public).digest())
    offer, gateways = psk.make_offer(key, os.urandom(psk.SALT_BYTES), bound)
    offered_ns = time.perf_counter_ns()
    boxes = box.psk(offer, bound)
    derived_ns = time.perf_counter_ns()
    assert boxes == gateways
    return (
        (made_ns - start_ns) / 1e6,
        (offered_ns - made_ns) / 1e6,
        (derived_ns - offered_ns) / 1e6,
    )
