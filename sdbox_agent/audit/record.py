"""One line of the audit record: what happened on this box, and nothing about who.

A line is the compact JSON of its fields in the order below, so each entry has exactly one form.
Every text field has a closed alphabet: no newline, escape sequence or word of a holder's can get
in (fault 94), whatever a certificate, a card or the centre calls itself. Pure.
"""

from __future__ import annotations

import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from sdbox_agent.errors import DecodeError
from sdbox_agent.terms import Level  # noqa: TC001  msgspec reads it at run time

MAX_LINE_BYTES: Final = 1024
GENESIS: Final = "0" * 64  # `prev` of the first entry

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:-]{1,100}\Z")]
Code = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{1,40}\Z")]
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Utc = Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z\Z")]
Count = Annotated[int, Meta(ge=0, le=2**53)]
Result = Literal["ok", "ask-again", "refused", "fault", "bug"]

_MAX_UTC_S: Final = 253_402_300_799  # 9999-12-31T23:59:59Z


class Entry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The final fields. `code` stands in errors.toml or names an event of ours."""

    v: Literal[1] = 1
    seq: Annotated[int, Meta(ge=1, le=2**53)]
    prev: Digest  # SHA-256 of the line before, without its newline
    boot_id: Name
    mono_ms: Count
    utc: Utc | None  # the trusted clock; null before the first hello
    code: Code
    session: Name | None
    level: Level | None
    result: Result
    sha256: Digest | UnsetType = UNSET  # of what was received, where something was


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(Entry)


def encode(entry: Entry) -> bytes:
    """The line, without its newline. Raises DecodeError if a field holds what it may not."""
    line = _encoder.encode(entry)
    decode(line)  # types are only checked on the way in
    return line


def decode(line: bytes) -> Entry:
    """Read a line, without its newline. Raises DecodeError for anything but `encode`'s form."""
    if len(line) > MAX_LINE_BYTES:
        raise DecodeError("audit line: too long")
    try:
        entry = _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise DecodeError("audit line: fields") from None
    if _encoder.encode(entry) != line or b"\n" in line:
        raise DecodeError("audit line: not in its one form")
    return entry


def utc_text(utc_s: int) -> str:
    """RFC 3339, whole seconds, Z."""
    moment = datetime.datetime.fromtimestamp(min(max(utc_s, 0), _MAX_UTC_S), datetime.UTC)
    return moment.isoformat().replace("+00:00", "Z")
