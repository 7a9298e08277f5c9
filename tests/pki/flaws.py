"""What can be wrong with a card and with everything above it, one thing at a time.

Each flaw says what our decision must be, and why no second opinion can be asked about it.
"""

import dataclasses
import datetime as dt
import functools
import random
from collections.abc import Callable
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from sdbox_agent.pki import oids, path
from sdbox_centre import authority
from sdbox_centre.authority import CARD_9A, CARD_9D_RSA, Authority, Profile
from tests.pki.grown import DAY, GUID, NOW

SLOTS = ("auth", "key_management", "card_auth")
OLD = NOW - 30 * DAY


@functools.cache
def key(n: int) -> ec.EllipticCurvePrivateKey:
    return authority.new_key()


@functools.cache
def odd_key(kind: str) -> Any:
    """Keys that cost time, made once."""
    curves = {"P-224": ec.SECP224R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}
    if kind in curves:
        return ec.generate_private_key(curves[kind]())
    return rsa.generate_private_key(65537, int(kind))


@dataclasses.dataclass
class Leaf:
    """One certificate of the card before it is issued."""

    profile: Profile
    key: Any
    subject: authority.Subject
    before: dt.datetime
    after: dt.datetime
    extra: tuple[tuple[x509.ExtensionType, bool], ...] = ()
    issuer: Authority | None = None
    damage: Callable[[bytes], bytes] = lambda der: der


@dataclasses.dataclass
class Above:
    """One authority before it is issued."""

    path_length: int | None = None
    policies: tuple[str, ...] = (oids.ANY_POLICY,)
    usages: frozenset[str] = frozenset({"key_cert_sign", "crl_sign"})
    ca: bool = True
    before: dt.datetime = OLD
    after: dt.datetime = NOW + 900 * DAY
    extra: tuple[tuple[x509.ExtensionType, bool], ...] = ()
    stranger: bool = False  # signed by nobody above it
    left_out: bool = False


@dataclasses.dataclass
class World:
    """What a flaw may bend before it is issued; and after."""

    rng: random.Random
    above: list[Above]
    leaves: dict[str, Leaf]
    moment: dt.datetime = NOW
    crl_age: dt.timedelta = dt.timedelta(0)
    revoke: str | int | None = None  # a slot, or the index of an authority
    lists: str = ""
    authorities: list[Authority] = dataclasses.field(default_factory=list)

    @property
    def leaf(self) -> Leaf:
        return self.leaves[self.rng.choice(SLOTS)]

    @property
    def between(self) -> Above:
        """Some authority that is no anchor."""
        return self.rng.choice(self.above[1:])


@dataclasses.dataclass(frozen=True)
class Flaw:
    bend: Callable[[World], None]
    code: str  # ours
    no_opinion: str = ""  # why cryptography accepts all the same
    between: bool = False  # needs an authority between


# -- the flaws -------------------------------------------------------------------------------------


def _leaf(**changes: Any) -> Callable[[World], None]:
    def bend(world: World) -> None:
        leaf = world.leaf
        for name, value in changes.items():
            setattr(leaf, name, value)

    return bend


def _profile(**changes: Any) -> Callable[[World], None]:
    def bend(world: World) -> None:
        leaf = world.leaf
        leaf.profile = dataclasses.replace(leaf.profile, **changes)

    return bend


def _between(**changes: Any) -> Callable[[World], None]:
    def bend(world: World) -> None:
        one = world.between
        for name, value in changes.items():
            setattr(one, name, value)

    return bend


def _root(**changes: Any) -> Callable[[World], None]:
    def bend(world: World) -> None:
        for name, value in changes.items():
            setattr(world.above[0], name, value)

    return bend


def _world(**changes: Any) -> Callable[[World], None]:
    def bend(world: World) -> None:
        for name, value in changes.items():
            setattr(world, name, value)

    return bend


def _one_key_twice(world: World) -> None:
    one, other = world.rng.sample(SLOTS, 2)
    world.leaves[one].key = world.leaves[other].key


def _too_long(world: World) -> None:
    leaf = world.leaf
    leaf.after = leaf.before + path.MAX_LIFE + dt.timedelta(seconds=world.rng.choice([1, 9**6]))


