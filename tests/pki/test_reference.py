"""Whose finger, which card: what the desk signs holds, or nothing is opened."""

import dataclasses
import os

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.errors import DecodeError, Fault, Refused
from sdbox_agent.pki import der, oids, reference
from sdbox_agent.pki.holder import CardHashes
from sdbox_centre import authority, desk
from tests.pki import grown
from tests.pki.grown import DAY, NOW, NOW_S, RECORD, SUBJECT

YEAR_S = 365 * 86400

# Every byte, always; with every mask where there is time (CI=1).
MASKS = (0x01, 0x80, 0xFF) if os.environ.get("CI") else (0x01,)


def signed(card="p256", signer=None, subject=SUBJECT, now=NOW, record=RECORD):
    return desk.sign(record, grown.card(card).certificates, subject, now, signer or grown.signer())


def verify(signed_der, card="p256", anchors=None, enrolment=SUBJECT.enrolment, **options):
    return reference.verify(
        signed_der,
        [grown.desk_authority().certificate_der] if anchors is None else anchors,
        grown.card(card).certificates,
        enrolment,
        options.pop("utc_s", NOW_S),
        **options,
    )


def refuses(code, *arguments, **options):
    with pytest.raises(Refused, match=f"^{code}$") as caught:
        verify(*arguments, **options)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def forge(signer=None, signing_time_s=NOW_S, **changes):
    """A reference of any content, signed all the same: what a desk gone mad would make."""
    signer = signer or grown.signer()
    good = reference.parse(signed(signer=grown.signer()))
    binding = dataclasses.replace(good.binding, **changes)
    attributes = reference.signed_attributes(RECORD, signing_time_s, binding)
    signature = signer.key.sign(attributes, ec.ECDSA(hashes.SHA256()))
    return reference.encode(
        reference.SignedReference(
            RECORD, signer.certificate_der, signing_time_s, binding, signature
        )
    )


def test_what_the_desk_signs_is_opened() -> None:
    opened = verify(signed())
    assert opened.record == RECORD
    assert (opened.holder, opened.enrolment) == (SUBJECT.holder, SUBJECT.enrolment)
    assert opened.finger_positions == SUBJECT.finger_positions
    assert opened.not_before_s == NOW_S
    assert opened.not_after_s - opened.not_before_s <= reference.MAX_VALIDITY_S


def test_the_right_anchor_among_several_is_found() -> None:
    # two authorities of one name: the old one, and the one that takes over
    namesake = authority.authority("Test Desk Authority", NOW - DAY)
    own = grown.desk_authority()
    for anchors in ((namesake, own), (own, namesake), (grown.card_authority(), own)):
        verify(signed(), anchors=[one.certificate_der for one in anchors])


def test_a_reference_of_another_card_is_refused() -> None:  # fault 38
    refuses("reference-not-for-this-card", signed(card="p384"))


@pytest.mark.parametrize("name", ["auth", "key_management", "card_auth"])
def test_each_of_the_cards_three_certificates_counts(name) -> None:
    own, other = grown.card().certificates, grown.card("p384").certificates
    mixed = dataclasses.replace(own, **{name: getattr(other, name)})
    with pytest.raises(Refused, match="reference-not-for-this-card"):
        reference.verify(
            signed(), [grown.desk_authority().certificate_der], mixed, SUBJECT.enrolment, NOW_S
        )


def test_an_older_enrolment_of_the_same_card_is_refused() -> None:  # fault 39
    refuses("reference-not-for-this-card", signed(), enrolment="test-enrolment-02")


def test_it_holds_from_its_first_second_to_its_last() -> None:  # fault 38
    opened = verify(signed())
    verify(signed(), utc_s=opened.not_after_s - 1)
    refuses("reference-expired", signed(), utc_s=opened.not_after_s)
    later = forge(not_before_s=NOW_S + 60)
    refuses("reference-expired", later, utc_s=NOW_S + 59)
    verify(later, utc_s=NOW_S + 60)


def test_nobody_but_a_desk_signs() -> None:  # fault 38
    namesake = authority.authority("Test Desk Authority", NOW - DAY)
    stranger = grown.make_signer(namesake)
    own_key = desk.Signer(grown.signer().certificate_der, authority.new_key())
    for signer in (stranger, own_key):
        refuses("reference-unsigned", forge(signer))
    refuses("reference-unsigned", signed(), anchors=[])
    refuses("reference-unsigned", signed(), anchors=[namesake.certificate_der])


