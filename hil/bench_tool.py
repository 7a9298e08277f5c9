"""The same card, read by OpenSC: `pkcs11-tool` takes its certificates and has 9D agree on a key.

One invocation, as its user would make it: it selects the application, reads every certificate, and
does one ECDH; it believes no certificate, asks no centre and opens nothing. On a pcscd of its own,
so that no box is in its way; through the same driver and to the same card.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hil.bench_shares import Shares, of_card, shares
from hil.pcscd import Pcscd

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hil.card.insertion import Exchange
    from hil.issuing import Holder

PIN: Final = "123456"  # the virtual card's; its keys do without, but pkcs11-tool wants to log in
CERTIFICATES: Final = 3  # 9A, 9D, 9E
_WITHIN_S: Final = 30.0
_GET_RESPONSE, _AUTHENTICATE, _KEY_MANAGEMENT = 0xC0, 0x87, 0x9D


class ToolError(RuntimeError):
    """pkcs11-tool did not do what it is compared for."""


@dataclass(frozen=True, slots=True)
class Used:
    """One invocation: `whole` from its start to its end, `card_only` from first to last APDU."""

    whole: Shares
    card_only: Shares


class Tool:
    """A reader with the holder's card in it, from `with` to its end."""

    def __init__(self, directory: Path, holder: Holder) -> None:
        self._directory = directory
        self._pcscd = Pcscd(directory / "pcscd", readers=2)
        self._holder = holder
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._pcscd)
            self._stay = self._pcscd.reader(0).insert(self._holder.card)
            self._stay.wait_powered()
            point = ec.generate_private_key(ec.SECP256R1()).public_key()
            spki = point.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            (self._directory / "point.der").write_bytes(spki)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def use(self) -> Used:
        """Once. Raises ToolError unless it read the three certificates and used 9D once."""
        command = ["pkcs11-tool", "--slot-index", "0", "--login", "--pin", PIN]
        command += ["--derive", "-m", "ECDH1-DERIVE", "--id", "03"]
        command += ["-i", str(self._directory / "point.der"), "-o", str(self._directory / "secret")]
        before = self._stay.apdus
        begin_ns = time.monotonic_ns()
        done = subprocess.run(
            command,
            env={**os.environ, **self._pcscd.environment},
            capture_output=True,
            timeout=_WITHIN_S,
            check=False,
        )
        end_ns = time.monotonic_ns()
        log = self._stay.log[before:]
        if done.returncode:
            raise ToolError(done.stderr.decode(errors="replace")[-200:])
        check_same_work(log)
        card = of_card(log)
        talk = (card[0][0], card[-1][1])
        return Used(shares((begin_ns, end_ns), card, ()), shares(talk, card, ()))


def check_same_work(log: Sequence[Exchange]) -> None:
    """As much as the box does with the card. Raises ToolError.

    Nothing but a certificate is so long that its end comes by GET RESPONSE.
    """
    reads = [one for one in log if (one.ins, one.sw) == (_GET_RESPONSE, 0x9000)]
    agreed = [one for one in log if (one.ins, one.p2) == (_AUTHENTICATE, _KEY_MANAGEMENT)]
    if len(reads) < CERTIFICATES or len(agreed) != 1 or agreed[0].sw != 0x9000:
        raise ToolError("it did something else")
