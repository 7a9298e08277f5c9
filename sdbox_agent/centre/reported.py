"""What a box that is being made says of machine and network, beside its name and keys. Pure.

Of the network, lines of preflight's form (provision.preflight) without their words: results and
codes, no address and no name.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

MAX_MACHINE: Final = 200  # characters
MAX_USB: Final = 64  # devices
MAX_LINES: Final = 16

UsbId = Annotated[str, Meta(pattern=r"^[0-9a-f]{4}:[0-9a-f]{4}\Z")]


class Measured(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line. `code`: why it is not well, "" where it is."""

    what: Annotated[str, Meta(pattern=r"^[a-z]{1,20}\Z")]
    result: Literal["ok", "warn", "failed", "open"]
    code: Annotated[str, Meta(pattern=r"^([a-z][a-z0-9-]{1,40})?\Z")] = ""


Network = Annotated[tuple[Measured, ...], Meta(max_length=MAX_LINES)]