@pytest.mark.parametrize(
    "change",
    [
        {"extended_usages": (oids.CLIENT_AUTH,)},
        {"extended_usages": ()},
        {"extended_usages": (oids.USAGE_DESK, oids.CLIENT_AUTH)},
        {"extended_usages": (oids.ANY_EXTENDED_USAGE,)},
        {"policies": ()},
        {"policies": (oids.POLICY_AUTH,)},
        {"usages": frozenset({"key_agreement"})},
        {"usages": frozenset({"digital_signature", "key_cert_sign"})},
    ],
)  # fault 29
def test_a_certificate_for_something_else_signs_no_reference(change) -> None:
    profile = dataclasses.replace(authority.DESK, **change)
    refuses("reference-unsigned", forge(grown.make_signer(grown.desk_authority(), profile)))


def test_a_holders_certificate_signs_no_reference() -> None:
    card = grown.card()
    signer = desk.Signer(card.certificates.auth, card.auth)
    both = [grown.desk_authority().certificate_der, grown.card_authority().certificate_der]
    refuses("reference-unsigned", forge(signer), anchors=both)


def test_the_anchor_itself_signs_no_reference() -> None:
    own = grown.desk_authority()
    refuses("reference-unsigned", forge(desk.Signer(own.certificate_der, own.key)))


def test_an_authority_in_between_is_refused() -> None:
    between = grown.desk_authority().subordinate("Test Desk Between", NOW)
    refuses("reference-unsigned", forge(grown.make_signer(between)))


def test_a_signer_certificate_used_as_an_anchor_is_none() -> None:
    refuses("reference-unsigned", signed(), anchors=[grown.signer().certificate_der])


def test_the_signers_certificate_must_hold_when_it_signs_and_now() -> None:
    make, own = grown.make_signer, grown.desk_authority()
    later = make(own, not_before=NOW + DAY, not_after=NOW + 9 * DAY)
    refuses("reference-unsigned", forge(later), utc_s=NOW_S)
    refuses("reference-unsigned", forge(later), utc_s=NOW_S + 2 * 86400)  # it signed before
    ended = make(own, not_after=NOW + DAY)
    verify(forge(ended))
    refuses("reference-unsigned", forge(ended), utc_s=NOW_S + 2 * 86400)


def test_an_anchor_that_is_over_vouches_for_nobody() -> None:
    short = authority.authority("Test Short", NOW - 9 * DAY, life=10 * DAY)
    signer = grown.make_signer(short)
    verify(forge(signer), anchors=[short.certificate_der])
    refuses(
        "reference-unsigned",
        forge(signer),
        anchors=[short.certificate_der],
        utc_s=NOW_S + 2 * 86400,
    )


def test_a_key_of_another_curve_signs_no_reference() -> None:
    signer = grown.make_signer(grown.desk_authority(), key=ec.generate_private_key(ec.SECP384R1()))
    refuses("reference-unsigned", forge(signer))
    rsa = grown.make_signer(grown.desk_authority(), key=grown.rsa_key())
    refuses("reference-unsigned", forge(dataclasses.replace(rsa, key=authority.new_key())))


def test_an_anchor_that_is_no_authority_vouches_for_nobody() -> None:
    own = grown.make_signer(grown.desk_authority())
    odd = authority.Authority(x509.load_der_x509_certificate(own.certificate_der), own.key)
    refuses("reference-unsigned", forge(grown.make_signer(odd)), anchors=[odd.certificate_der])


def test_a_critical_extension_nobody_knows_refuses_the_signer() -> None:
    own, key = grown.desk_authority(), authority.new_key()
    builder = authority._builder("Test Desk 02", key.public_key(), NOW - DAY, NOW + DAY)
    builder = builder.issuer_name(own.certificate.subject)
    for extension in (
        authority._key_usage(frozenset({"digital_signature"})),
        x509.ExtendedKeyUsage([x509.ObjectIdentifier(oids.USAGE_DESK)]),
        authority._policies([oids.POLICY_DESK]),
    ):
        builder = builder.add_extension(extension, critical=True)
    good = desk.Signer(authority.der_of(own._sign(builder)), key)
    verify(forge(good))
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\5\0")
    bad = own._sign(builder.add_extension(odd, critical=True))
    refuses("reference-unsigned", forge(desk.Signer(authority.der_of(bad), key)))


