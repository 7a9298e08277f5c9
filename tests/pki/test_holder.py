"""Whose card: digests, the GUID, and a name that can be shown."""

import hashlib

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.errors import DecodeError
from sdbox_agent.pki import holder
from sdbox_centre import authority
from tests.pki import grown

URN = "urn:uuid:0f8fad5b-d9cb-469f-a165-70867728950e"


def issue(name="Test Holder 01", *uris):
    subject = authority.Subject(name, tuple(x509.UniformResourceIdentifier(u) for u in uris))
    key = authority.new_key().public_key()
    return grown.card_authority().issue(authority.CARD_9A, subject, key, grown.NOW)


def test_hashes_are_of_the_certificates_bytes() -> None:
    card = grown.card().certificates
    assert card.hashes().auth == hashlib.sha256(card.auth).digest()
    assert card.hashes().key_management == hashlib.sha256(card.key_management).digest()
    assert card.hashes().card_auth == hashlib.sha256(card.card_auth).digest()


def test_the_guid_is_read_from_the_alternative_names() -> None:
    for one in (grown.card().certificates.auth, grown.card().certificates.card_auth):
        assert holder.guid(x509.load_der_x509_certificate(one)) == grown.GUID


def test_another_uri_beside_the_guid_does_no_harm() -> None:
    assert holder.guid(issue("x", "https://example.org/", URN)) == bytes.fromhex(
        "0f8fad5bd9cb469fa16570867728950e"
    )


@pytest.mark.parametrize(
    "uris",
    [
        (),
        ("https://example.org/",),
        (URN, URN.replace("0f", "1f")),
        (URN, URN),
        (URN.upper().replace("URN:UUID:", "urn:uuid:"),),
        ("URN:UUID:" + URN[9:],),
        ("urn:uuid:{" + URN[9:] + "}",),
        ("urn:uuid:0f8fad5bd9cb469fa16570867728950e",),
        ("urn:uuid:zz",),
        (URN + "\0",),
    ],
)  # fault 32
def test_no_guid_two_or_another_spelling_is_refused(uris) -> None:
    with pytest.raises(DecodeError):
        holder.guid(issue("x", *uris))


@pytest.mark.parametrize("name", ["Test Holder 01", "Zoë d'Été-Müller", "測試 持卡人", "a" * 64])
def test_a_printable_name_is_shown_as_it_is(name) -> None:
    assert holder.display_name(issue(name)) == name


@pytest.mark.parametrize(
    "name",
    ["a\nb", "a\x1b[31mb", "a\0b", "a\x9bb", "a\u202eb", "a\u2028b", "a\u200bb", " ", "\ue000"],
)  # fault 94
def test_a_name_with_control_characters_is_refused(name) -> None:
    with pytest.raises(DecodeError):
        holder.display_name(issue(name))


@pytest.mark.filterwarnings("ignore")  # cryptography only warns
@pytest.mark.parametrize("names", [[], ["a" * 65], ["a", "b"]], ids=["none", "long", "two"])
def test_a_name_that_is_missing_too_long_or_there_twice_is_refused(names) -> None:
    attributes = [
        x509.NameAttribute(x509.NameOID.COMMON_NAME, name, _validate=False) for name in names
    ]
    key = authority.new_key().public_key()
    builder = authority._builder("x", key, grown.NOW, grown.NOW + grown.DAY)
    builder._subject_name = x509.Name(attributes)
    builder = builder.issuer_name(grown.card_authority().certificate.subject)
    with pytest.raises(DecodeError):
        holder.display_name(grown.card_authority()._sign(builder))


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=16))
def test_any_name_is_shown_whole_or_refused(name) -> None:
    try:
        shown = holder.display_name(issue(name))
    except DecodeError:
        return
    assert shown == name
    assert not any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in name)
