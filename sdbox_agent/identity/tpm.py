"""[door] The box's security chip: a TPM 2.0, by the kernel's resource manager.

One connection, made when something is asked and made again after it broke; any thread may ask, one
at a time. The chip is slow (a signature takes tens of milliseconds, the parent of a key some
hundreds) and asked seldom. What it answers becomes a Fault by its code; nothing of its words is
kept, and the library's own log is off.

A TPM's private keys never come here. Authorisations are empty: who may ask is decided by who may
open the device (group tss), as the kernel's own keys are the kernel's.
"""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from tpm2_pytss import ESAPI, TSS2_Exception
from tpm2_pytss.constants import ESYS_TR, TPM2_CAP, TPM2_HT
from tpm2_pytss.types import TPM2B_DATA, TPM2B_PUBLIC, TPM2B_SENSITIVE_CREATE, TPML_PCR_SELECTION

from sdbox_agent.errors import Fault
from sdbox_agent.identity import tpmfile
from sdbox_agent.state.trusted import FileRefused

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

DEVICE: Final = Path("/dev/tpmrm0")
QUIET: Final = ("TSS2_LOG", "all+none")
MAX_HANDLES: Final = 64

# TPM 2.0 Library, part 2, 6.6.3: a warning is its number alone; format-one codes carry in bits 6
# and 8 to 11 which parameter, handle or session they speak of.
_LAYER: Final = 0xFF_0000  # TSS 2.0 overview, 3.4: who says it; 0 is the chip
_FORMAT_ONE, _WHICH = 0x80, 0xF40
RC_INTEGRITY: Final = 0x9F
RC_HANDLE: Final = 0x8B
RC_NV_UNINITIALIZED: Final = 0x14A
RC_LOCKOUT: Final = 0x921
_BUSY: Final = frozenset({
    0x902, 0x903, 0x904,  # OBJECT_MEMORY, SESSION_MEMORY, MEMORY: others hold all its places
    0x908, 0x90A, 0x920, 0x922, 0x923,  # YIELDED, TESTING, NV_RATE, RETRY, NV_UNAVAILABLE
})  # fmt: skip


def code_of(rc: int) -> str:
    """What a response code is to an operator: a code of errors.toml."""
    if rc & _LAYER:
        return "tpm-away"  # the library, or the way to the chip
    if rc in _BUSY:
        return "tpm-busy"
    if rc == RC_LOCKOUT:
        return "tpm-locked-out"
    return "tpm-failed"


def plain(rc: int) -> int:
    """A chip's response code without which of its arguments it means."""
    return rc & ~_WHICH if rc & _FORMAT_ONE and not rc & _LAYER else rc


class Said(Exception):  # noqa: N818  an answer, for whoever knows what to make of it
    """The chip's response code, plain."""

    def __init__(self, rc: int) -> None:
        super().__init__(hex(rc))
        self.rc = rc


class Tpm:
    """The chip behind `device`. Nothing is opened before it is asked."""

    def __init__(self, device: Path = DEVICE) -> None:
        self._device = device
        self._esapi: ESAPI | None = None
        self.connection = 0  # goes up with each: what was loaded in an older one is gone
        self._one_at_a_time = threading.Lock()  # the loop for a receipt, a caller to vouch

    def close(self) -> None:
        """Let go of the device; the kernel drops what we had loaded."""
        with self._one_at_a_time:
            self._close()

    def _close(self) -> None:
        if self._esapi is not None:
            self._esapi.close()
            self._esapi = None

    def ask(
        self, do: Callable[[ESAPI], T], *, again: bool = True, expects: frozenset[int] = frozenset()
    ) -> T:
        """Have the chip do it; once more on a new connection if the one at hand has broken.

        `again=False` for what must not happen twice. Raises Said for a code that the caller
        `expects`, Fault tpm-away, tpm-busy, tpm-locked-out, tpm-failed.
        """
        with self._one_at_a_time:
            had = self._esapi is not None
            try:
                return self._once(do, expects)
            except Fault as fault:
                if fault.code != "tpm-away" or not (had and again):
                    raise
            return self._once(do, expects)

    def _once(self, do: Callable[[ESAPI], T], expects: frozenset[int]) -> T:
        try:
            return do(self._open())
        except TSS2_Exception as error:
            rc = plain(error.rc)
        if rc in expects:
            raise Said(rc)
        self._close()  # what was loaded may be gone, or be what it lacks the room for
        raise Fault(code_of(rc))

    def _open(self) -> ESAPI:
        if self._esapi is None:
            os.environ.setdefault(*QUIET)
            esapi = ESAPI(way_to(self._device))
            try:
                _flush(esapi)
            except TSS2_Exception:
                esapi.close()
                raise
            self._esapi, self.connection = esapi, self.connection + 1
        return self._esapi

    def name(self) -> bytes:
        """Which chip this is: the name of a key that only its endorsement seed makes.

        A chip that is cleared keeps that seed, and makes the key again. Raises Fault.
        """
        return self.ask(_endorsed)

    def clear(self) -> None:
        """Retire the box: no key that this chip ever wrapped is taken again, wherever copies lie.

        What else rests on the chip goes too, such as a disk's key. Raises Fault.
        """
        self.ask(lambda esapi: esapi.clear(ESYS_TR.RH_LOCKOUT), again=False)
        self.close()


def way_to(device: Path) -> str:
    """The device as the TSS names it.

    The place of the real one holds a device, nothing else; elsewhere (a root of its own) a socket
    may stand for it. Raises Fault("tpm-away"), FileRefused if this user may not open it.
    """
    try:
        mode = device.stat().st_mode
    except OSError:
        raise Fault("tpm-away") from None
    if stat.S_ISSOCK(mode) and device != DEVICE:
        return f"swtpm:path={device}"
    if not stat.S_ISCHR(mode):
        raise Fault("tpm-away")
    if not os.access(device, os.R_OK | os.W_OK):
        raise FileRefused("tpm-away", str(device), 0, "not open to this user: group tss")
    return f"device:{device}"


def primary(esapi: ESAPI, hierarchy: ESYS_TR) -> tuple[ESYS_TR, TPM2B_PUBLIC]:
    """The parent key that the hierarchy's seed makes, the same at each call. To be flushed."""
    handle, public, _, _, _ = esapi.create_primary(
        in_sensitive=TPM2B_SENSITIVE_CREATE(),
        in_public=sized_public(tpmfile.PARENT),
        primary_handle=hierarchy,
        outside_info=TPM2B_DATA(),
        creation_pcr=TPML_PCR_SELECTION(),
    )
    return handle, public


def sized_public(area: bytes) -> TPM2B_PUBLIC:
    """A public area as the library wants it."""
    public, _ = TPM2B_PUBLIC.unmarshal(len(area).to_bytes(2) + area)
    return public


def _endorsed(esapi: ESAPI) -> bytes:
    handle, public = primary(esapi, ESYS_TR.RH_ENDORSEMENT)
    esapi.flush_context(handle)
    return bytes(public.get_name())


def _flush(esapi: ESAPI) -> None:
    """Free what a process before us left there when it was killed.

    The kernel's resource manager shows each its own alone, and there is nothing then; a chip
    without one has three places, and one client.
    """
    _, found = esapi.get_capability(TPM2_CAP.HANDLES, TPM2_HT.TRANSIENT << 24, MAX_HANDLES)
    handles = found.data.handles
    for at in range(handles.count):
        esapi.flush_context(esapi.tr_from_tpmpublic(handles[at]))
