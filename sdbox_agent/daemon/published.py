"""The revocation lists the core goes by, left where `card check` finds them [door].

They are public, and whoever reads them verifies them anew: nothing here is believed for lying here.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING, Final

from sdbox_agent.pki.revocation import MAX_CRL_BYTES

if TYPE_CHECKING:
    from pathlib import Path

MAX_LISTS: Final = 64
_SUFFIX: Final = ".crl"


class Published:
    """A directory of lists, one file an authority."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def put(self, issuer: bytes, crl_der: bytes) -> None:
        """Show this list in place of the last one of `issuer` (a digest), in one step.

        A disk that refuses harms no session: only `card check` knows less.
        """
        new = self._directory / f"{issuer.hex()}.new"
        with contextlib.suppress(OSError):
            self._directory.mkdir(mode=0o755, exist_ok=True)
            new.write_bytes(crl_der)
            new.chmod(0o644)
            new.replace(new.with_suffix(_SUFFIX))


def read(directory: Path) -> tuple[bytes, ...]:
    """What lies there, DER, not verified; what can't be read, or is no file, is left out."""
    try:
        names = sorted(path for path in directory.iterdir() if path.suffix == _SUFFIX)
    except OSError:
        return ()
    found = (_bytes(path) for path in names[:MAX_LISTS])
    return tuple(crl_der for crl_der in found if crl_der is not None)


def _bytes(path: Path) -> bytes | None:
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            data = file.read(MAX_CRL_BYTES + 1)
        return data if len(data) <= MAX_CRL_BYTES else None
    return None
