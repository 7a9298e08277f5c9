"""The sealed message: one form, one recipient, one error; and OpenSSL agrees with both ends."""

import dataclasses
import subprocess
import tempfile
from pathlib import Path

import pytest
from asn1crypto import cms as asn1_cms
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import example, given
from hypothesis import strategies as st

from sdbox_agent.errors import DecodeError, Refused
from sdbox_agent.pki import cms, der, oids
from sdbox_centre import authority, sealing
from tests.pki import grown

KINDS = ["p256", "p384", "rsa2048"]
CONTENT = b"test content " * 40
OPTIONS = {
    "p256": ["-keyopt", "ecdh_kdf_md:sha256", "-aes256-wrap"],
    "p384": ["-keyopt", "ecdh_kdf_md:sha384", "-aes256-wrap"],
    "rsa2048": [
        "-keyopt", "rsa_padding_mode:oaep",
        "-keyopt", "rsa_oaep_md:sha256",
        "-keyopt", "rsa_mgf1_md:sha256",
    ],
}  # fmt: skip


def seal(kind, content=CONTENT):
    return sealing.seal(content, grown.card(kind).certificates.key_management)


def open_sealed(kind, sealed_der):
    """All that a box does with a message, the card's part included."""
    certificate_der = grown.card(kind).certificates.key_management
    sealed = cms.parse(sealed_der)
    cms.check_recipient(sealed, certificate_der)
    try:
        key = grown.card(kind).open(sealed)
    except ValueError:  # the card worker's one error for a block that does not open
        raise Refused("reference-altered") from None
    return cms.decrypt(sealed, key, certificate_der)


def openssl(kind, data, *arguments):
    """Run `openssl cms` on stdin; what it decrypts comes back through a pipe, never in a file."""
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = Path(folder, "c.pem"), Path(folder, "k.pem")
        card = grown.card(kind)
        certificate.write_bytes(der_to_pem(card.certificates.key_management))
        key.write_bytes(authority.key_pem(card.key_management))
        places = {"CERT": str(certificate), "KEY": str(key)}
        command = ["openssl", "cms", *(places.get(one, one) for one in arguments)]
        return subprocess.run(command, input=data, capture_output=True, check=True).stdout


def der_to_pem(certificate_der):
    return authority.pem_of(x509.load_der_x509_certificate(certificate_der))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_sealed_opens(kind) -> None:
    assert open_sealed(kind, seal(kind)) == CONTENT


def test_an_empty_content_and_the_largest_one_open() -> None:
    for size in (0, 1, cms.MAX_MESSAGE_BYTES - 400):
        assert open_sealed("p256", seal("p256", bytes(size))) == bytes(size)
    with pytest.raises(ValueError):
        seal("p256", bytes(cms.MAX_MESSAGE_BYTES))


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_used_twice(kind) -> None:
    one, two = (cms.parse(seal(kind)) for _ in range(2))
    for name in ("blob", "nonce", "ciphertext", "tag"):
        assert getattr(one, name) != getattr(two, name)


@pytest.mark.parametrize("kind", KINDS)
def test_openssl_opens_what_is_sealed(kind) -> None:
    arguments = ("-decrypt", "-binary", "-inform", "DER", "-recip", "CERT", "-inkey", "KEY")
    assert openssl(kind, seal(kind), *arguments) == CONTENT


@pytest.mark.parametrize("kind", KINDS)
def test_what_openssl_seals_opens(kind) -> None:
    sealed_der = openssl(
        kind, CONTENT, "-encrypt", "-binary", "-aes-256-gcm", "-outform", "DER",
        "-recip", "CERT", *OPTIONS[kind],
    )  # fmt: skip
    assert open_sealed(kind, sealed_der) == CONTENT


@pytest.mark.parametrize("kind", KINDS)
def test_asn1crypto_reads_the_same_message(kind) -> None:
    sealed_der = seal(kind)
    sealed, info = cms.parse(sealed_der), asn1_cms.ContentInfo.load(sealed_der, strict=True)
    assert info.dump(force=True) == sealed_der
    assert info["content_type"].native == "authenticated_enveloped_data"
    content = info["content"]
    assert content["version"].native == "v0"
    assert content["mac"].native == sealed.tag
    encrypted = content["auth_encrypted_content_info"]
    assert encrypted["content_type"].native == "data"
    assert encrypted["encrypted_content"].contents == sealed.ciphertext
    (recipient,) = content["recipient_infos"]
    if sealed.algorithm == "ecdh":
        (key,) = recipient.chosen["recipient_encrypted_keys"]
        rid, wrapped_key = key["rid"].chosen, key["encrypted_key"].native
        assert wrapped_key == sealed.wrapped_key
    else:
        rid = recipient.chosen["rid"].chosen
        assert recipient.chosen["encrypted_key"].native == sealed.blob
    assert rid["issuer"].dump() == sealed.recipient.issuer_der
    assert rid["serial_number"].native == sealed.recipient.serial


