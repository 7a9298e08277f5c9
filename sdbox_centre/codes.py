"""The secrets of one-time codes, kept encrypted, and the verdict on a code [door: the key file].

Whoever has the database alone has no secret: each is sealed (AES-256-GCM) to its enrolment under a
key that lies in a file of the API's. Whoever has both can show codes, but no card.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sdbox_agent.errors import Fault
from sdbox_centre import onetime, rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy import Connection

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12  # NIST SP 800-38D section 8.2.2: random, under one key for few secrets


class Codes:
    """Seals, opens and judges, under one key."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def provision(
        self, tx: Connection, enrolment: str, random_bytes: Callable[[int], bytes]
    ) -> str:
        """A new secret for this enrolment; what was there is void. Its otpauth URI, once."""
        secret = random_bytes(onetime.SECRET_BYTES)
        nonce = random_bytes(NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, secret, enrolment.encode())
        rows.set_code(tx, enrolment, sealed)
        return onetime.uri(secret, enrolment)

    def use(self, tx: Connection, enrolment: str, code: str, now_s: int) -> bool:
        """Is this the code to use now? If so, it and all before it are used from this commit on.

        False for a wrong code and for a used one alike: nobody learns which. Raises Fault:
        centre-fault, if the secret can't be opened: that is no answer about the code.
        """
        row = rows.code(tx, enrolment)
        if row is None:
            return False
        step = onetime.step_of(self._open(enrolment, row.sealed), code, now_s, row.last_step)
        return step is not None and rows.use_step(tx, enrolment, step)

    def _open(self, enrolment: str, sealed: bytes) -> bytes:
        nonce, rest = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, rest, enrolment.encode())
        except (InvalidTag, ValueError):
            raise Fault("centre-fault") from None


def load(path: Path) -> Codes:
    """The key file: 32 bytes that only its owner reads. Raises Fault: config-invalid."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            key = file.read(KEY_BYTES + 1)
    except OSError as error:
        raise Fault("config-invalid") from error
    if len(key) != KEY_BYTES or mode & 0o077:
        cause = ValueError(f"{path.name}: {KEY_BYTES} bytes, for its owner's eyes only")
        raise Fault("config-invalid") from cause
    return Codes(key)


def make_key(path: Path, random_bytes: Callable[[int], bytes]) -> None:
    """A new key file, for its owner alone; one that is there stays. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(random_bytes(KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
