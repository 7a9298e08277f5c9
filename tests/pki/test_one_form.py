"""Faults 27, 33, 37, 38 and 41: what is signed or sealed has one form, and asks nobody."""

import dataclasses
import socket

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import AuthorityInformationAccessOID

from sdbox_agent.errors import DecodeError, Fault, Refused
from sdbox_agent.pki import certificate, cms, der, path, reference, revocation
from sdbox_centre import authority, desk, sealing
from tests.fuzz import structure
from tests.pki import grown

CARD, OWN = grown.card(), grown.card_authority()
SEALED = {
    kind: sealing.seal(b"x" * 40, grown.card(kind).certificates.key_management)
    for kind in ("p256", "p384", "rsa2048")
}
SIGNED = desk.sign(b"x" * 40, CARD.certificates, grown.SUBJECT, grown.NOW, grown.signer())
ANCHORS = [grown.desk_authority().certificate_der]


def opens_sealed(kind):
    """Up to where the card's key would be used."""
    certificate_der = grown.card(kind).certificates.key_management
    return lambda data: cms.check_recipient(cms.parse(data), certificate_der)


def opens_signed(data):
    reference.verify(data, ANCHORS, CARD.certificates, grown.SUBJECT.enrolment, grown.NOW_S)


def opens_certificate(data):
    try:
        certificate.load(data).verify_directly_issued_by(OWN.certificate)
    except InvalidSignature:
        raise Refused("card-untrusted") from None


def opens_list(data):
    revocation.accept(data, [OWN.certificate_der], grown.NOW, None)


GOOD = {
    **{f"sealed {kind}": (opens_sealed(kind), one) for kind, one in SEALED.items()},
    "signed": (opens_signed, SIGNED),
    "certificate": (opens_certificate, CARD.certificates.auth),
    "list": (opens_list, OWN.crl(2, grown.NOW, {7: grown.NOW})),
}
REFUSES = (DecodeError, Refused, Fault)


def bent(data, change):
    """`data` once for each constructed element in it, that one bent by `change`."""
    for number in range(len(structure._places(structure.read(data)))):
        nodes = structure.read(data)
        siblings, at = structure._places(nodes)[number]
        if siblings[at].tag[0] & der.CONSTRUCTED:
            siblings[at] = change(siblings[at])
            yield structure.written(nodes)


def indefinite(node):
    """X.690 section 8.1.3.6: length 80, and two zeros at the end."""
    inner = structure.written(node.inner)
    return structure.Node(node.tag, inner + b"\0\0", head=node.tag + b"\x80")


def longer(node):
    """X.690 section 10.1: DER's length is the shortest; this is one byte longer."""
    inner = structure.written(node.inner)
    return structure.Node(node.tag, inner, head=node.tag + b"\x83" + len(inner).to_bytes(3))


def more(node):
    """One more element at its end."""
    return structure.Node(node.tag, structure.written(node.inner) + b"\5\0")


@pytest.mark.parametrize("change", [indefinite, longer])
@pytest.mark.parametrize("name", GOOD)
def test_fault_41_ber_anywhere_inside_is_refused(name, change) -> None:
    read, data = GOOD[name]
    read(data)
    places = 0
    for bad in bent(data, change):
        places += 1
        with pytest.raises(REFUSES):
            read(bad)
    assert places >= 8


@pytest.mark.parametrize("name", GOOD)
def test_fault_41_an_element_more_anywhere_inside_is_refused(name) -> None:
    read, data = GOOD[name]
    for bad in bent(data, more):
        with pytest.raises(REFUSES):
            read(bad)


@pytest.mark.parametrize("name", GOOD)
def test_fault_41_bytes_after_the_end_are_refused(name) -> None:
    read, data = GOOD[name]
    for after in (b"\0", b"\5\0", data):
        with pytest.raises(REFUSES):
            read(data + after)


@pytest.mark.parametrize("name", [b"\5\0", b"", der.sequence(b"\x31\x80\0\0")])
def test_fault_41_a_recipient_without_a_name_in_der_is_refused(name) -> None:
    good = cms.parse(SEALED["p256"]).recipient.issuer_der
    with pytest.raises(DecodeError):
        cms.parse(structure.swapped(SEALED["p256"], good, name))


@pytest.mark.parametrize("recipients", [2, 100, 100_000])
def test_fault_37_more_than_one_recipient_is_refused_whatever_their_number(recipients) -> None:
    sealed = cms.parse(SEALED["p256"])
    one = cms._encode_kari(sealed)
    many = b"\x31" + structure.length(recipients * len(one)) + recipients * one
    with pytest.raises(DecodeError):
        cms.parse(structure.swapped(SEALED["p256"], der.set_of(one), many))


def test_fault_38_a_record_that_nobody_signed_is_refused() -> None:
    nodes = structure.read(SIGNED)
    message = nodes[0].inner[1].inner[0]
    message.inner[-1] = structure.Node(b"\x31", b"")  # signerInfos
    with pytest.raises(DecodeError):
        reference.parse(structure.written(nodes))


def test_fault_33_a_serial_used_twice_is_two_cards() -> None:
    """Two authorities may give one serial; a card is known by the digest of its certificate."""
    other = authority.authority("Test Card Authority", grown.NOW - grown.DAY)
    serial = x509.load_der_x509_certificate(CARD.certificates.auth).serial_number
    builder = authority._builder(
        "Test Holder 01", CARD.auth.public_key(), grown.NOW - grown.DAY, grown.NOW + grown.DAY
    )
    builder._serial_number = serial  # cryptography sets it once
    twin = authority.der_of(other._sign(builder.issuer_name(OWN.certificate.subject)))
    assert certificate.issuer_and_serial(twin) == certificate.issuer_and_serial(
        CARD.certificates.auth
    )
    mixed = dataclasses.replace(CARD.certificates, auth=twin)
    assert mixed.hashes() != CARD.certificates.hashes()
    with pytest.raises(Refused, match=r"^reference-not-for-this-card$"):
        reference.verify(
            SIGNED,
            [grown.desk_authority().certificate_der],
            mixed,
            grown.SUBJECT.enrolment,
            grown.NOW_S,
        )


def test_fault_27_no_address_in_a_certificate_is_ever_asked(monkeypatch) -> None:
    """OCSP, issuers and lists by URL: the box has no business there."""
    uri = x509.UniformResourceIdentifier("http://revocation.test/")
    places = x509.AuthorityInformationAccess(
        [
            x509.AccessDescription(AuthorityInformationAccessOID.OCSP, uri),
            x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, uri),
        ]
    )
    point = x509.DistributionPoint([uri], None, None, None)
    own = CARD.certificates.auth
    loaded = x509.load_der_x509_certificate(own)
    builder = x509.CertificateBuilder(
        loaded.issuer,
        loaded.subject,
        loaded.public_key(),
        loaded.serial_number,
        loaded.not_valid_before_utc,
        loaded.not_valid_after_utc,
    )
    for extension in loaded.extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    builder = builder.add_extension(places, critical=False)
    builder = builder.add_extension(x509.CRLDistributionPoints([point]), critical=False)
    pointing = authority.der_of(builder.sign(OWN.key, hashes.SHA256()))
    asked = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *host, **_: asked.append(host))
    monkeypatch.setattr(socket.socket, "connect", lambda _, where: asked.append(where))
    changed = dataclasses.replace(CARD.certificates, auth=pointing)
    path.validate_card(
        path.Shown(changed, grown.EXPIRES, grown.GUID),
        path.Rules((OWN.certificate_der,), (OWN.crl(1, grown.NOW),), grown.NOW),
    )
    assert asked == []