def _rsa_2048_after_2030(world: World) -> None:
    world.moment = dt.datetime(2027, 6, 1, tzinfo=dt.UTC)
    for one in world.above:
        one.after = world.moment + 9 * 365 * DAY
    for leaf in world.leaves.values():
        leaf.before, leaf.after = world.moment - DAY, world.moment + 900 * DAY
    slot = world.rng.choice(SLOTS)
    leaf = world.leaves[slot]
    leaf.key, leaf.after = odd_key("2048"), dt.datetime(2031, 1, 1, tzinfo=dt.UTC)
    if slot == "key_management":
        leaf.profile = CARD_9D_RSA


def _at_its_ends(world: World) -> None:
    for leaf in world.leaves.values():
        setattr(leaf, world.rng.choice(["before", "after"]), NOW)


def _rsa_3072(world: World) -> None:
    leaf = world.leaves["key_management"]
    leaf.key, leaf.profile = odd_key("3072"), CARD_9D_RSA


def _path_length(world: World) -> None:
    world.above[0].path_length = len(world.above) - 2


def _revoked_card(world: World) -> None:
    world.revoke = world.rng.choice(SLOTS)


def _revoked_authority(world: World) -> None:
    world.revoke = world.rng.randrange(1, len(world.above))


def _altered(der: bytes) -> bytes:
    at = der.index(b"Test Holder")
    return der[:at] + b"Best" + der[at + 4 :]


def _resigned(der: bytes) -> bytes:
    return der[:-1] + bytes((der[-1] ^ 1,))


def stranger(world: World) -> Authority:
    return authority.authority(f"Test {len(world.above) - 1}" if len(world.above) > 1
                               else "Test Root", OLD, key(91), path_length=None)  # fmt: skip


