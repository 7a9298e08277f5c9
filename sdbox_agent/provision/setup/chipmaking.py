"""The statement key in the TPM, the TLS key in a file. The other real end of ports.KeyMaker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdbox_agent.identity import tpmfile, tpmkey
from sdbox_agent.identity.tpmkey import TpmKey

if TYPE_CHECKING:
    from sdbox_agent.identity.port import StatementKey
    from sdbox_agent.identity.tpm import Tpm
    from sdbox_agent.pki.boxcertificate import Purpose
    from sdbox_agent.provision.setup.keymaking import FileKeys


@dataclass(frozen=True, slots=True)
class ChipKeys:
    """What is kept of the statement key is wrapped by this chip, and of no use to another."""

    tpm: Tpm
    files: FileKeys

    def name(self, purpose: Purpose) -> str:
        """See `KeyMaker`."""
        return tpmfile.FILE if purpose == "statement" else self.files.name(purpose)

    def make(self, purpose: Purpose) -> bytes:
        """See `KeyMaker`."""
        if purpose == "statement":
            return tpmfile.encode(tpmkey.create(self.tpm))
        return self.files.make(purpose)

    def open(self, purpose: Purpose, kept: bytes) -> StatementKey:
        """See `KeyMaker`. Raises Fault("tpm-foreign") for another chip's."""
        if purpose == "statement":
            return TpmKey(self.tpm, tpmfile.parse(kept))
        return self.files.open(purpose, kept)
