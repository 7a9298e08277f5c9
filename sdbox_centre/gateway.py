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

from sdbox_agent import errors
from sdbox_agent.centre.wire import Carrier
from sdbox_agent.errors import Fault, Refused
from sdbox_agent.statements import fields
from sdbox_agent.terms import Level
from sdbox_agent.tunnel import psk
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
from sdbox_centre.handover import KeptLease, Memory
from sdbox_centre.leasereview import Review
from sdbox_centre.leases import Lease, Leases, addresses, free_host
from sdbox_centre.peers import Peer
from sdbox_centre.standing import Standing
from sdbox_centre.tokens import Tokens

if TYPE_CHECKING:
    import ipaddress
    from collections.abc import Callable

    from sdbox_centre.cardrules import CardRules
    from sdbox_centre.peers import Peers
    from sdbox_centre.window import Planned

Way = Literal["finger", "no-finger"]  # how a card's holder was enrolled

FRESH_S: Final = 600  # between the box's clock in a receipt and ours
MAX_ENDED: Final = 1000  # sessions of which it is remembered why they were ended

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

    def keep(self, statement: bytes) -> str:
        """Believe an act of staff's from now on; its subject. Raises Refused, Fault."""

    def box(self, name: str) -> bytes:
        """The box's statement certificate (DER). Raises Refused: box-refused."""

    def project(self, name: str) -> Project:
        """The project. Raises Refused: project-not-granted."""

    def carrier(self) -> CarrierEnd | None:
        """The gateway's end of carriers, if it has one. Raises Fault: config-invalid."""

    def window(self) -> Planned | None:
        """The window that staff planned last. Raises Fault: config-invalid, crl-*."""

    def stamp(self) -> object:
        """Another one as soon as boxes or projects are others."""


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
        self._standing = Standing(cards, book, clocks.utc_s)
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
        self._ended: dict[str, str] = {}  # session -> why it was ended here
        self.review = Review(self._standing, self._leases, clocks.mono_s, self._end)

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
                self.review.look(self._book.keep(request.statement))
                self.review.go_on()  # so that those it names are out before it is answered
                return Kept()

    def expire(self) -> float | None:
        """Remove what is over; returns the seconds until the next end, None if nothing is up."""
        now_s = self._clocks.mono_s()
        self._remove_due(now_s)  # what was over before a window opens is over
        self._leases.window.look(self._standing.planned(), self._clocks.utc_s(), now_s)
        self._remove_due(now_s)
        end_s = self._leases.next_end_s()
        return None if end_s is None else max(0.0, end_s - now_s)

    def _remove_due(self, now_s: float) -> None:
        for key in self._leases.due(now_s):
            log.info("lease over: %s", key)
            self._remove(key)

    def _install(self, request: Install) -> Installed:
        """Verify a receipt and let its peer in.

        Steps: (1) signatures of card and box; (2) the very receipt of a live lease: the same answer
        again; (3) the card's path and CRL, and that it can have proved that level; (4) fresh, and
        never seen; (5) it may enter the project at that level; (6) the post-quantum key is the one
        that was signed for; (7) room for it; (8) the peer is in.
        """
        signed = self._standing.signed(request.box, request.statement, request.auth)
        receipt, box_certificate = signed  # (1)
        key = f"{receipt.box}/{receipt.session}"
        live = self._leases.find(key, self._clocks.mono_s())
        if live is not None and live.receipt == receipt:  # (2)
            return self._installed(live, self._clocks.mono_s())
        certificates = (request.auth, request.key_management, request.card_auth)
        self._standing.proved(receipt, certificates)  # (3)
        digest = fields.digest(receipt)
        self._fresh(receipt.utc_s, digest)  # (4)
        card = hashlib.sha256(request.auth).digest()
        project = self._standing.allowed(receipt, card)  # (5)
        kem_key = psk.encapsulation_key(request.kem_key, receipt.kem_key_sha256)  # (6)
        host = free_host(project.pools, self._leases.hosts_of(project.name))  # (7)
        peer = Peer(receipt.wg_public_key, addresses(project.pools, host))
        peers = self._peers_of(project.name)
        bound = psk.Bound(digest, peer.public_key, peers.public_key)
        offer, preshared_key = psk.make_offer(kem_key, self._random(psk.SALT_BYTES), bound)
        now_s = self._clocks.mono_s()
        ends_s = now_s + self._lease_s
        try:
            lease = Lease(
                receipt=receipt,
                statement=request.statement,
                certificates=certificates,
                box_certificate=box_certificate,
                card=card,
                host=host,
                peer=peer,
                offer=offer,
                ends_s=ends_s,
                carrier=self._carrier(key, now_s),
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

    def _installed(self, lease: Lease, now_s: float) -> Installed:
        project = self._book.project(lease.project)
        return Installed(
            peer=self._peers_of(lease.project).public_key,
            psk_salt=lease.offer.salt,
            kem_ciphertext=lease.offer.ciphertext,
            endpoint=project.endpoint,
            addresses=lease.peer.addresses,
            vm=project.vm,
            lease_s=_whole_s(self._leases.end_s(lease) - now_s),
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
            raise errors.error(self._ended.get(request.key, "lease-refused"))
        renewal = self._standing.renewed(lease.receipt, request.statement, lease.certificates[0])
        if renewal.challenge != request.challenge:
            raise Refused("statement-not-yours")
        self._standing.listed(lease)
        self._standing.proved(lease.receipt, lease.certificates)
        ends_s = now_s + self._lease_s
        longer = self._leases.extend(lease, renewal, request.statement, ends_s)
        return Renewed(lease_s=_whole_s(self._leases.end_s(longer) - now_s))

    def _remove(self, key: str) -> None:
        """The peer first: what is forgotten here could never be removed."""
        lease = self._leases.find(key, float("-inf"))
        if lease is not None:
            self._peers_of(lease.project).remove(lease.peer.public_key)
            self._leases.drop(lease)
            log.info("peer out: %s", key)

    def _end(self, key: str, code: str) -> None:
        """End a live session, and remember why: its next renewal is told."""
        log.warning("lease ended: %s, %s", key, code)
        self._remove(key)
        self._ended[key] = code
        if len(self._ended) > MAX_ENDED:
            del self._ended[next(iter(self._ended))]

    def reconcile(self, project: str) -> None:
        """Make the interface's peers equal to the live leases. OSError if one of ours is missing.

        A peer without a lease, however it came there, is put out and reported; so is one that has
        other addresses than its lease says, and the lease with it.
        """
        ours, present = self._leases.of_project(project), self._peers_of(project).present()
        for public_key, held in present.items():
            lease = ours.get(public_key)
            if lease is None:
                log.critical("peer without a lease on project %s: removed", project)
                self._peers_of(project).remove(public_key)
            elif held != frozenset(lease.peer.addresses):
                log.critical("peer with addresses that are not its own on project %s", project)
                self._end(lease.key, "lease-refused")
        if ours.keys() - present.keys():
            raise OSError("the interface lost a peer")

    def memory(self) -> Memory:
        """What the program that takes this one's place must know."""
        return Memory(
            leases=tuple(map(_kept, self._leases.all())),
            tokens=self._tokens.kept(),
            seen=tuple(self._seen.items()),
            oldest_utc_s=self._oldest_utc_s,
            window=self._leases.window.opened,
        )

    def resume(self, memory: Memory) -> None:
        """Go on with the leases that verify again. OSError if an interface failed.

        The peers of the others are strangers: `reconcile` puts them out.
        """
        self._seen, self._oldest_utc_s = dict(memory.seen), memory.oldest_utc_s
        self._tokens.resume(memory.tokens)
        self._leases.window.opened = memory.window
        self.expire()  # which asks our own files for the window
        present: dict[str, frozenset[bytes]] = {}
        for kept in memory.leases:
            try:
                self._leases.add(self._again(kept, present))
            except (Refused, Fault) as error:
                log.warning("lease not taken over: box %s, %s", kept.box, error.code)
        self.review.begin()

    def _again(self, kept: KeptLease, present: dict[str, frozenset[bytes]]) -> Lease:
        """One of them, if it is not over and its peer is still in."""
        now_s = self._clocks.mono_s()
        lease = self._standing.again(kept, min(kept.ends_s, now_s + self._lease_s))
        if self._leases.end_s(lease) <= now_s:
            raise Fault("lease-expired")
        if lease.project not in present:
            present[lease.project] = frozenset(self._peers_of(lease.project).present())
        if lease.peer.public_key not in present[lease.project]:
            raise Refused("lease-refused")
        return lease


def _whole_s(left_s: float) -> int:
    """Whole seconds of a lease, never more than are left. Raises Refused if there are none."""
    whole_s = int(left_s + 0.001)  # a sum and a difference of floats: 60 may come back as 59.999...
    if whole_s < 1:
        raise Refused("lease-refused")
    return whole_s


def _kept(lease: Lease) -> KeptLease:
    return KeptLease(
        box=lease.receipt.box,
        statement=lease.statement,
        certificates=lease.certificates,
        host=lease.host,
        salt=lease.offer.salt,
        ciphertext=lease.offer.ciphertext,
        ends_s=lease.ends_s,
        carrier=lease.carrier,
        renewal=lease.renewal_statement or None,
    )
