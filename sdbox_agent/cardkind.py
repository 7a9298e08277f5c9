"""What box, card worker and profile say of a card: its kind, and the fingers it holds.

A kind is one line of the box's profile: how cards of one maker are spoken to. A card is of the
first kind whose demands it meets. Knows no card and no file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

KeyName = Literal["9A", "9E"]  # key references a statement may be signed with
FingerKey = Literal["96", "97"]  # SP 800-73pt1-5 table 4b: on-card comparison, primary, secondary
VerifyForm = Literal["raw", "7f2e"]  # how a probe is wrapped: SP 800-73, or ISO/IEC 7816-11
Algorithm = Literal["P-256", "P-384", "RSA-2048", "RSA-3072"]  # SP 800-78-5 table 6-2

KindName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,39}\Z")]
Minutiae = Annotated[int, Meta(ge=1, le=255)]


class Bit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One biometric information template: a finger the card holds, and what probes it takes.

    ISO/IEC 19785-3 and 7816-11, as SP 800-73pt1-5 section 3.3.2 puts them into the BIT group.
    """

    key: FingerKey
    position: Annotated[int, Meta(ge=0, le=10)]  # ISO/IEC 19794-2:2005: 1 right thumb .. ; 0 unsaid
    minimum: Minutiae  # minutiae of a probe
    maximum: Minutiae
    order: Annotated[int, Meta(ge=0, le=255)]  # the BIT's order byte: 00 none, 09 ascending Y-X


class CardKind(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How cards of one kind are spoken to."""

    name: KindName
    access: Literal["pcsc", "pkcs11"] = "pcsc"
    aid: Annotated[bytes, Meta(min_length=5, max_length=16)] = bytes.fromhex(
        "A000000308000010000100"
    )  # the whole name of the application; PIV's (SP 800-73pt1-5 section 2.2)
    atr: Annotated[bytes, Meta(max_length=33)] = b""  # what its answer to reset begins with
    algorithms: Annotated[tuple[Algorithm, ...], Meta(min_length=1, max_length=4)] = (
        "P-256",
        "P-384",
        "RSA-3072",
        "RSA-2048",
    )
    proof_key: KeyName = "9E"  # what proves that the card is here, before any prompt
    pin_policy: Literal["never", "once"] = "never"  # what 9A and 9D ask for at host-match
    pad: bool = True  # the PIN goes in at the reader's own pad, where it has one
    comparison: Literal["host", "card"] = "host"
    verify: VerifyForm = "raw"
    module: Annotated[str, Meta(max_length=200)] = ""  # PKCS#11: the maker's library
    # PKCS#11: CK_TOKEN_INFO.serialNumber; empty: the one token the library shows, whichever it is
    token_serial: Annotated[str, Meta(max_length=16)] = ""

    def compares(self, bits: Sequence[Bit]) -> bool:
        """Whether a card of this kind that shows these fingers compares them by itself."""
        return self.comparison == "card" and bool(bits)
