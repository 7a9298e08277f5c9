"""The gateway's judgement: receipt in, peer in; anything less, nothing.

It believes nobody: it verifies both signatures, the card's path and its CRL, the box, the level and
the project by staff's acts that it keeps itself, and has its own clocks. What it can't know is
whether a challenge was fresh and an attempt reserved; there it has the API's word, narrowed: a
receipt dated more than FRESH_S ago or before our own start, or seen since then, is refused. Whoever
owns the API alone opens no tunnel.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol

from sdbox_agent.centre.wire import Carrier
from sdbox_agent.errors import Refused
from sdbox_agent.statements import fields, jws
from sdbox_agent.terms import Level
from sdbox_agent.tunnel import psk
from sdbox_centre import access
from sdbox_centre.gateway_wire import (
    Act,
    Admit,
    Admitted,
    Answer,
    Install,
    Installed,
    Kept,
    Remove,
    Removed,
    Renewal,
    Renewed,
    Request,
)
from sdbox_centre.leases import Lease, Leases, free_addresses
from sdbox_centre.peers import Peer
from sdbox_centre.tokens import Tokens

if TYPE_CHECKING:
    import ipaddress
    from collections.abc import Callable

    from sdbox_centre.core import CardRules
    from sdbox_centre.peers import Peers

Way = Literal["finger", "no-finger"]  # how a card's holder was enrolled

FRESH_S: Final = 600  # between the box's clock in a receipt and ours

log = logging.getLogger("sdbox.gateway")


@dataclass(frozen=True, slots=True)
class Project:
    """One project, as the gateway knows it by itself."""

    name: str
    levels: frozenset[str]
    way: Callable[[bytes], Way | None]  # of a card, by SHA-256 of its 9A certificate; None: none
    endpoint: str
    pools: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]

    @property
    def port(self) -> int:
        """WireGuard's own."""
        return int(self.endpoint.rpartition(":")[2])

    @property
    def vm(self) -> str:
        """The VM's address inside the tunnel: the first host of the first pool."""
        return str(self.pools[0][1])

    def admit(self, card: bytes, level: str) -> None:
        """May this card enter at this level? Raises Refused.

        A PIN and a code are no finger: who was enrolled to come in by them is not believed at
        another level, nor is anybody else at that one.
        """
        if level not in self.levels:
            raise Refused("level-not-accepted")
        way = self.way(card)
        if way is None:
            raise Refused("project-not-granted")
        if (way == "no-finger") is not (level == Level.CARD_PIN):
            raise Refused("level-not-accepted")


@dataclass(frozen=True, slots=True)
class CarrierEnd:
    """Where WireGuard may be carried to, and the hash of the certificate that is shown there."""

    endpoint: str
    pin: bytes