def test_a_revoked_desk_is_refused() -> None:  # fault 38
    own = grown.desk_authority()
    serial = x509.load_der_x509_certificate(grown.signer().certificate_der).serial_number
    verify(signed(), crls_der=[own.crl(1, NOW)])
    refuses("reference-unsigned", signed(), crls_der=[own.crl(2, NOW, {serial: NOW})])
    for code, crls_der in (
        ("crl-stale", []),
        ("crl-stale", [own.crl(1, NOW - 9 * DAY)]),
        ("crl-invalid", [authority.authority("Test Desk Authority", NOW).crl(1, NOW)]),
        ("crl-invalid", [b"\x30\x00"]),
    ):
        with pytest.raises(Fault, match=code):
            verify(signed(), crls_der=crls_der)


def test_every_byte_changed_is_refused() -> None:  # without the seal around it
    signed_der = signed(record=b"FMR\0 20\0" + bytes(40))
    survivors = []
    for at in range(len(signed_der)):
        for mask in MASKS:
            altered = bytearray(signed_der)
            altered[at] ^= mask
            try:
                verify(bytes(altered))
            except Refused:
                continue
            survivors.append((at, mask))
    assert survivors == []


@pytest.mark.parametrize(
    "change",
    [
        {"holder": ""},
        {"holder": "a b"},
        {"holder": "a\n"},
        {"holder": "a" * 101},
        {"enrolment": "é"},
        {"finger_positions": ()},
        {"finger_positions": (0,)},
        {"finger_positions": (11,)},
        {"finger_positions": (2, 2)},
        {"not_after_s": NOW_S},
        {"not_after_s": NOW_S + reference.MAX_VALIDITY_S + 1},
    ],
    ids=str,
)
def test_a_binding_outside_the_format_is_malformed(change) -> None:
    refuses("reference-malformed", forge(**change))


def test_four_years_are_the_longest() -> None:
    verify(forge(not_after_s=NOW_S + reference.MAX_VALIDITY_S))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (der.utf8(reference.FORMAT), der.utf8("ansi-378-2004")),
        (der.oid(oids.SIGNED_DATA), der.oid(oids.DATA)),
        (der.oid(oids.MESSAGE_DIGEST), der.oid("1.2.840.113549.1.9.16.2.47")),
        (der.oid(oids.SIGNING_TIME), der.oid(oids.BINDING)),
    ],
)
def test_other_fields_and_formats_are_malformed(old, new) -> None:
    good = signed()
    if len(old) == len(new):
        refuses("reference-malformed", good.replace(old, new))
    at = good.index(old)
    refuses("reference-malformed", good[:at] + new + good[at + len(old) :])


def test_size_is_bounded_before_parsing() -> None:  # fault 37
    refuses("reference-malformed", bytes(64 * 2**20))
    with pytest.raises(ValueError):
        signed(record=bytes(reference.MAX_SIGNED_BYTES))


NAMES = st.from_regex(r"[A-Za-z0-9._:-]{1,100}", fullmatch=True)
DIGESTS = st.binary(min_size=32, max_size=32)


@given(
    NAMES,
    NAMES,
    st.builds(CardHashes, DIGESTS, DIGESTS, DIGESTS),
    st.lists(st.integers(1, 10), min_size=1, max_size=10, unique=True),
    st.integers(0, 2**33),
    st.integers(1, reference.MAX_VALIDITY_S),
    st.binary(max_size=300),
)
def test_what_is_encoded_is_read_back(
    holder, enrolment, card, positions, begin_s, life_s, record
) -> None:
    binding = reference.Binding(
        holder, enrolment, card, tuple(positions), begin_s, begin_s + life_s
    )
    made = reference.SignedReference(
        record, grown.signer().certificate_der, begin_s, binding, b"0" * 70
    )
    assert reference.parse(reference.encode(made)) == made


@given(st.data())
def test_parse_accepts_or_raises_decode_error(data) -> None:
    good = GOOD
    at = data.draw(st.integers(0, len(good)))
    cut = data.draw(st.integers(at, min(len(good), at + 5)))
    bad = good[:at] + data.draw(st.binary(max_size=5)) + good[cut:]
    try:
        read = reference.parse(bad)
    except DecodeError:
        return
    assert reference.encode(read) == bad


def test_no_finger_is_in_the_repr() -> None:
    for value in (reference.parse(signed()), verify(signed())):
        assert "FMR" not in repr(value)


GOOD = signed()