def test_the_shared_info_is_the_standards() -> None:
    # measured against OpenSSL; RFC 5753 section 7.2
    assert cms._SHARED_INFO.hex() == "3015300b060960864801650304012da206040400000100"


@pytest.mark.parametrize("kind", KINDS)
def test_every_cut_and_every_byte_more_is_refused(kind) -> None:  # fault 41
    sealed_der = seal(kind, b"x")
    for size in range(len(sealed_der)):
        with pytest.raises(DecodeError):
            cms.parse(sealed_der[:size])
    with pytest.raises(DecodeError):
        cms.parse(sealed_der + b"\0")


@pytest.mark.parametrize("kind", KINDS)
def test_a_message_for_another_card_is_refused_without_asking_it(kind) -> None:  # fault 34
    other = grown.issue(grown.card_authority(), grown.card(kind).key_management)
    sealed = cms.parse(seal(kind))  # the same key even, under another certificate
    with pytest.raises(Refused, match="reference-not-for-this-card"):
        cms.check_recipient(sealed, other.certificates.key_management)
    with pytest.raises(Refused, match="reference-not-for-this-card"):
        cms.decrypt(sealed, grown.card(kind).open(sealed), other.certificates.key_management)


def test_the_recipients_key_must_be_of_the_messages_kind() -> None:
    for kind in KINDS:
        name = cms.parse(seal(kind)).recipient
        for other in KINDS:
            sealed = dataclasses.replace(cms.parse(seal(other)), recipient=name)
            if other == kind:
                cms.check_recipient(sealed, grown.card(kind).certificates.key_management)
                continue
            with pytest.raises(Refused, match="reference-not-for-this-card"):
                cms.check_recipient(sealed, grown.card(kind).certificates.key_management)


def test_something_that_is_no_certificate_is_nobodys() -> None:
    with pytest.raises(Refused, match="reference-not-for-this-card"):
        cms.check_recipient(cms.parse(seal("p256")), b"\x30\x00")


@pytest.mark.parametrize("kind", KINDS)
def test_every_wrong_key_is_one_and_the_same_error(kind) -> None:
    sealed = cms.parse(seal(kind))
    right = grown.card(kind).open(sealed)
    certificate_der = grown.card(kind).certificates.key_management
    wrong = [b"", right[:-1], right + b"\0", right[:16], right[:24], bytes(len(right)), right[::-1]]
    for key in wrong:
        with pytest.raises(Refused, match=r"^reference-altered$") as caught:
            cms.decrypt(sealed, key, certificate_der)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None


def test_a_wrapped_key_that_is_no_aes_256_key_is_refused() -> None:
    # a sender who wraps 128 bits: the wrap is good, the key too short for the profile
    sealed = cms.parse(seal("p256"))
    secret = grown.card("p256").open(sealed)
    short = aes_key_wrap(cms.key_encryption_key(secret, sealed.blob), bytes(16))
    certificate_der = grown.card("p256").certificates.key_management
    with pytest.raises(DecodeError):
        cms.parse(cms.encode(dataclasses.replace(sealed, wrapped_key=short)))
    with pytest.raises(Refused, match="reference-altered"):
        cms.decrypt(dataclasses.replace(sealed, wrapped_key=short), secret, certificate_der)


@pytest.mark.parametrize("size", [16, 24])
def test_a_content_key_of_another_size_is_refused_though_it_opens(size) -> None:
    key, nonce = bytes(size), bytes(12)
    encrypted = AESGCM(key).encrypt(nonce, CONTENT, None)
    for kind in ("p256", "rsa2048"):
        good = cms.parse(seal(kind))
        sealed = dataclasses.replace(
            good, nonce=nonce, ciphertext=encrypted[:-16], tag=encrypted[-16:]
        )
        from_card = key
        if kind == "p256":
            from_card = grown.card(kind).open(sealed)
            wrapped = aes_key_wrap(cms.key_encryption_key(from_card, sealed.blob), key)
            sealed = dataclasses.replace(sealed, wrapped_key=wrapped)
        with pytest.raises(Refused, match="reference-altered"):
            cms.decrypt(sealed, from_card, grown.card(kind).certificates.key_management)


