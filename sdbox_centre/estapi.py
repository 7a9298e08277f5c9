"""EST as HTTP (RFC 7030): base64 in, certificates out, refusals as everywhere else.

The only calls that somebody without a certificate may make: few connections (connections), few
tries from one address, small bodies.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import msgspec
from fastapi import FastAPI, Request, Response
from starlette.requests import ClientDisconnect

from sdbox_agent.centre import wire
from sdbox_agent.errors import Fault, Refused
from sdbox_agent.pki import certsonly
from sdbox_centre import est
from sdbox_centre.line import Line, Rank
from sdbox_centre.openapi import JSON
from sdbox_centre.store import note

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdbox_agent.pki.boxcertificate import Purpose
    from sdbox_centre.core import Centre
    from sdbox_centre.est import Est

# RFC 7030 sections 3.2.2, 4.1.3, 4.2.1, 4.2.3
PATH: Final = "/.well-known/est"
REQUEST: Final = "application/pkcs10"
CERTIFICATES: Final = "application/pkcs7-mime"
CERTS_ONLY: Final = "application/pkcs7-mime; smime-type=certs-only"
BASE64: Final = {"content-transfer-encoding": "base64"}  # RFC 8951 section 3.1: for older clients
REALM: Final = {"www-authenticate": 'Basic realm="sdbox", charset="UTF-8"'}  # RFC 7617 section 2

# Ours
MAX_BODY_BYTES: Final = 2048  # csr.MAX_CSR_BYTES in base64, with its lines
TRIES: Final = 20  # from one address, in
TRIES_S: Final = 60
MAX_ADDRESSES: Final = 1024  # remembered
_BASIC: Final = re.compile(r"[Bb]asic ([A-Za-z0-9+/=]{1,200})")


class Tries:
    """How often an address, or a box, has tried in this minute. In the event loop alone."""

    def __init__(self, most: int | None = None) -> None:
        """`most`: another number of them than TRIES."""
        self._most = most
        self._since_s = 0
        self._of: dict[str, int] = {}

    def one(self, address: str, now_s: int) -> None:
        """One more. Raises Fault: centre-busy."""
        if not 0 <= now_s - self._since_s < TRIES_S:
            self._since_s, self._of = now_s, {}
        tries = self._of.get(address, 0) + 1
        most = TRIES if self._most is None else self._most
        if tries > most or (address not in self._of and len(self._of) >= MAX_ADDRESSES):
            raise Fault("centre-busy")
        self._of[address] = tries


def add_to(app: FastAPI, line: Line, centre: Centre, est_: Est | None) -> None:
    """All its calls. Without `est_` each is not-found."""
    tries = Tries()

    async def cacerts(_request: Request) -> Response:
        anchors = est_here(est_).anchors
        return _answer(certsonly.encode(*anchors), CERTIFICATES)

    async def successors(_request: Request) -> Response:
        after = est_here(est_).successors
        if not after:
            raise Refused("not-found")
        return _answer(certsonly.encode(*after), CERTIFICATES)

    _describe(app.get, "/cacerts", cacerts, "The boxes' authorities that are in force.", None)
    said = "What comes after the centre's own authority, and the old one's word for it."
    _describe(app.get, "/centre/cacerts", successors, said, None)
    for purpose, label in (("tls", ""), ("statement", "/statement")):
        _add_enroll(app, line, centre, est_, (purpose, label), tries)  # type: ignore[arg-type]
    _add_reenroll(app, line, centre, est_, Tries())  # whom no stranger can keep out


def _add_enroll(
    app: FastAPI,
    line: Line,
    centre: Centre,
    est_: Est | None,
    kind: tuple[Purpose, str],
    tries: Tries,
) -> None:
    purpose, label = kind

    async def enroll(request: Request) -> Response:
        there = est_here(est_)
        tries.one(request.client.host if request.client else "", centre.utc_s())
        box, token = _basic(request)
        csr_der = await _csr(request)

        def call() -> bytes:
            asked = est.read(csr_der, purpose, box, token)
            return est.enroll(centre, there, asked)

        issued = await line.run(Rank.NEWCOMER, lambda: traced(centre, "est-enroll", call))
        return _answer(certsonly.encode(issued), CERTS_ONLY)

    said = f"A first {purpose} certificate, for the token of the box's order (HTTP Basic)."
    _describe(app.post, f"{label}/simpleenroll", enroll, said, REQUEST)


def _add_reenroll(app: FastAPI, line: Line, centre: Centre, est_: Est | None, tries: Tries) -> None:
    async def reenroll(request: Request) -> Response:
        there, peer = est_here(est_), peer_of(request)
        tries.one(hashlib.sha256(peer).hexdigest(), centre.utc_s())
        csr_der = await _csr(request)

        def call() -> bytes:
            return est.reenroll(centre, there, peer, est.read(csr_der, "tls"))

        issued = await line.run(Rank.NEWCOMER, lambda: traced(centre, "est-reenroll", call))
        return _answer(certsonly.encode(issued), CERTS_ONLY)

    said = "A new TLS certificate on the same key, from two thirds of the life of the box's own on."
    _describe(app.post, "/simplereenroll", reenroll, said, REQUEST)


def est_here(est_: Est | None) -> Est:
    """The boxes' authority. Raises Refused: not-found, where there is none."""
    if est_ is None:
        raise Refused("not-found")
    return est_


