"""The sealed reference's outside: CMS AuthEnvelopedData for exactly one card (RFC 5083, RFC 5084).

One profile. AES-256-GCM with a 12-byte nonce and a 16-byte tag over id-data, no attributes; one
recipient, named by issuer and serial: one-pass ECDH with a fresh key on the card key's curve and
AES-256 key wrap (RFC 5753), or RSA-OAEP with SHA-256. CMS authenticates no header, so a message is
accepted in its one DER form only: encoding what was read gives the input back, or it is refused.
It knows no reference and asks no card: the key comes as an argument.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap

from sdbox_agent.errors import DecodeError, Refused
from sdbox_agent.pki import certificate, der, oids
from sdbox_agent.pki.certificate import IssuerAndSerial

Algorithm = Literal["ecdh", "rsa-oaep-sha256"]

# Standards'
CEK_BYTES: Final = 32  # AES-256
WRAPPED_KEY_BYTES: Final = CEK_BYTES + 8  # RFC 3394 section 2.2.1
NONCE_BYTES: Final = 12  # RFC 5084 section 3.2: recommended
TAG_BYTES: Final = 16
_VERSION_0: Final = der.integer(0)  # RFC 5083 section 2.1; RFC 5652 section 6.2.1 for ktri
_VERSION_3: Final = der.integer(3)  # RFC 5652 section 6.2.2: kari
_KARI: Final = der.CONTEXT | der.CONSTRUCTED | 1
_EXPLICIT_0: Final = der.CONTEXT | der.CONSTRUCTED | 0
_ORIGINATOR_KEY: Final = der.CONTEXT | der.CONSTRUCTED | 1  # RFC 5652 section 6.2.2
_CIPHERTEXT: Final = der.CONTEXT | 0  # [0] IMPLICIT OCTET STRING
_WRAP: Final = der.sequence(der.oid(oids.AES256_WRAP))
_SHA256: Final = der.sequence(der.oid(oids.SHA256))
_EPHEMERAL_KEY: Final = der.sequence(der.oid(oids.EC_PUBLIC_KEY))  # RFC 5753: curve left out
_OAEP: Final = der.sequence(  # RFC 4055 section 4.1: SHA-256 for both, no label
    der.oid(oids.RSAES_OAEP),
    der.sequence(
        der.element(_EXPLICIT_0, _SHA256),
        der.element(_EXPLICIT_0 + 1, der.sequence(der.oid(oids.MGF1), _SHA256)),
    ),
)
# RFC 5753 section 7.2, ECC-CMS-SharedInfo: no ukm, 256 bits of key
_SHARED_INFO: Final = der.sequence(
    _WRAP, der.element(_EXPLICIT_0 + 2, der.octets((8 * CEK_BYTES).to_bytes(4)))
)

# Ours
MAX_MESSAGE_BYTES: Final = 64 * 1024
RSA_BLOCK_BYTES: Final = (256, 384)  # 2048 and 3072 bits


@dataclass(frozen=True, slots=True)
class _Scheme:
    """One curve: its uncompressed point's length fixes the key derivation (RFC 5753 section 8)."""

    curve: ec.EllipticCurve
    digest: hashes.HashAlgorithm
    key_encryption: bytes

    @property
    def secret_bytes(self) -> int:
        return (self.curve.key_size + 7) // 8

    @property
    def point_bytes(self) -> int:
        return 1 + 2 * self.secret_bytes


def _scheme(curve: ec.EllipticCurve, digest: hashes.HashAlgorithm, kdf: str) -> _Scheme:
    return _Scheme(curve, digest, der.sequence(der.oid(kdf), _WRAP))


_SCHEMES: Final = {
    scheme.point_bytes: scheme
    for scheme in (
        _scheme(ec.SECP256R1(), hashes.SHA256(), oids.STD_DH_SHA256_KDF),
        _scheme(ec.SECP384R1(), hashes.SHA384(), oids.STD_DH_SHA384_KDF),
    )
}