def replaced(sealed_der, old, new):
    """The message with one part exchanged, its lengths put right: well-formed, and wrong."""
    found = []

    def rebuild(data):
        reader, out = der.Reader(data), b""
        while not reader.at_end():
            raw = reader.raw()
            if raw == old:
                out += new
                found.append(raw)
            elif raw[0] & der.CONSTRUCTED and old in raw:
                out += der.element(raw[0], rebuild(der.Reader(raw).read(raw[0])))
            else:
                out += raw
        return out

    rebuilt = rebuild(sealed_der)
    assert len(found) == 1
    return rebuilt


def algorithm(*dotted_and_parameters):
    return der.sequence(*(der.oid(x) if isinstance(x, str) else x for x in dotted_and_parameters))


ENVELOPED_DATA, AES256_CBC, AES128_GCM, DES3_CBC, RSA_V15, SHA1 = (
    "1.2.840.113549.1.7.3", "2.16.840.1.101.3.4.1.42", "2.16.840.1.101.3.4.1.6",
    "1.2.840.113549.3.7", "1.2.840.113549.1.1.1", "1.3.14.3.2.26",
)  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        ("p256", der.oid(oids.AUTH_ENVELOPED_DATA), der.oid(ENVELOPED_DATA)),
        ("p256", der.oid(oids.AES256_GCM), der.oid(AES256_CBC)),
        ("p256", der.oid(oids.AES256_GCM), der.oid(AES128_GCM)),
        ("p256", der.oid(oids.AES256_GCM), der.oid(DES3_CBC)),
        ("p256", der.integer(16), der.integer(12)),
        ("p256", der.integer(16), b""),  # the default: 12
        ("p256", der.integer(16), der.integer(4)),
        ("p256", der.oid(oids.DATA), der.oid(oids.SIGNED_DATA)),
        ("p256", der.oid(oids.STD_DH_SHA256_KDF), der.oid(oids.STD_DH_SHA384_KDF)),
        ("p256", der.oid(oids.STD_DH_SHA256_KDF), der.oid("1.3.133.16.840.63.0.2")),  # SHA-1 KDF
        ("p256", algorithm(oids.AES256_WRAP), algorithm("2.16.840.1.101.3.4.1.5")),
        ("p256", algorithm(oids.AES256_WRAP), algorithm(oids.AES256_WRAP, b"\5\0")),
        ("p256", algorithm(oids.EC_PUBLIC_KEY), algorithm(oids.EC_PUBLIC_KEY, b"\5\0")),
        ("p256", der.integer(3), der.integer(2)),
        ("rsa2048", cms._OAEP, algorithm(RSA_V15, b"\5\0")),
        ("rsa2048", cms._OAEP, algorithm(oids.RSAES_OAEP, der.sequence())),  # SHA-1 by default
        (
            "rsa2048",
            algorithm(oids.MGF1, cms._SHA256),
            algorithm(oids.MGF1, algorithm(SHA1)),
        ),
    ],
)  # fault 36
def test_a_downgrade_is_refused(kind, old, new) -> None:
    sealed_der = seal(kind)
    with pytest.raises(DecodeError):
        cms.parse(replaced(sealed_der, old, new))


@pytest.mark.parametrize("size", [0, 4, 8, 11, 13, 16])
def test_another_nonce_or_tag_length_is_refused(size) -> None:  # fault 36
    sealed = cms.parse(seal("p256"))
    for change in ({"nonce": bytes(size)}, {"tag": bytes(size + 1)}):
        with pytest.raises(DecodeError):
            cms.parse(cms.encode(dataclasses.replace(sealed, **change)))


