"""The live leases, as the gateway keeps them: in memory, on its own monotonic clock. No I/O.

A lease that is not here has no peer. It starts empty, so a restart ends every tunnel.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sdbox_agent.errors import Refused

if TYPE_CHECKING:
    import ipaddress
    from collections.abc import Iterable, Sequence

    from sdbox_agent.centre.wire import Carrier
    from sdbox_agent.tunnel.psk import Offer
    from sdbox_centre.peers import Peer

FIRST_HOST = 2  # of a pool: 0 is the network, 1 the VM


@dataclass(frozen=True, slots=True)
class Lease:
    """One tunnel's right to be up."""

    key: str  # "box/session"
    project: str
    level: str  # of the session; the project must accept it as long as the lease lasts
    certificates: tuple[bytes, bytes, bytes] = field(repr=False)  # 9A, 9D, 9E as in the receipt
    card: bytes  # SHA-256 of the 9A certificate
    receipt_sha256: bytes  # of what the receipt says
    peer: Peer
    offer: Offer = field(repr=False)  # what its preshared key came of
    ends_s: float  # on the gateway's clock
    carrier: Carrier | None = None  # as it was told
    n: int = 0  # renewals
    renewal_sha256: bytes = b""


class Leases:
    """Every live lease, by session."""

    def __init__(self) -> None:
        self._by_key: dict[str, Lease] = {}

    def find(self, key: str, now_s: float) -> Lease | None:
        """The session's lease, if it is live."""
        lease = self._by_key.get(key)
        return lease if lease is not None and now_s < lease.ends_s else None

    def add(self, lease: Lease) -> None:
        """Enter a lease whose peer is not in yet.

        Raises Refused: session-elsewhere (this card has another), lease-refused (this session has
        one already, or this WireGuard key is another's).
        """
        for other in self._by_key.values():
            if other.key == lease.key or other.peer.public_key == lease.peer.public_key:
                raise Refused("lease-refused")
            if other.card == lease.card:
                raise Refused("session-elsewhere")
        self._by_key[lease.key] = lease

    def extend(self, lease: Lease, n: int, renewal_sha256: bytes, ends_s: float) -> Lease:
        """Renewal `n` of a live lease: the next one, or the same once more. Raises Refused."""
        if (n, renewal_sha256) == (lease.n, lease.renewal_sha256):
            return lease
        if n != lease.n + 1:
            raise Refused("lease-refused")
        longer = replace(lease, n=n, renewal_sha256=renewal_sha256, ends_s=ends_s)
        self._by_key[lease.key] = longer
        return longer

    def drop(self, key: str) -> Lease | None:
        """Forget a lease; its peer must go with it."""
        return self._by_key.pop(key, None)

    def due(self, now_s: float) -> list[str]:
        """The leases that are over."""
        return [key for key, lease in self._by_key.items() if lease.ends_s <= now_s]

    def next_end_s(self) -> float | None:
        """When the first of them will be over."""
        return min((lease.ends_s for lease in self._by_key.values()), default=None)

    def addresses_in_use(self, project: str) -> frozenset[str]:
        """What the project's peers were given."""
        return frozenset(
            address
            for lease in self._by_key.values()
            if lease.project == project
            for address in lease.peer.addresses
        )

    def of_project(self, project: str) -> frozenset[bytes]:
        """The WireGuard keys that may be in."""
        return frozenset(
            lease.peer.public_key for lease in self._by_key.values() if lease.project == project
        )


def free_addresses(
    pools: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network],
    taken: Iterable[str],
) -> tuple[str, ...]:
    """One host address of each pool, the same place in each. Raises Refused if all are taken."""
    used = frozenset(taken)
    most = min(pool.num_addresses for pool in pools)
    for host in range(FIRST_HOST, min(most - 1, 4096)):
        addresses = tuple(f"{pool[host]}/{pool.max_prefixlen}" for pool in pools)
        if used.isdisjoint(addresses):
            return addresses
    raise Refused("lease-refused")