@dataclass(frozen=True, slots=True)
class SealedReference:
    """A message of the profile, read; nothing in it has been authenticated yet."""

    recipient: IssuerAndSerial
    algorithm: Algorithm
    blob: bytes = field(repr=False)  # for the card: uncompressed point on the curve, or RSA block
    wrapped_key: bytes = field(repr=False)  # ECDH: 40 bytes; RSA: none
    nonce: bytes = field(repr=False)
    ciphertext: bytes = field(repr=False)
    tag: bytes = field(repr=False)


def encode(sealed: SealedReference) -> bytes:
    """The one DER form of a message."""
    gcm = der.sequence(  # RFC 5084 section 3.2: the tag length's default is 12
        der.oid(oids.AES256_GCM), der.sequence(der.octets(sealed.nonce), der.integer(TAG_BYTES))
    )
    content = der.sequence(
        der.oid(oids.DATA), gcm, der.element(_CIPHERTEXT, sealed.ciphertext)
    )  # EncryptedContentInfo
    recipient = _encode_kari(sealed) if sealed.algorithm == "ecdh" else _encode_ktri(sealed)
    message = der.sequence(_VERSION_0, der.set_of(recipient), content, der.octets(sealed.tag))
    return der.sequence(
        der.oid(oids.AUTH_ENVELOPED_DATA), der.element(_EXPLICIT_0, message)
    )  # ContentInfo


def _encode_kari(sealed: SealedReference) -> bytes:
    originator = der.element(_ORIGINATOR_KEY, _EPHEMERAL_KEY, der.bits(sealed.blob))
    recipient = der.sequence(sealed.recipient.encode(), der.octets(sealed.wrapped_key))
    return der.element(
        _KARI,
        _VERSION_3,
        der.element(_EXPLICIT_0, originator),
        _SCHEMES[len(sealed.blob)].key_encryption,
        der.sequence(recipient),
    )


def _encode_ktri(sealed: SealedReference) -> bytes:
    return der.sequence(_VERSION_0, sealed.recipient.encode(), _OAEP, der.octets(sealed.blob))


def parse(sealed_der: bytes) -> SealedReference:
    """Read a message strictly. Raises DecodeError for any other form than `encode`'s."""
    if len(sealed_der) > MAX_MESSAGE_BYTES:
        raise DecodeError("CMS: too large")
    top = der.Reader(sealed_der)
    info = top.enter()
    top.end()
    info.expect(der.oid(oids.AUTH_ENVELOPED_DATA))
    explicit = info.enter(_EXPLICIT_0)
    message = explicit.enter()
    message.expect(_VERSION_0)
    recipients = message.enter(der.SET)
    kari = recipients.peek() == _KARI
    name, blob, wrapped_key = (_parse_kari if kari else _parse_ktri)(recipients)
    recipients.end()
    content = message.enter()
    content.expect(der.oid(oids.DATA))
    algorithm = content.enter()
    algorithm.expect(der.oid(oids.AES256_GCM))
    parameters = algorithm.enter()
    nonce = parameters.octets(NONCE_BYTES)
    parameters.expect(der.integer(TAG_BYTES))
    ciphertext = content.read(_CIPHERTEXT)
    tag = message.octets(TAG_BYTES)
    sealed = SealedReference(
        name, "ecdh" if kari else "rsa-oaep-sha256", blob, wrapped_key, nonce, ciphertext, tag
    )
    if encode(sealed) != sealed_der:  # whatever stood between the fields read is caught here
        raise DecodeError("CMS: not in its one form")
    return sealed


def _parse_name(reader: der.Reader) -> IssuerAndSerial:
    name = reader.enter()
    if name.peek() != der.SEQUENCE:
        raise DecodeError("CMS: recipient")
    issuer_der = name.raw()
    der.check(issuer_der, MAX_MESSAGE_BYTES)  # its inside too has one form
    return IssuerAndSerial(issuer_der, name.integer())