def peer_of(request: Request) -> bytes:
    """The certificate this connection was made with, DER. Raises Refused: box-refused."""
    peer = request.scope["state"].get("peer_certificate")
    if not isinstance(peer, bytes) or not peer:
        raise Refused("box-refused")
    return peer


def traced(centre: Centre, act: str, call: Callable[[], bytes]) -> bytes:
    """What is refused is written down; whose it was said to be, nobody has proved."""
    try:
        return call()
    except Refused as refusal:
        with centre.store.begin() as tx:
            note(tx, centre.utc_s(), act, refusal.code)
        raise


def _basic(request: Request) -> tuple[str, str]:
    """Name and password (RFC 7617 section 2). Raises Refused: box-token-wrong."""
    found = _BASIC.fullmatch(request.headers.get("authorization", ""))
    try:
        text = base64.b64decode(found[1] if found else "", validate=True).decode("ascii")
    except ValueError:  # binascii's and UTF-8's are ValueErrors
        raise Refused("box-token-wrong") from None
    box, colon, token = text.partition(":")
    if not colon or not token:
        raise Refused("box-token-wrong")
    return box, token


async def _csr(request: Request) -> bytes:
    """Raises Refused: request-invalid, request-too-large, box-request-invalid."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != REQUEST:
        raise Refused("request-invalid")
    raw = bytearray()
    try:
        async for chunk in request.stream():
            raw += chunk
            if len(raw) > MAX_BODY_BYTES:
                raise Refused("request-too-large")
    except ClientDisconnect:
        raise Refused("request-invalid") from None
    try:
        return base64.b64decode(bytes(raw).translate(None, b"\r\n"), validate=True)
    except binascii.Error:
        raise Refused("box-request-invalid") from None


def _answer(envelope_der: bytes, media_type: str) -> Response:
    return Response(base64.encodebytes(envelope_der), 200, BASE64, media_type=media_type)


def _describe(
    method: Callable[..., Any], path: str, call: Callable[..., Any], said: str, body: str | None
) -> None:
    """Enter a call, and what OpenAPI says of it."""
    call.__doc__ = said
    text = {"schema": {"type": "string", "contentEncoding": "base64"}}
    problem = {"schema": msgspec.json.schema(wire.Problem)["$defs"]["Problem"]}
    statuses = (400, 401, 403, 404, 409, 413, 500, 503)
    refused = {"description": "Refused: the code says why.", "content": {JSON: problem}}
    answer = CERTIFICATES if body is None else CERTS_ONLY
    described: dict[str, Any] = {
        "responses": {
            "200": {"description": "Certificates, and nothing else.", "content": {answer: text}},
            **{str(status): refused for status in statuses},
        }
    }
    if body is not None:
        described["requestBody"] = {"required": True, "content": {body: text}}
    name = "est" + path.replace("/", "-")
    method(f"{PATH}{path}", name=name, response_class=Response, openapi_extra=described)(call)


def status_of(code: str) -> HTTPStatus | None:
    """The status of a refusal that is of EST alone."""
    if code.startswith("box-token-"):
        return HTTPStatus.UNAUTHORIZED
    return HTTPStatus.BAD_REQUEST if code == "box-request-invalid" else None