class Book(Protocol):
    """What the gateway knows by itself of boxes and projects; asked at each question."""

    def keep(self, statement: bytes) -> None:
        """Believe an act of staff's from now on. Raises Refused, Fault."""

    def box(self, name: str) -> bytes:
        """The box's statement certificate (DER). Raises Refused: box-refused."""

    def project(self, name: str) -> Project:
        """The project. Raises Refused: project-not-granted."""

    def carrier(self) -> CarrierEnd | None:
        """The gateway's end of carriers, if it has one. Raises Fault: config-invalid."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """UTC for dates in statements and certificates; a monotonic one for leases."""

    utc_s: Callable[[], int]
    mono_s: Callable[[], float]


class Gateway:
    """Leases and their peers. A failing interface raises OSError: the process must end then."""

    def __init__(
        self,
        cards: CardRules,
        book: Book,
        peers_of: Callable[[str], Peers],
        clocks: Clocks,
        random_bytes: Callable[[int], bytes],
        lease_s: int,
    ) -> None:
        self._cards = cards
        self._book = book
        self._peers_of = peers_of
        self._clocks = clocks
        self._random = random_bytes
        self._lease_s = lease_s
        self._leases = Leases()
        self._tokens = Tokens(random_bytes)
        # None dated earlier is believed: nobody knows any more which of those were seen.
        self._oldest_utc_s = clocks.utc_s()
        self._seen: dict[bytes, int] = {}  # receipt digest -> its date

    def answer(self, request: Request) -> Answer:
        """Do what is asked. Raises Refused, Fault; OSError if an interface failed."""
        self.expire()
        match request:
            case Install():
                return self._install(request)
            case Renewal():
                return self._renew(request)
            case Remove():
                for key in request.keys:
                    self._remove(key)
                return Removed()
            case Admit():
                return self._admit(request)
            case Act():
                self._book.keep(request.statement)
                return Kept()

    def expire(self) -> float | None:
        """Remove what is over; returns the seconds until the next end, None if nothing is up."""
        now_s = self._clocks.mono_s()
        for key in self._leases.due(now_s):
            log.info("lease over: %s", key)
            self._remove(key)
        end_s = self._leases.next_end_s()
        return None if end_s is None else max(0.0, end_s - now_s)

    def _install(self, request: Install) -> Installed:
        """Verify a receipt and let its peer in.

        Steps: (1) signatures of card and box; (2) the very receipt of a live lease: the same answer
        again; (3) the card's path and CRL; (4) fresh, and never seen; (5) this card can have proved
        that level, and may enter the project at it; (6) the post-quantum key is the one that was
        signed for; (7) room for it; (8) the peer is in.
        """
        signers = [request.auth, self._book.box(request.box)]
        receipt = jws.open_as(fields.Receipt, request.statement, signers)  # (1)
        if receipt.box != request.box:
            raise Refused("statement-not-yours")
        digest = fields.digest(receipt)
        key = f"{receipt.box}/{receipt.session}"
        live = self._leases.find(key, self._clocks.mono_s())
        if live is not None and live.receipt_sha256 == digest:  # (2)
            return self._installed(live, self._clocks.mono_s())
        certificates = (request.auth, request.key_management, request.card_auth)
        checked = self._cards.check(*certificates, self._clocks.utc_s())  # (3)
        self._fresh(receipt.utc_s, digest)  # (4)
        card = hashlib.sha256(request.auth).digest()
        access.claim(receipt, match_bound=checked.match_bound)  # (5)
        project = self._allowed(receipt, card)
        kem_key = psk.encapsulation_key(request.kem_key, receipt.kem_key_sha256)  # (6)
        taken = self._leases.addresses_in_use(project.name)
        peer = Peer(receipt.wg_public_key, free_addresses(project.pools, taken))  # (7)
        peers = self._peers_of(project.name)
        bound = psk.Bound(digest, peer.public_key, peers.public_key)
        offer, preshared_key = psk.make_offer(kem_key, self._random(psk.SALT_BYTES), bound)
        now_s = self._clocks.mono_s()
        ends_s = now_s + self._lease_s
        level = receipt.level.value
        try:
            carrier = self._carrier(key, now_s)
            lease = Lease(
                key, project.name, level, certificates, card, digest, peer, offer, ends_s, carrier
            )
            self._leases.add(lease)
            self._remember(receipt.utc_s, digest)
            peers.add(peer, preshared_key)  # (8)
        finally:
            preshared_key[:] = bytes(len(preshared_key))
        log.info("peer in: %s, project %s", key, project.name)
        return self._installed(lease, now_s)

    def _fresh(self, utc_s: int, digest: bytes) -> None:
        too_far = abs(utc_s - self._clocks.utc_s()) > FRESH_S
        if utc_s < self._oldest_utc_s or too_far:
            raise Refused("challenge-expired")
        if digest in self._seen:
            raise Refused("challenge-used")

    def _remember(self, utc_s: int, digest: bytes) -> None:
        """Forget only what is too old by its date from now on, wherever the clock is set to."""
        self._oldest_utc_s = max(self._oldest_utc_s, self._clocks.utc_s() - FRESH_S)
        self._seen[digest] = utc_s
        self._seen = {seen: at_s for seen, at_s in self._seen.items() if at_s >= self._oldest_utc_s}

    def _allowed(self, receipt: fields.Receipt, card: bytes) -> Project:
        project = self._book.project(receipt.project)
        project.admit(card, receipt.level.value)
        if receipt.attempt < 1:
            raise Refused("project-not-granted")
        return project

    def _installed(self, lease: Lease, now_s: float) -> Installed:
        project = self._book.project(lease.project)
        return Installed(
            peer=self._peers_of(lease.project).public_key,
            psk_salt=lease.offer.salt,
            kem_ciphertext=lease.offer.ciphertext,
            endpoint=project.endpoint,
            addresses=lease.peer.addresses,
            vm=project.vm,
            lease_s=_whole_s(lease.ends_s - now_s),
            carrier=lease.carrier,
        )

    def _carrier(self, key: str, now_s: float) -> Carrier | None:
        """The other way in, with what admits this session there once."""
        end = self._book.carrier()
        if end is None:
            return None
        return Carrier(endpoint=end.endpoint, pin=end.pin, token=self._tokens.issue(key, now_s))

    def _admit(self, request: Admit) -> Admitted:
        """A token's one connection: from now on its peer is answered there, and nowhere else."""
        now_s = self._clocks.mono_s()
        lease = self._leases.find(self._tokens.take(request.token, now_s), now_s)
        if lease is None:
            raise Refused("carrier-refused")
        self._peers_of(lease.project).carry(lease.peer, request.port)
        log.info("peer carried: %s", lease.key)
        return Admitted(port=self._book.project(lease.project).port)

    def _renew(self, request: Renewal) -> Renewed:
        """The card signs again; box, card and project are asked again too."""
        now_s = self._clocks.mono_s()
        lease = self._leases.find(request.key, now_s)
        if lease is None:
            raise Refused("lease-refused")
        renewal = jws.open_as(fields.Renew, request.statement, [lease.certificates[0]])
        named = f"{renewal.box}/{renewal.session}"
        if (named, renewal.challenge) != (lease.key, request.challenge):
            raise Refused("statement-not-yours")
        self._book.box(renewal.box)
        self._cards.check(*lease.certificates, self._clocks.utc_s())
        self._book.project(lease.project).admit(lease.card, lease.level)
        longer = self._leases.extend(
            lease, renewal.n, fields.digest(renewal), now_s + self._lease_s
        )
        return Renewed(lease_s=_whole_s(longer.ends_s - now_s))

    def _remove(self, key: str) -> None:
        """The peer first: what is forgotten here could never be removed."""
        lease = self._leases.find(key, float("-inf"))
        if lease is not None:
            self._peers_of(lease.project).remove(lease.peer.public_key)
            self._leases.drop(key)
            log.info("peer out: %s", key)

    def reconcile(self, project: str) -> None:
        """Make the interface's peers equal to the live leases. OSError if one of ours is missing.

        A peer without a lease, however it came there, is put out and reported.
        """
        ours, present = self._leases.of_project(project), self._peers_of(project).present()
        for stranger in present - ours:
            log.critical("peer without a lease on project %s: removed", project)
            self._peers_of(project).remove(stranger)
        if ours - present:
            raise OSError("the interface lost a peer")


def _whole_s(left_s: float) -> int:
    """Whole seconds of a lease, never more than are left. Raises Refused if there are none."""
    whole_s = int(left_s + 0.001)  # a sum and a difference of floats: 60 may come back as 59.999...
    if whole_s < 1:
        raise Refused("lease-refused")
    return whole_s