def _parse_kari(recipients: der.Reader) -> tuple[IssuerAndSerial, bytes, bytes]:
    kari = recipients.enter(_KARI)
    kari.expect(_VERSION_3)
    key = kari.enter(_EXPLICIT_0).enter(_ORIGINATOR_KEY)
    key.expect(_EPHEMERAL_KEY)
    point = key.bits()
    scheme = _SCHEMES.get(len(point))
    if scheme is None:
        raise DecodeError("CMS: ephemeral key")
    try:  # on the curve and not at infinity (SEC 1 v2 section 3.2.2.1), or no card ever sees it
        ec.EllipticCurvePublicKey.from_encoded_point(scheme.curve, point)
    except ValueError:
        raise DecodeError("CMS: ephemeral key") from None
    kari.expect(scheme.key_encryption)
    recipient = kari.enter().enter()
    return _parse_name(recipient), point, recipient.octets(WRAPPED_KEY_BYTES)


def _parse_ktri(recipients: der.Reader) -> tuple[IssuerAndSerial, bytes, bytes]:
    ktri = recipients.enter()
    ktri.expect(_VERSION_0)
    name = _parse_name(ktri)
    ktri.expect(_OAEP)
    return name, ktri.octets(*RSA_BLOCK_BYTES), b""


def check_recipient(sealed: SealedReference, certificate_der: bytes) -> None:
    """Refuse a message that is not for this certificate, before its card is asked for anything.

    Raises Refused("reference-not-for-this-card").
    """
    try:
        name = certificate.issuer_and_serial(certificate_der)
        key = certificate.supported(certificate.load(certificate_der).public_key())
    except DecodeError:
        raise Refused("reference-not-for-this-card") from None
    if name != sealed.recipient or not _fits(sealed, key):
        raise Refused("reference-not-for-this-card")


def _fits(sealed: SealedReference, key: certificate.PublicKey) -> bool:
    if isinstance(key, rsa.RSAPublicKey):
        return sealed.algorithm != "ecdh" and len(sealed.blob) * 8 == key.key_size
    return sealed.algorithm == "ecdh" and _SCHEMES[len(sealed.blob)].curve.name == key.curve.name


def key_encryption_key(secret: bytes, point: bytes) -> bytes:
    """X9.63 KDF (SEC 1 v2 section 3.6.1) of the shared X coordinate; `point` names the curve."""
    scheme = _SCHEMES[len(point)]
    if len(secret) != scheme.secret_bytes:
        raise ValueError("shared secret length")
    return X963KDF(scheme.digest, CEK_BYTES, _SHARED_INFO).derive(secret)


def decrypt(
    sealed: SealedReference, key_from_card: bytes | None, recipient_certificate_der: bytes
) -> bytes:
    """The content, authenticated. `key_from_card`: the shared X coordinate, or the content key.

    None stands for a card that would not open the blob. Raises Refused as `check_recipient`,
    "reference-not-for-this-card", before any key is used; after that, whatever fails is one error,
    Refused("reference-altered"), after the same work: a key that is none is replaced by zeros, and
    what opens with those is refused all the same (as RFC 5246 section 7.4.7.1 has it for RSA).
    """
    check_recipient(sealed, recipient_certificate_der)
    key, good = _sized(key_from_card, _key_bytes(sealed))
    if sealed.algorithm == "ecdh":
        key, unwrapped = _unwrapped(sealed, key)
        good = good and unwrapped
    try:
        content = AESGCM(key).decrypt(sealed.nonce, sealed.ciphertext + sealed.tag, None)
    except InvalidTag:
        good, content = False, b""
    if not good:
        raise Refused("reference-altered")
    return content


def _key_bytes(sealed: SealedReference) -> int:
    return _SCHEMES[len(sealed.blob)].secret_bytes if sealed.algorithm == "ecdh" else CEK_BYTES


def _sized(key: bytes | None, size: int) -> tuple[bytes, bool]:
    """The key and True, or zeros and False. AESGCM would take keys of 16 and 24 bytes too."""
    if key is None or len(key) != size:
        return bytes(size), False
    return key, True


def _unwrapped(sealed: SealedReference, secret: bytes) -> tuple[bytes, bool]:
    """The content key that the shared secret wraps (RFC 3394), as `_sized`."""
    try:
        key = aes_key_unwrap(key_encryption_key(secret, sealed.blob), sealed.wrapped_key)
    except (InvalidUnwrap, ValueError):
        return _sized(None, CEK_BYTES)
    return _sized(key, CEK_BYTES)