UNKNOWN = ((x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0"), True),)
NOBODY = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Nobody")])
NARROW = ((x509.NameConstraints([x509.DirectoryName(NOBODY)], None), True),)
AUTHORITY = ((x509.BasicConstraints(ca=True, path_length=None), True),)
LISTS = "it asks no revocation list"
POLICIES = "it follows no policy along a path (RFC 5280 section 6.1.3 d)"
CARD = "ours: three certificates make one card"
KEYS = "ours: fewer kinds of key"
FIELD = "ours: an authority for tests says so"
WINDOW = "ours: four years"

FLAWS: dict[str, Flaw] = {
    "expired": Flaw(_leaf(after=NOW - dt.timedelta(seconds=1)), "card-expired"),
    "not yet valid": Flaw(_leaf(before=NOW + dt.timedelta(seconds=1)), "card-not-yet-valid"),
    "altered": Flaw(_leaf(damage=_altered), "card-untrusted"),
    "signature altered": Flaw(_leaf(damage=_resigned), "card-untrusted"),
    "stranger": Flaw(
        lambda world: setattr(world.leaf, "issuer", stranger(world)), "card-untrusted"
    ),
    "usage": Flaw(_profile(usages=frozenset({"content_commitment"})), "card-untrusted"),
    "usage more": Flaw(
        _profile(usages=frozenset({"digital_signature", "key_agreement", "key_encipherment"})),
        "card-untrusted",
    ),
    "usage signs": Flaw(
        _profile(usages=frozenset({"digital_signature", "key_cert_sign"})), "card-untrusted"
    ),
    "purpose": Flaw(_profile(extended_usages=(oids.SERVER_AUTH,)), "card-untrusted"),
    "purpose any": Flaw(_profile(extended_usages=(oids.ANY_EXTENDED_USAGE,)), "card-untrusted"),
    "purpose missing": Flaw(_profile(extended_usages=()), "card-untrusted"),
    "policy": Flaw(_profile(policies=(oids.POLICY_DESK,)), "card-untrusted"),
    "policy any": Flaw(_profile(policies=(oids.ANY_POLICY,)), "card-untrusted"),
    "policy missing": Flaw(_profile(policies=()), "card-untrusted"),
    "critical": Flaw(_leaf(extra=UNKNOWN), "card-untrusted"),
    "says authority": Flaw(_leaf(extra=AUTHORITY), "card-untrusted"),
    "no guid": Flaw(_leaf(subject=authority.Subject("Test Holder 01")), "card-untrusted"),
    "guid of another": Flaw(
        _leaf(subject=authority.card_subject(bytes(16), "Test Holder 01")), "card-untrusted", CARD
    ),
    "one key twice": Flaw(_one_key_twice, "card-untrusted", CARD),
    "too long": Flaw(_too_long, "card-untrusted", WINDOW),
    "rsa-2048 after 2030": Flaw(_rsa_2048_after_2030, "card-untrusted", KEYS),
    "P-224": Flaw(
        lambda world: setattr(world.leaf, "key", odd_key("P-224")), "card-data-invalid", KEYS
    ),
    "P-521": Flaw(
        lambda world: setattr(world.leaf, "key", odd_key("P-521")), "card-data-invalid", KEYS
    ),
    "name unshowable": Flaw(
        lambda world: setattr(
            world.leaves["auth"], "subject", authority.card_subject(GUID, "Test\u202eHolder")
        ),
        "card-data-invalid",
        "ours: what a screen may show",
    ),
    # authorities
    "anchor expired": Flaw(_root(after=NOW - DAY), "card-untrusted"),
    "anchor not yet": Flaw(_root(before=NOW + DAY), "card-untrusted"),
    "anchor of tests": Flaw(
        _root(policies=(oids.ANY_POLICY, oids.POLICY_TEST)), "card-test-issuer", FIELD
    ),
    "anchor's policy": Flaw(_root(policies=(oids.POLICY_DESK,)), "card-untrusted", POLICIES),
    "between expired": Flaw(_between(after=NOW - DAY), "card-untrusted", between=True),
    "between not yet": Flaw(_between(before=NOW + DAY), "card-untrusted", between=True),
    "between of tests": Flaw(
        _between(policies=(oids.POLICY_TEST, oids.ANY_POLICY)),
        "card-test-issuer", FIELD, between=True,
    ),
    "between a stranger": Flaw(_between(stranger=True), "card-untrusted", between=True),
    "between left out": Flaw(_between(left_out=True), "card-untrusted", between=True),
    "between critical": Flaw(_between(extra=UNKNOWN), "card-untrusted", between=True),
    "between no authority": Flaw(_between(ca=False), "config-invalid", between=True),
    "between may not sign": Flaw(
        _between(usages=frozenset({"crl_sign"})), "config-invalid", between=True
    ),
    "between signs no list": Flaw(
        _between(usages=frozenset({"key_cert_sign"})), "crl-invalid", LISTS, between=True
    ),
    "between's policy": Flaw(
        _between(policies=(oids.POLICY_DESK,)), "card-untrusted", POLICIES, between=True
    ),
    "between without policy": Flaw(
        _between(policies=()), "card-untrusted", POLICIES, between=True
    ),
    "path length": Flaw(_path_length, "card-untrusted", between=True),
    "names": Flaw(_between(extra=NARROW), "card-untrusted", between=True),
    # lists
    "revoked": Flaw(_revoked_card, "card-revoked", LISTS),
    "authority revoked": Flaw(_revoked_authority, "card-revoked", LISTS, between=True),
    "list over": Flaw(_world(crl_age=8 * DAY), "crl-stale", LISTS),
    "list of the future": Flaw(_world(crl_age=-DAY), "crl-invalid", LISTS),
    "list missing": Flaw(_world(lists="missing"), "crl-stale", LISTS),
    "list forged": Flaw(_world(lists="forged"), "crl-invalid", LISTS),
    "list malformed": Flaw(_world(lists="malformed"), "crl-invalid", LISTS),
    # what is good, in its own ways
    "good": Flaw(lambda _: None, "trusted"),
    "good at its ends": Flaw(_at_its_ends, "trusted"),
    "good P-384": Flaw(
        lambda world: setattr(world.leaf, "key", odd_key("P-384")), "trusted"
    ),
    "good RSA": Flaw(_rsa_3072, "trusted"),
    "good two policies": Flaw(
        lambda world: setattr(
            world.leaves["auth"],
            "profile",
            dataclasses.replace(CARD_9A, policies=(oids.POLICY_AUTH, oids.POLICY_MATCH_BOUND)),
        ),
        "trusted",
    ),
}  # fmt: skip
WEIGHTS = [8 if name.startswith("good") else 3 for name in FLAWS]
