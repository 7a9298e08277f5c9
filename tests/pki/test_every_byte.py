"""Fault 35: every byte of what is sealed or signed, changed: refused, or of equal meaning.

Sealed reference: every bit of every byte, through the card's key; all refused. SignedData,
certificates, lists and statements: refused, for their signature is over all of it but the signature
itself, and that is in DER or of a fixed size. One thing of equal meaning there is in each of them:
ECDSA holds for (r, s) and for (r, n - s). So a signed thing is never known by a digest of the whole
unless that digest is itself signed or sealed (a card's certificates: by the desk; a reference: the
digest is of the sealed bytes, as served).
"""

import dataclasses
import datetime as dt
import os

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from sdbox_agent.card.spki import Curve
from sdbox_agent.errors import DecodeError, Fault, Refused
from sdbox_agent.pki import cms, path, reference, revocation
from sdbox_agent.statements import fields, jws
from sdbox_centre import desk, sealing
from tests.fuzz import fuzz_statements, structure
from tests.pki import grown

pytestmark = pytest.mark.slow

CARD, OWN = grown.card(), grown.card_authority()
SIGNED = desk.sign(b"x" * 40, CARD.certificates, grown.SUBJECT, grown.NOW, grown.signer())
CRL = OWN.crl(2, grown.NOW, {7: grown.NOW})
# Every byte always; each of its bits where that is quick or there is time (CI=1).
BITS = tuple(1 << bit for bit in range(8))
MASKS = BITS if os.environ.get("CI") else (0x01, 0x80)


# A certificate costs a whole decision a byte: one byte in four, others each day, or all (CI=1).
CERTIFICATE_STEP = 1 if os.environ.get("CI") else 4
CERTIFICATE_SHARE = dt.datetime.now(dt.UTC).toordinal() % CERTIFICATE_STEP


def survivors(good, opens, masks, places=None):
    """Where a change goes unnoticed: (place, mask)."""
    found = []
    for at in places or range(len(good)):
        for mask in masks:
            altered = bytearray(good)
            altered[at] ^= mask
            try:
                opens(bytes(altered))
            except (DecodeError, Refused, Fault):
                continue
            found.append((at, mask))
    return found


@pytest.mark.parametrize("kind", ["p256", "p384", "rsa2048"])
def test_fault_35_a_sealed_reference_with_any_byte_changed_is_refused(kind) -> None:
    certificate_der = grown.card(kind).certificates.key_management
    good = sealing.seal(b"FMR\0 20\0" + bytes(range(16)), certificate_der)

    def opens(data):
        sealed = cms.parse(data)
        cms.check_recipient(sealed, certificate_der)
        try:
            key = grown.card(kind).open(sealed)
        except ValueError:  # the card's no
            key = None
        cms.decrypt(sealed, key, certificate_der)

    opens(good)
    assert survivors(good, opens, MASKS if kind == "rsa2048" else BITS) == []  # RSA is slow


def opens_signed(data):
    anchors = [grown.desk_authority().certificate_der]
    return reference.verify(data, anchors, CARD.certificates, grown.SUBJECT.enrolment, grown.NOW_S)


def test_fault_35_a_signed_reference_with_any_byte_changed_is_refused() -> None:
    opens_signed(SIGNED)
    assert survivors(SIGNED, opens_signed, MASKS) == []


@pytest.mark.parametrize("name", ["auth", "key_management", "card_auth"])
def test_fault_35_a_certificate_with_any_byte_changed_is_refused(name) -> None:
    def opens(data):
        changed = dataclasses.replace(CARD.certificates, **{name: data})
        crls = (OWN.crl(1, grown.NOW),)
        path.validate_card(
            path.Shown(changed, grown.EXPIRES, grown.GUID),
            path.Rules((OWN.certificate_der,), crls, grown.NOW),
        )

    opens(getattr(CARD.certificates, name))
    places = range(CERTIFICATE_SHARE, len(getattr(CARD.certificates, name)), CERTIFICATE_STEP)
    assert survivors(getattr(CARD.certificates, name), opens, MASKS[:1], places) == []


def test_fault_35_a_list_with_any_byte_changed_is_refused() -> None:
    def opens(data):
        revocation.accept(data, [OWN.certificate_der], grown.NOW, None)

    opens(CRL)
    assert survivors(CRL, opens, BITS) == []


@pytest.mark.parametrize(
    "signers", fuzz_statements.SIGNERS[:-1], ids=["ES256", "ES384", "PS256", "2"]
)
def test_fault_35_a_statement_with_any_byte_changed_is_refused(signers) -> None:
    good = fuzz_statements._signed(fuzz_statements.STATEMENTS[0], *signers)
    assert jws.open_as(fields.Proof, good, signers)
    assert survivors(good, lambda data: jws.open_statement("proof", data, signers), MASKS) == []


def test_the_other_root_of_a_signature_has_equal_meaning() -> None:
    signed = reference.parse(SIGNED)
    r, s = decode_dss_signature(signed.signature)
    twin = dataclasses.replace(signed, signature=encode_dss_signature(r, Curve.P256.order - s))
    assert reference.encode(twin) != SIGNED
    assert opens_signed(reference.encode(twin)) == opens_signed(SIGNED)


def test_a_certificate_with_the_other_root_is_no_certificate_the_desk_has_named() -> None:
    """It verifies, for X.509 has no other choice; the reference names the digest of the first."""
    good = CARD.certificates.auth
    nodes = structure.read(good)
    last = nodes[0].inner[-1]
    signature = structure.written(last.inner) if last.inner is not None else last.value[1:]
    r, s = decode_dss_signature(signature)
    twin = encode_dss_signature(r, Curve.P256.order - s)
    nodes[0].inner[-1] = structure.Node(b"\3", b"\0" + twin)
    changed = dataclasses.replace(CARD.certificates, auth=structure.written(nodes))
    path.validate_card(
        path.Shown(changed, grown.EXPIRES, grown.GUID),
        path.Rules((OWN.certificate_der,), (OWN.crl(1, grown.NOW),), grown.NOW),
    )
    with pytest.raises(Refused, match=r"^reference-not-for-this-card$"):
        reference.verify(
            SIGNED,
            [grown.desk_authority().certificate_der],
            changed,
            grown.SUBJECT.enrolment,
            grown.NOW_S,
        )
