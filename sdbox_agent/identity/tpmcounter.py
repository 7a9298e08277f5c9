"""[door] A counter in the TPM that only goes up: what the state record is held against.

An NV index of type counter. Who deletes it and makes it again gets one that goes on above every
counter the chip has ever had (TPM 2.0 Library, part 3, 31.3); one of another type in its place,
with a number of somebody's choice in it, is not taken for it.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from tpm2_pytss.constants import ESYS_TR, TPM2_ALG, TPM2_NT, TPMA_NV
from tpm2_pytss.types import TPM2B_NV_PUBLIC, TPMS_NV_PUBLIC
from typing_extensions import override

from sdbox_agent.errors import Fault
from sdbox_agent.identity.tpm import RC_HANDLE, RC_NV_UNINITIALIZED, Said, Tpm
from sdbox_agent.state.counter import Counter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tpm2_pytss import ESAPI

# TCG registry of reserved handles, 2.2.2: 0x0180_0000 to 0x01BF_FFFF are the owner's
INDEX: Final = 0x0180_5DB0
SIZE_BYTES: Final = 8
# Not ORDERLY: such a counter may lose or skip steps when the power goes.
ATTRIBUTES: Final = (TPM2_NT.COUNTER << TPMA_NV.TPM2_NT_SHIFT) | (
    TPMA_NV.AUTHWRITE | TPMA_NV.AUTHREAD | TPMA_NV.NO_DA
)
_MISSING: Final = frozenset({RC_HANDLE, RC_NV_UNINITIALIZED})


class TpmCounter(Counter):
    """The one at INDEX."""

    def __init__(self, tpm: Tpm) -> None:
        self._tpm = tpm

    def make(self) -> int:
        """Provisioning's act, and again is no harm: there is a counter, and this is its value.

        Raises Fault("counter-lost") if something else stands in its place, and as `Tpm.ask`.
        """
        try:
            return self.value()
        except Fault as fault:
            if fault.code != "counter-lost":
                raise
        try:
            self._tpm.ask(_check, expects=_MISSING)
        except Said:
            self._tpm.ask(_define)
        return self.advance()  # before its first step it has no value

    @override
    def value(self) -> int:
        try:
            return self._tpm.ask(_read, expects=_MISSING)
        except Said:
            raise Fault("counter-lost") from None

    @override
    def advance(self) -> int:
        try:
            return self._tpm.ask(_step, again=False, expects=_MISSING)
        except Said:
            raise Fault("counter-lost") from None


def _define(esapi: ESAPI) -> None:
    public = TPMS_NV_PUBLIC(
        nvIndex=INDEX, nameAlg=TPM2_ALG.SHA256, attributes=ATTRIBUTES, dataSize=SIZE_BYTES
    )
    esapi.nv_define_space(None, TPM2B_NV_PUBLIC(nvPublic=public))


@contextlib.contextmanager
def _counter(esapi: ESAPI) -> Iterator[ESYS_TR]:
    """Its handle. Raises Fault("counter-lost") if it is no counter."""
    handle = esapi.tr_from_tpmpublic(INDEX)
    try:
        public, _ = esapi.nv_read_public(handle)
        kind = (int(public.nvPublic.attributes) & TPMA_NV.TPM2_NT_MASK) >> TPMA_NV.TPM2_NT_SHIFT
        if kind != TPM2_NT.COUNTER or public.nvPublic.dataSize != SIZE_BYTES:
            raise Fault("counter-lost")
        yield handle
    finally:
        esapi.tr_close(handle)  # the library's note of it, not the chip's


def _check(esapi: ESAPI) -> None:
    with _counter(esapi):
        pass


def _read(esapi: ESAPI) -> int:
    with _counter(esapi) as handle:
        return _value(esapi, handle)


def _step(esapi: ESAPI) -> int:
    with _counter(esapi) as handle:
        esapi.nv_increment(handle, auth_handle=handle)
        return _value(esapi, handle)


def _value(esapi: ESAPI, handle: ESYS_TR) -> int:
    data = esapi.nv_read(handle, SIZE_BYTES, 0, auth_handle=handle)
    return int.from_bytes(bytes(data))
