"""The statement key in the TPM, and no other that is kept. The other real end of ports.KeyMaker."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sdbox_agent.identity import tpmfile, tpmkey
from sdbox_agent.identity.tpmkey import TpmKey

if TYPE_CHECKING:
    from sdbox_agent.identity.tpm import Tpm
    from sdbox_agent.pki.boxcertificate import Purpose


@dataclass(frozen=True, slots=True)
class ChipKeys:
    """What is kept of the key is wrapped by this chip, and of no use to another."""

    tpm: Tpm
    _opened: dict[bytes, TpmKey] = field(default_factory=dict, repr=False)  # a place in it each

    @property
    def purposes(self) -> tuple[Purpose, ...]:
        """See `KeyMaker`. TLS keys are made in memory (identity.vouching)."""
        return ("statement",)

    def name(self, purpose: Purpose) -> str:  # noqa: ARG002  the port's
        """See `KeyMaker`."""
        return tpmfile.FILE

    def make(self, purpose: Purpose) -> bytes:  # noqa: ARG002  the port's
        """See `KeyMaker`."""
        return tpmfile.encode(tpmkey.create(self.tpm))

    def open(self, purpose: Purpose, kept: bytes) -> TpmKey:  # noqa: ARG002  the port's
        """See `KeyMaker`. Raises Fault("tpm-foreign") for another chip's."""
        if kept not in self._opened:
            self._opened[kept] = TpmKey(self.tpm, tpmfile.parse(kept))
        return self._opened[kept]
