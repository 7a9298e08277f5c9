"""The live leases, as the gateway keeps them: in memory, on its own monotonic clock. No I/O.

A lease that is not here has no peer. It starts empty, so a restart ends every tunnel, but for what
the gateway handed over to itself (`handover`).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from sdbox_agent.errors import Refused
from sdbox_centre.window import Window

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from ipaddress import IPv4Network, IPv6Network

    from sdbox_agent.centre.wire import Carrier
    from sdbox_agent.statements.fields import Receipt, Renew
    from sdbox_agent.tunnel.psk import Offer
    from sdbox_centre.peers import Peer

FIRST_HOST: Final = 2  # of a pool: 0 is the network, 1 the VM
MAX_HOSTS: Final = 1024  # peers of one interface: as many as it can be asked for (uapi.MAX_PEERS)


@dataclass(frozen=True, slots=True)
class Lease:
    """One tunnel's right to be up, and what it rests on."""

    receipt: Receipt = field(repr=False)
    statement: bytes = field(repr=False)  # the receipt as card and box signed it
    certificates: tuple[bytes, bytes, bytes] = field(repr=False)  # 9A, 9D, 9E
    box_certificate: bytes = field(repr=False)
    card: bytes  # SHA-256 of the 9A certificate
    host: int  # its place in each of the project's pools
    peer: Peer
    offer: Offer = field(repr=False)  # what its preshared key came of
    ends_s: float  # on the gateway's clock, but for a window (`Leases.end_s`)
    carrier: Carrier | None = None  # as it was told
    renewal: Renew | None = None  # the last
    renewal_statement: bytes = field(default=b"", repr=False)

    @property
    def key(self) -> str:
        """box/session."""
        return f"{self.receipt.box}/{self.receipt.session}"

    @property
    def project(self) -> str:
        """Whose VM it leads to."""
        return self.receipt.project


class Leases:
    """Every live lease, by session; of one card, one WireGuard key and one address there is one."""

    def __init__(self) -> None:
        self._by_key: dict[str, Lease] = {}
        self._cards: set[bytes] = set()
        self._peers: set[bytes] = set()  # WireGuard keys
        self._hosts: defaultdict[str, set[int]] = defaultdict(set)  # project -> places
        self.window: Final = Window()

    def all(self) -> tuple[Lease, ...]:
        """Every one."""
        return tuple(self._by_key.values())

    def find(self, key: str, now_s: float) -> Lease | None:
        """The session's lease, if it is live."""
        lease = self._by_key.get(key)
        return lease if lease is not None and now_s < self.end_s(lease) else None

    def end_s(self, lease: Lease) -> float:
        """When it is over, on the gateway's clock."""
        return self.window.held_s(lease.ends_s)

    def add(self, lease: Lease) -> None:
        """Enter a lease.

        Raises Refused: session-elsewhere (this card has another), lease-refused (this session has
        one already, or this WireGuard key or address is another's).
        """
        if lease.key in self._by_key or lease.peer.public_key in self._peers:
            raise Refused("lease-refused")
        if lease.host in self._hosts[lease.project]:
            raise Refused("lease-refused")
        if lease.card in self._cards:
            raise Refused("session-elsewhere")
        self._by_key[lease.key] = lease
        self._cards.add(lease.card)
        self._peers.add(lease.peer.public_key)
        self._hosts[lease.project].add(lease.host)

    def extend(self, lease: Lease, renewal: Renew, statement: bytes, ends_s: float) -> Lease:
        """A renewal of a live lease: the next one, or the same once more. Raises Refused."""
        if renewal == lease.renewal:
            return lease
        if renewal.n != (lease.renewal.n if lease.renewal else 0) + 1:
            raise Refused("lease-refused")
        longer = replace(lease, renewal=renewal, renewal_statement=statement, ends_s=ends_s)
        self._by_key[lease.key] = longer
        return longer

    def drop(self, lease: Lease) -> None:
        """Forget a lease; its peer must go with it."""
        del self._by_key[lease.key]
        self._cards.remove(lease.card)
        self._peers.remove(lease.peer.public_key)
        self._hosts[lease.project].remove(lease.host)

    def due(self, now_s: float) -> list[str]:
        """The leases that are over."""
        next_end_s = self.next_end_s()
        if next_end_s is None or now_s < next_end_s:
            return []
        return [key for key, lease in self._by_key.items() if self.end_s(lease) <= now_s]

    def next_end_s(self) -> float | None:
        """When the first of them will be over."""
        first_s = min((lease.ends_s for lease in self._by_key.values()), default=None)
        return None if first_s is None else self.window.held_s(first_s)

    def hosts_of(self, project: str) -> frozenset[int]:
        """The places that the project's peers were given."""
        return frozenset(self._hosts[project])

    def of_project(self, project: str) -> dict[bytes, Lease]:
        """The WireGuard keys that may be in, and by which lease."""
        return {
            lease.peer.public_key: lease
            for lease in self._by_key.values()
            if lease.receipt.project == project
        }


def free_host(pools: Sequence[IPv4Network | IPv6Network], taken: Collection[int]) -> int:
    """A place that is free in each pool. Raises Refused if all are taken."""
    most = min(pool.num_addresses for pool in pools) - 1  # an IPv4 network's last is for all
    for host in range(FIRST_HOST, min(most, FIRST_HOST + MAX_HOSTS)):
        if host not in taken:
            return host
    raise Refused("lease-refused")


def addresses(pools: Sequence[IPv4Network | IPv6Network], host: int) -> tuple[str, ...]:
    """One host's address in each pool, a /32 or /128. Raises Refused if it is no box's place."""
    most = min(pool.num_addresses for pool in pools) - 1
    if not FIRST_HOST <= host < most:
        raise Refused("lease-refused")
    return tuple(f"{pool[host]}/{pool.max_prefixlen}" for pool in pools)
