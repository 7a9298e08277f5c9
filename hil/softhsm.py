"""SoftHSM2 as a card of another maker: a token with a card's keys, certificates and PIN in it.

    environment = soft_token(directory, keys, certificates, pin="123456").environment

Its own code runs in processes of their own: whoever tests a client loads the library without what
this has left in it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pkcs11
from cryptography.hazmat.primitives import serialization
from pkcs11 import Attribute, CertificateType, ObjectClass
from pkcs11.util import ec, rsa

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hil.card.keys import PrivateKey

MODULE: Final = "/usr/lib/softhsm/libsofthsm2.so"
IDS: Final = {"9A": 1, "9D": 3, "9E": 4}  # as OpenSC numbers a PIV card's
FREE: Final = "9E"  # the one key that asks for no PIN
_SO_PIN: Final = "12345678"
_DEADLINE_S: Final = 30


@dataclass(frozen=True)
class SoftToken:
    """A token that was made; `environment` is what the library needs to find it."""

    serial: str
    environment: dict[str, str]


def soft_token(
    directory: Path,
    keys: Mapping[str, PrivateKey],
    certificates: Mapping[str, bytes],
    *,
    pin: str = "123456",
    label: str = "test-card",
) -> SoftToken:
    """Make a token beside those already in `directory`. Raises CalledProcessError."""
    store = directory / "tokens"
    store.mkdir(exist_ok=True)
    settings = directory / "softhsm2.conf"
    settings.write_text(f"directories.tokendir = {store}\nobjectstore.backend = file\n")
    environment = {"SOFTHSM2_CONF": str(settings)}
    before = set(store.iterdir())
    init = ["softhsm2-util", "--init-token", "--free", "--label", label]
    _run([*init, "--so-pin", _SO_PIN, "--pin", pin], environment, "")
    (made,) = set(store.iterdir()) - before
    serial = made.name.replace("-", "")[
        -16:
    ]  # the token's directory is its UUID, its serial the end
    objects = {
        name: (_pkcs8(keys[name]).hex(), certificates[name].hex(), name != FREE) for name in IDS
    }
    order = json.dumps({"serial": serial, "pin": pin, "objects": objects})
    _run([sys.executable, "-m", "hil.softhsm"], environment, order)
    return SoftToken(serial, environment)


def _pkcs8(key: PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _run(command: list[str], environment: dict[str, str], given: str) -> None:
    subprocess.run(
        command,
        input=given,
        env={**os.environ, **environment},
        capture_output=True,
        check=True,
        text=True,
        timeout=_DEADLINE_S,
        cwd=Path(__file__).parents[1],
    )


def _fill(serial: str, pin: str, objects: dict[str, tuple[str, str, bool]]) -> None:
    """Put keys and certificates in, as an issuer does."""
    token = pkcs11.lib(MODULE).get_token(token_serial=serial.encode())
    with token.open(rw=True, user_pin=pin) as session:
        for name, (key, certificate, private) in objects.items():
            identifier = bytes([IDS[name]])
            session.create_object(
                {
                    **_key(bytes.fromhex(key)),
                    Attribute.ID: identifier,
                    Attribute.TOKEN: True,
                    Attribute.PRIVATE: private,
                    Attribute.SENSITIVE: True,
                    Attribute.EXTRACTABLE: False,
                    Attribute.SIGN: True,
                    Attribute.DECRYPT: name == "9D",
                    Attribute.DERIVE: name == "9D",
                }
            )
            session.create_object(
                {
                    Attribute.CLASS: ObjectClass.CERTIFICATE,
                    Attribute.CERTIFICATE_TYPE: CertificateType.X_509,
                    Attribute.ID: identifier,
                    Attribute.TOKEN: True,
                    Attribute.PRIVATE: False,
                    Attribute.SUBJECT: b"\x30\x00",
                    Attribute.VALUE: bytes.fromhex(certificate),
                }
            )


def _key(pkcs8: bytes) -> dict[Attribute, object]:
    loaded = serialization.load_der_private_key(pkcs8, None)
    old = loaded.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    is_rsa = hasattr(loaded.public_key(), "encrypt")
    found = rsa.decode_rsa_private_key(old) if is_rsa else ec.decode_ec_private_key(old)
    return dict(found)


if __name__ == "__main__":
    _fill(**json.load(sys.stdin))