def test_attributes_and_more_than_one_recipient_are_refused() -> None:
    sealed_der = seal("p256")
    sealed = cms.parse(sealed_der)
    recipients = der.set_of(cms._encode_kari(sealed))
    two = der.set_of(cms._encode_kari(sealed), cms._encode_kari(sealed))
    for more in (two, der.set_of()):
        with pytest.raises(DecodeError):
            cms.parse(replaced(sealed_der, recipients, more))
    tag = der.octets(sealed.tag)
    for attributes in (der.element(0xA1, algorithm(oids.DATA)), der.element(0xA2)):
        with pytest.raises(DecodeError):
            cms.parse(replaced(sealed_der, tag, attributes + tag))
        with pytest.raises(DecodeError):
            cms.parse(replaced(sealed_der, tag, tag + attributes))


def test_user_keying_material_is_refused() -> None:
    sealed_der = seal("p256")
    key_encryption = cms._SCHEMES[65].key_encryption
    ukm = der.element(0xA1, der.octets(b"ukm"))
    with pytest.raises(DecodeError):
        cms.parse(replaced(sealed_der, key_encryption, ukm + key_encryption))


def points():
    key = authority.new_key().public_key()
    good = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    prime = 2**256 - 2**224 + 2**192 + 2**96 - 1
    return {
        "off the curve": good[:-1] + bytes((good[-1] ^ 1,)),
        "infinity": b"\0",
        "infinity, padded": bytes(65),
        "compressed": key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint),
        "hybrid": bytes((6 + (good[-1] & 1),)) + good[1:],
        "origin": b"\4" + bytes(64),
        "coordinate not reduced": b"\4" + prime.to_bytes(32) + good[33:],
        "empty": b"",
        "P-521": ec.generate_private_key(ec.SECP521R1())
        .public_key()
        .public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
    }


@pytest.mark.parametrize("name", points())
def test_a_point_that_is_none_never_reaches_a_card(name) -> None:  # fault 40
    sealed_der = seal("p256")
    old = der.bits(cms.parse(sealed_der).blob)
    with pytest.raises(DecodeError):
        cms.parse(replaced(sealed_der, old, der.bits(points()[name])))


def test_a_point_of_another_curve_is_refused_before_the_card() -> None:  # fault 40
    point = cms.parse(seal("p384")).blob
    sealed = dataclasses.replace(cms.parse(seal("p256")), blob=point)
    with pytest.raises(Refused, match="reference-not-for-this-card"):
        cms.check_recipient(cms.parse(cms.encode(sealed)), grown.card().certificates.key_management)


def test_64_mib_are_refused_before_they_are_parsed() -> None:  # fault 37
    with pytest.raises(DecodeError, match="too large"):
        cms.parse(bytes(64 * 2**20))
    with pytest.raises(DecodeError, match="too large"):
        cms.parse(seal("p256") + bytes(cms.MAX_MESSAGE_BYTES))


def test_a_thousand_nested_levels_are_refused() -> None:  # fault 37
    nested = b""
    for _ in range(1000):
        nested = der.sequence(nested)
    with pytest.raises(DecodeError):
        cms.parse(nested)


def test_nothing_secret_is_in_the_repr() -> None:
    sealed = cms.parse(seal("p256"))
    for part in (sealed.blob, sealed.wrapped_key, sealed.ciphertext):
        assert repr(part)[2:20] not in repr(sealed)


@given(
    st.sampled_from([1, 7, 2**64, 2**158]),
    st.binary(max_size=300),
    st.binary(min_size=12, max_size=12),
    st.binary(min_size=16, max_size=16),
    st.sampled_from([256, 384]),
)
def test_what_is_encoded_is_read_back(serial, ciphertext, nonce, tag, size) -> None:
    name = cms.IssuerAndSerial(der.sequence(), serial)
    sealed = cms.SealedReference(name, "rsa-oaep-sha256", bytes(size), b"", nonce, ciphertext, tag)
    assert cms.parse(cms.encode(sealed)) == sealed


@given(st.data())
def test_parse_accepts_or_raises_decode_error(data) -> None:
    good = SEEDS[data.draw(st.integers(0, len(SEEDS) - 1))]
    at = data.draw(st.integers(0, len(good)))
    cut = data.draw(st.integers(at, min(len(good), at + 5)))
    bad = good[:at] + data.draw(st.binary(max_size=5)) + good[cut:]
    try:
        sealed = cms.parse(bad)
    except DecodeError:
        return
    assert cms.encode(sealed) == bad


@given(st.binary(max_size=100))
@example(b"\x30\x00")
def test_noise_is_refused(noise) -> None:
    with pytest.raises(DecodeError):
        cms.parse(noise)


SEEDS = [seal(kind, b"x") for kind in KINDS]
