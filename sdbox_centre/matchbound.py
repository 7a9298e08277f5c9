"""Makes a card one that a finger alone opens, and sees for itself that it is one.

The proof is a value: without it no match-bound certificate can be asked of the authority, and none
can be made of observations that prove nothing. It is taken over a connection of its own, after a
reset and without the management key, so that what it saw lasts without power and is what any box
will see.

What it can't prove. A card that lies (made to answer 6983 now and to take a PIN next week) is not
told from an honest one: that its chip does what its maker says is the maker's certification to
vouch for. Whoever holds the card's management key can store another finger on it later. And a cast
of the enrolled finger is a finger to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sdbox_agent.card import apdu, occ, pin, piv
from sdbox_agent.errors import AskAgain, Fault, Refused
from sdbox_centre import deskcard, issuercard
from sdbox_centre.deskcard import public_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdbox_agent.cardkind import Bit, CardKind, FingerKey
    from sdbox_agent.pki.certificate import PublicKey
    from sdbox_agent.pki.holder import CardCertificates
    from sdbox_centre.deskcard import DeskCard
    from sdbox_centre.issuercard import Issuer

    Probe = Callable[[Bit], bytes]  # a touch of this finger, as its BIT asks for it: 3N bytes

FACTORY_PIN: Final = b"123456\xff\xff"
FACTORY_PUK: Final = b"12345678"

# Ours: no card has more tries than a status word can count
MAX_TRIES: Final = 32


@dataclass(frozen=True, slots=True)
class Codes:
    """A PIN and a PUK, eight bytes each."""

    pin: bytes = field(repr=False)
    puk: bytes = field(repr=False)


FACTORY: Final = Codes(FACTORY_PIN, FACTORY_PUK)


@dataclass(frozen=True, slots=True)
class Proof:
    """What a card did over one connection, for the certificate of this key and this GUID.

    Raises Refused("card-pin-usable") or Refused("card-not-match-bound") if it proves nothing: no
    such value exists.
    """

    guid: bytes
    auth: PublicKey
    pin: frozenset[int]  # status words: PIN asked for, given, changed
    puk: frozenset[int]  # PUK given, changed
    closed: frozenset[int]  # 9A and 9D, before each match
    opened: tuple[FingerKey, ...]  # each finger after whose match 9A and 9D did their work

    def __post_init__(self) -> None:
        """Only what proves it."""
        if self.pin != {piv.SW_BLOCKED} or self.puk != {piv.SW_BLOCKED}:
            raise Refused("card-pin-usable")
        if self.closed != {piv.SW_SECURITY_STATUS} or not self.opened:
            raise Refused("card-not-match-bound")


def close_codes(card: DeskCard, issuer: Issuer, rng: Callable[[int], bytes]) -> None:
    """Make PUK and PIN unusable: set to what nobody knows, then spent. Wants no management key.

    Goes on where it was torn: a code that isn't the factory's any more is spent all the same. The
    PUK goes first, so that nothing can bring back the PIN. Raises Refused("card-pin-usable").
    """
    sw = issuer.change(issuercard.PUK, FACTORY.puk, random_code(rng))
    _spend(sw, lambda: issuer.reset_pin(random_code(rng), random_code(rng)))
    sw = issuer.change(pin.REFERENCE, FACTORY.pin, random_code(rng))
    _spend(sw, lambda: card.give(random_code(rng)))


def _spend(sw: int, attempt: Callable[[], int]) -> None:
    for _ in range(MAX_TRIES):
        if sw == piv.SW_BLOCKED:
            return
        sw = attempt()
    raise Refused("card-pin-usable")


def random_code(rng: Callable[[int], bytes]) -> bytes:
    """Eight digits: a PIN or a PUK that is kept nowhere."""
    return b"%08d" % (int.from_bytes(rng(8)) % 10**pin.FIELD_BYTES)


@dataclass(frozen=True, slots=True)
class Prover:
    """Takes the proof, over a connection that gave no management key."""

    card: DeskCard
    issuer: Issuer
    kind: CardKind
    rng: Callable[[int], bytes]

    def prove(
        self, guid: bytes, certificates: CardCertificates, bits: tuple[Bit, ...], probe: Probe
    ) -> Proof:
        """Codes refused, keys closed, and each finger opens them, one after the other.

        The order matters: nobody is asked for a finger on a card that is refused anyway. Raises
        Refused("card-pin-usable"), Refused("card-not-match-bound"), Refused("card-not-genuine"),
        AskAgain("no-match"), or what `probe` and the channel raise.
        """
        pin_said, puk_said = self.codes()
        self._no_other_finger(bits)
        closed = self.card.keys(certificates)
        auth, opened = public_key(certificates.auth), tuple(bit.key for bit in bits)
        Proof(guid, auth, pin_said, puk_said, closed, opened)
        for bit in bits:
            self._match(bit, probe)
            if self.card.keys(certificates) != {apdu.SW_OK}:
                raise Refused("card-not-match-bound")
            self.card.log_out(occ.KEYS[bit.key])
            closed |= self.card.keys(certificates)
        return Proof(guid, auth, pin_said, puk_said, closed, opened)

    def codes(self) -> tuple[frozenset[int], frozenset[int]]:
        """What PIN and PUK answer to everything they can be asked.

        The factory's codes are tried too: on a card that tells the truth a blocked code costs
        nothing, and one that only says it is blocked is found out by the very codes it came with.
        """
        if deskcard.is_held(self.card.ask(deskcard.GLOBAL_PIN)):
            raise Refused("card-pin-usable")  # 800-73pt1-5 section 3.3.2: it could open 9A as well
        new, issuer = random_code(self.rng), self.issuer
        pin_said = (
            self.card.ask(pin.REFERENCE),
            self.card.give(FACTORY.pin),
            issuer.change(pin.REFERENCE, FACTORY.pin, new),
        )
        puk_said = (
            issuer.reset_pin(FACTORY.puk, new),
            issuer.reset_pin(random_code(self.rng), new),
            issuer.change(issuercard.PUK, FACTORY.puk, new),
        )
        return frozenset(pin_said), frozenset(puk_said)

    def _no_other_finger(self, bits: tuple[Bit, ...]) -> None:
        """A finger that nobody ordered opens 9A as well: an earlier holder's, or whoever's it is.

        The BIT group does not name it and a box never asks for it, but whoever speaks to the card
        himself can.
        """
        ordered = {int(bit.key, 16) for bit in bits}
        for reference in occ.KEYS.values():
            if reference not in ordered and deskcard.is_held(self.card.ask(reference)):
                raise Refused("card-not-match-bound")

    def _match(self, bit: Bit, probe: Probe) -> None:
        sw = self.card.compare(bit, probe(bit), self.kind.verify)
        if sw == piv.SW_BLOCKED:
            raise Refused("card-blocked")
        if deskcard.counted(sw) is not None:
            raise AskAgain("no-match")
        if sw != apdu.SW_OK:
            raise Fault("card-not-personalised")
