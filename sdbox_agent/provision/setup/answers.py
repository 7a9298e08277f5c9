"""The answers file: all that makes a fresh machine this one box. Written and read here.

The centre writes it from an order of a box and a member of staff signs it (signature.py). It holds
a one-time token, so it is never copied to the box's disk: `box` is what stays, as box.toml. Pure.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from msgspec import Meta

from sdbox_agent.errors import DecodeError, Fault
from sdbox_agent.pki import chain
from sdbox_agent.profile import schema, toml
from sdbox_agent.profile.hardware import Closed, Label
from sdbox_agent.profile.schema import (
    Box,
    BoxName,
    Centre,
    Disk,
    Lan,
    Name,
    Proxy,
    Serial,
)
from sdbox_agent.profile.toml import TomlRefused

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES: Final = toml.MAX_BYTES
DETECT: Final = "detect"  # no profile is called so: setup looks which one is of this machine

Token = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{43}\Z")]  # 32 random bytes, base64url
Der = Annotated[bytes, Meta(min_length=1, max_length=4096)]
Authorities = Annotated[tuple[Der, ...], Meta(min_length=1, max_length=8)]
UtcS = Annotated[int, Meta(ge=1_767_225_600, le=2**40)]  # 2026 and later


class Template(Closed, frozen=True, kw_only=True):
    """What of the answers an operator writes down, and neither order nor authorities say.

    Not `serial`: the centre counts the files that it has written for a box.
    """

    profile: Name = DETECT
    language: Literal["fr", "en"] = "fr"
    centre: Centre
    lan: Lan = Lan()
    proxy: Proxy | None = None
    disk: Disk = Disk()


class Anchors(Closed, frozen=True, kw_only=True):
    """Authorities, each the base64 of a DER certificate: whom the box believes, in what."""

    centre: Authorities  # the centre's servers
    cards: Authorities  # holders' cards
    desk: Authorities  # what the enrolment desks sign
    boxes: Authorities  # the box's own two certificates


class Hosting(Closed, frozen=True, kw_only=True):
    """Where the box will stand, and by whose leave."""

    voucher: Label  # the host's agreement: one a box
    place: Label


class Answers(Closed, frozen=True, kw_only=True):
    """The file. Everything but `token`, `until_s`, `hosting` and `anchors` becomes box.toml."""

    v: Literal[1]
    box: BoxName
    token: Token
    until_s: UtcS  # not from then on
    profile: Name = DETECT
    language: Literal["fr", "en"] = "fr"
    centre: Centre
    lan: Lan = Lan()
    proxy: Proxy | None = None
    disk: Disk = Disk()
    serial: Serial = 0  # one more than the file before it for this box
    hosting: Hosting | None = None
    anchors: Anchors


def parse(data: bytes) -> Answers:
    """Read an answers file. Raises TomlRefused (line, and a reason that quotes no value)."""
    answers = toml.parse(data, Answers)
    text = data.decode()
    schema.check_addresses(text, answers.centre, answers.lan, answers.proxy)
    if answers.centre.is_named and not answers.centre.addresses:
        line = toml.line_of(text, ("centre", "addresses"))
        reason = "missing, and centre.host is a name: the walls know addresses only"
        raise TomlRefused(line, f"centre.addresses: {reason}")
    for name in Anchors.__struct_fields__:
        _check_authorities(text, name, getattr(answers.anchors, name))
    return answers


def box_of(answers: Answers, profile: str) -> Box:
    """What stays on the box, with the profile that was chosen."""
    said = set(Answers.__struct_fields__) - {"profile"}
    same = (name for name in Box.__struct_fields__ if name in said)
    return Box(profile=profile, **{name: getattr(answers, name) for name in same})


def box_toml(box: Box) -> bytes:
    """box.toml, in its one form: `schema.parse_box` reads it back."""
    return b"".join(_lines(box))


def encode(answers: Answers) -> bytes:
    """The answers file, in its one form: `parse` reads it back."""
    return b"".join(_lines(answers))


def pem(authorities: Authorities) -> bytes:
    """As the files of `anchors/` hold them."""
    loaded = map(x509.load_der_x509_certificate, authorities)
    return b"".join(one.public_bytes(Encoding.PEM) for one in loaded)


def _check_authorities(text: str, name: str, found: Authorities) -> None:
    try:
        given = chain.authorities(found)
    except (DecodeError, Fault):
        raise _authority_refused(text, name, "not the certificate of an authority") from None
    if not given.anchors:
        raise _authority_refused(text, name, "none of them has signed itself, so none is an anchor")


def _authority_refused(text: str, name: str, why: str) -> TomlRefused:
    keys = ("anchors", name)
    remedy = "have the centre write the file again"
    return TomlRefused(toml.line_of(text, keys), f"{'.'.join(keys)}: {why}; {remedy}")


def _lines(value: Box | Answers) -> Iterator[bytes]:
    """Plain values first, as TOML wants it; then a table for each structure that is not empty."""
    tables = []
    for name in value.__struct_fields__:
        found = getattr(value, name)
        if isinstance(found, msgspec.Struct):
            tables.append((name, found))
        elif found is not None:
            yield _line(name, found)
    for name, table in tables:
        said = [(each, getattr(table, each)) for each in table.__struct_fields__]
        yield f"\n[{name}]\n".encode()
        yield from (_line(each, found) for each, found in said)


def _line(name: str, value: Any) -> bytes:  # noqa: ANN401  a str, int, bool, or a tuple of str or bytes
    if isinstance(value, tuple):
        inside = "".join(f"\n  {_scalar(each)}," for each in value)
        return f"{name} = [{inside}{chr(10) if inside else ''}]\n".encode()
    return f"{name} = {_scalar(value)}\n".encode()


def _scalar(value: str | bytes | int) -> str:
    """JSON's form is TOML's, but for DEL, which no pattern of ours lets in."""
    if isinstance(value, bytes):
        value = base64.b64encode(value).decode()
    return msgspec.json.encode(value).decode()
