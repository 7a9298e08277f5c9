"""Whole cards grown from a seed: authorities, three certificates, lists, and one thing wrong."""

import dataclasses
import functools
import random
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from sdbox_agent.pki import path
from sdbox_agent.pki.holder import CardCertificates
from sdbox_centre import authority
from sdbox_centre.authority import CARD_9A, CARD_9D_EC, CARD_9E, Authority
from tests.pki.flaws import FLAWS, OLD, SLOTS, WEIGHTS, Above, Flaw, Leaf, World, key
from tests.pki.grown import DAY, GUID, NOW


@dataclasses.dataclass(frozen=True)
class Grown:
    name: str
    flaw: Flaw
    shown: path.Shown
    rules: path.Rules
    anchors: Sequence[x509.Certificate]
    between: Sequence[x509.Certificate]


def grow(rng: random.Random) -> Grown:
    """One card with everything around it, and at most one thing wrong."""
    (name,) = rng.choices(list(FLAWS), WEIGHTS)
    flaw = FLAWS[name]
    world = World(rng, [Above() for _ in range(rng.randint(2 if flaw.between else 1, 3))], {})
    subject = authority.card_subject(GUID, "Test Holder 01")
    first = rng.randrange(40)
    for n, (slot, profile) in enumerate(zip(SLOTS, (CARD_9A, CARD_9D_EC, CARD_9E), strict=True)):
        dates = NOW - DAY, NOW + rng.randint(1, 800) * DAY
        world.leaves[slot] = Leaf(profile, key(100 + first + n), subject, *dates)
    flaw.bend(world)
    _issue_authorities(world)
    issued = {slot: _issue(world, leaf) for slot, leaf in world.leaves.items()}
    given = [one for one, said in zip(world.authorities, world.above, strict=True)
             if not said.left_out]  # fmt: skip
    # Two anchors at once change nothing, but for how a list that is missing is named
    other = _other() if rng.random() < 0.3 and world.lists != "missing" else None
    anchors = [one.certificate_der for one in given]
    crls = _lists(world, issued)
    if other is not None:
        anchors.insert(rng.randint(0, len(anchors)), other.certificate_der)
        crls.append(other.crl(7, world.moment))
    rng.shuffle(crls)
    shown = path.Shown(CardCertificates(**issued), None, GUID)
    return Grown(
        name, flaw, shown, path.Rules(anchors, crls, world.moment),
        [one.certificate for one in (world.authorities[0], other) if one is not None],
        [one.certificate for one in given if one is not world.authorities[0]],
    )  # fmt: skip


@functools.cache
def _other() -> Authority:
    """The successor, or the predecessor: of the same name, as authorities are replaced."""
    return authority.authority("Test Root", OLD, key(90), path_length=None)


def _issue_authorities(world: World) -> None:
    for n, said in enumerate(world.above):
        name, own = f"Test {n}" if n else "Test Root", key(n)
        builder = authority._builder(name, own.public_key(), said.before, said.after)
        constraints = x509.BasicConstraints(said.ca, said.path_length if said.ca else None)
        builder = builder.add_extension(constraints, critical=True)
        builder = builder.add_extension(authority._key_usage(said.usages), critical=True)
        if said.policies:
            builder = builder.add_extension(authority._policies(said.policies), critical=False)
        for extension, critical in said.extra:
            builder = builder.add_extension(extension, critical)
        above = world.authorities[-1] if n else Authority(None, own)  # type: ignore[arg-type]
        issuer = above.certificate.subject if n else authority._name(name)
        signer = key(92) if said.stranger else above.key
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(above.key.public_key())
        builder = builder.issuer_name(issuer).add_extension(identifier, critical=False)
        world.authorities.append(Authority(builder.sign(signer, hashes.SHA256()), own))


def _issue(world: World, leaf: Leaf) -> bytes:
    issuer = leaf.issuer or world.authorities[-1]
    builder = authority._builder(
        leaf.subject.common_name, leaf.key.public_key(), leaf.before, leaf.after
    )
    builder = builder.issuer_name(issuer.certificate.subject)
    builder = builder.add_extension(authority._key_usage(leaf.profile.usages), critical=True)
    if leaf.profile.extended_usages:
        purposes = [x509.ObjectIdentifier(one) for one in leaf.profile.extended_usages]
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=True)
    if leaf.profile.policies:
        builder = builder.add_extension(authority._policies(leaf.profile.policies), critical=False)
    if leaf.subject.alternatives:
        names = x509.SubjectAlternativeName(leaf.subject.alternatives)
        builder = builder.add_extension(names, critical=False)
    for extension, critical in leaf.extra:
        builder = builder.add_extension(extension, critical)
    return leaf.damage(authority.der_of(issuer._sign(builder)))


def _lists(world: World, issued: dict[str, bytes]) -> list[bytes]:
    revoked = {}
    if isinstance(world.revoke, str):
        one = x509.load_der_x509_certificate(issued[world.revoke])
        revoked = {one.serial_number: NOW - DAY}
    elif world.revoke is not None:
        revoked = {world.authorities[world.revoke].certificate.serial_number: NOW - DAY}
    when = world.moment - world.crl_age
    signed = [one.crl(world.rng.randint(1, 9), when, revoked) for one in world.authorities]
    at = world.rng.randrange(len(signed))
    match world.lists:
        case "missing":
            del signed[at]
        case "forged":
            forger = dataclasses.replace(world.authorities[at], key=key(93))
            signed[at] = forger.crl(99, when)
        case "malformed":
            signed[at] = signed[at][:-1]
    return signed
