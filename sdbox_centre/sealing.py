"""Seals bytes to one card's 9D certificate: the message that sdbox_agent.pki.cms reads."""

from __future__ import annotations

import secrets

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sdbox_agent.errors import DecodeError
from sdbox_agent.pki import certificate, cms

OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), label=None)


def seal(content: bytes, certificate_der: bytes) -> bytes:
    """AuthEnvelopedData of `content` for the holder of that certificate's key.

    A fresh content key, nonce and ephemeral key each time. Raises DecodeError for a certificate or
    key outside the profile, ValueError if the message would exceed 64 KiB.
    """
    recipient = certificate.issuer_and_serial(certificate_der)
    content_key = AESGCM.generate_key(8 * cms.CEK_BYTES)
    match certificate.load(certificate_der).public_key():
        case ec.EllipticCurvePublicKey() as key:
            algorithm: cms.Algorithm = "ecdh"
            blob, wrapped_key = _agree(key, content_key)
        case rsa.RSAPublicKey() as key if key.key_size // 8 in cms.RSA_BLOCK_BYTES:
            algorithm = "rsa-oaep-sha256"
            blob, wrapped_key = key.encrypt(content_key, OAEP), b""
        case _:
            raise DecodeError("certificate: public key")
    nonce = secrets.token_bytes(cms.NONCE_BYTES)
    encrypted = AESGCM(content_key).encrypt(nonce, content, None)
    ciphertext, tag = encrypted[: -cms.TAG_BYTES], encrypted[-cms.TAG_BYTES :]
    sealed = cms.SealedReference(recipient, algorithm, blob, wrapped_key, nonce, ciphertext, tag)
    message = cms.encode(sealed)
    if len(message) > cms.MAX_MESSAGE_BYTES:
        raise ValueError("content too long to seal")
    return message


def _agree(key: ec.EllipticCurvePublicKey, content_key: bytes) -> tuple[bytes, bytes]:
    ephemeral = ec.generate_private_key(key.curve)
    point = ephemeral.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    secret = ephemeral.exchange(ec.ECDH(), key)
    return point, aes_key_wrap(cms.key_encryption_key(secret, point), content_key)
