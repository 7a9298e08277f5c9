"""[door] A statement key that is made in the TPM and used there: it can't be copied, only used."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, TypeVar

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from tpm2_pytss.constants import ESYS_TR, TPM2_ALG, TPM2_RH, TPM2_ST
from tpm2_pytss.types import (
    TPM2B_DATA,
    TPM2B_PRIVATE,
    TPM2B_PUBLIC,
    TPM2B_SENSITIVE_CREATE,
    TPML_PCR_SELECTION,
    TPMS_SCHEME_HASH,
    TPMT_SIG_SCHEME,
    TPMT_TK_HASHCHECK,
    TPMU_SIG_SCHEME,
)
from typing_extensions import override

from sdbox_agent.errors import DecodeError, Fault
from sdbox_agent.identity import tpmfile
from sdbox_agent.identity.port import StatementKey
from sdbox_agent.identity.tpm import RC_INTEGRITY, Said, Tpm, primary, sized_public
from sdbox_agent.identity.tpmfile import WrappedKey
from sdbox_agent.pki.certificate import spki

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric import ec
    from tpm2_pytss import ESAPI

T = TypeVar("T")

_NOT_ITS_OWN: Final = frozenset({RC_INTEGRITY})


class TpmKey(StatementKey):
    """A wrapped key and the chip it is of."""

    def __init__(self, tpm: Tpm, wrapped: WrappedKey) -> None:
        """Have the chip take the key: no other's, nor its own from before it was cleared.

        Raises Fault("tpm-foreign"), Fault("tpm-cleared"), and as `Tpm.ask`.
        """
        self._tpm = tpm
        self._wrapped = wrapped
        self._public_key = wrapped.public_key
        self._handle: ESYS_TR | None = None
        self._connection = 0
        self._ask(self._loaded)

    @property
    @override
    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._public_key

    @property
    @override
    def public_key_der(self) -> bytes:
        return spki(self._public_key)

    @property
    @override
    def copyable(self) -> bool:
        return False

    @override
    def sign(self, message: bytes) -> bytes:
        digest = hashlib.sha256(message).digest()
        return self._ask(lambda esapi: self._sign(esapi, digest))

    def _ask(self, do: Callable[[ESAPI], T]) -> T:
        try:
            return self._tpm.ask(do, expects=_NOT_ITS_OWN)
        except Said:
            same = self._tpm.name() == self._wrapped.chip
            raise Fault("tpm-cleared" if same else "tpm-foreign") from None

    def _sign(self, esapi: ESAPI, digest: bytes) -> bytes:
        # `answer` must live as long as what is read of it: its members are views, not copies.
        answer = esapi.sign(
            self._loaded(esapi),
            digest,
            TPMT_SIG_SCHEME(
                scheme=TPM2_ALG.ECDSA,
                details=TPMU_SIG_SCHEME(ecdsa=TPMS_SCHEME_HASH(hashAlg=TPM2_ALG.SHA256)),
            ),
            # the key is not restricted: it signs digests made outside (part 3, 20.2)
            TPMT_TK_HASHCHECK(tag=TPM2_ST.HASHCHECK, hierarchy=TPM2_RH.NULL),
        )
        r, s = bytes(answer.signature.ecdsa.signatureR), bytes(answer.signature.ecdsa.signatureS)
        return encode_dss_signature(int.from_bytes(r), int.from_bytes(s))

    def _loaded(self, esapi: ESAPI) -> ESYS_TR:
        if self._handle is None or self._connection != self._tpm.connection:
            private, _ = TPM2B_PRIVATE.unmarshal(self._wrapped.private)
            public, _ = TPM2B_PUBLIC.unmarshal(self._wrapped.public)
            parent, _ = primary(esapi, ESYS_TR.RH_OWNER)
            try:
                self._handle = esapi.load(parent, private, public)
            finally:
                esapi.flush_context(parent)
            self._connection = self._tpm.connection
        return self._handle


def create(tpm: Tpm) -> WrappedKey:
    """A new key, made by the chip and to be kept wrapped: nothing of it stays in the chip.

    Raises Fault as `Tpm.ask`.
    """
    chip = tpm.name()
    public, private = tpm.ask(_create)
    wrapped = WrappedKey(chip, public, private)
    try:
        return tpmfile.parse(tpmfile.encode(wrapped))
    except DecodeError:  # a chip with ideas of its own
        raise Fault("tpm-failed") from None


def _create(esapi: ESAPI) -> tuple[bytes, bytes]:
    parent, _ = primary(esapi, ESYS_TR.RH_OWNER)
    try:
        private, public, _, _, _ = esapi.create(
            parent,
            TPM2B_SENSITIVE_CREATE(),
            sized_public(tpmfile.TEMPLATE),
            TPM2B_DATA(),
            TPML_PCR_SELECTION(),
        )
    finally:
        esapi.flush_context(parent)
    return public.marshal(), private.marshal()
