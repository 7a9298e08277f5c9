"""Short certificates as HTTP: a challenge, then the box's word on it, on one connection.

As with EST, anybody may make these calls: few connections (connections), few tries from one
address, small bodies. What is remembered of an asker lives and dies with its connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fastapi import FastAPI, Request, Response
from starlette.requests import ClientDisconnect

from sdbox_agent.centre import vouchwire, wire
from sdbox_agent.errors import DecodeError, Refused
from sdbox_centre import estapi, vouching
from sdbox_centre.estapi import Tries
from sdbox_centre.line import Line, Rank
from sdbox_centre.openapi import JSON, operation

if TYPE_CHECKING:
    from sdbox_centre.core import Centre
    from sdbox_centre.est import Est

TRIES: Final = 60  # from one address, a minute: behind it may stand all boxes of a house


def add_to(app: FastAPI, line: Line, centre: Centre, est_: Est | None) -> None:
    """Both calls. Without `est_` each is not-found."""
    tries = Tries(TRIES)

    async def challenge(request: Request) -> Response:
        estapi.est_here(est_)
        now_s = centre.utc_s()
        tries.one(request.client.host if request.client else "", now_s)
        value = _pending(request).issue(centre.random_bytes, now_s)
        return _answer(vouchwire.ChallengeAnswer(challenge=value))

    async def vouch(request: Request) -> Response:
        there, pending = estapi.est_here(est_), _pending(request)
        asked = await _body(request)
        value = pending.take(centre.utc_s())

        def call() -> bytes:
            return vouching.vouch(centre, there, value, asked)

        issued = await line.run(Rank.NEWCOMER, lambda: estapi.traced(centre, "vouch", call))
        return _answer(vouchwire.VouchAnswer(certificate=issued))

    challenge.__doc__ = vouchwire.ChallengeAnswer.__doc__
    vouch.__doc__ = vouchwire.VouchRequest.__doc__
    for name, call, asked in (
        ("challenge", challenge, None),
        ("vouch", vouch, vouchwire.VouchRequest),
    ):
        answer = vouchwire.ChallengeAnswer if asked is None else vouchwire.VouchAnswer
        app.post(
            f"/v1/{name}",
            name=name,
            response_class=Response,
            openapi_extra=operation(asked, answer),
        )(call)


def _pending(request: Request) -> vouching.Pending:
    found = request.scope["state"].get("pending")
    if not isinstance(found, vouching.Pending):
        raise Refused("challenge-unknown")
    return found


async def _body(request: Request) -> vouchwire.VouchRequest:
    raw = bytearray()
    try:
        async for chunk in request.stream():
            raw += chunk
            if len(raw) > vouchwire.MAX_REQUEST_BYTES:
                raise Refused("request-too-large")
        return wire.decode(bytes(raw), vouchwire.VouchRequest, vouchwire.MAX_REQUEST_BYTES)
    except (ClientDisconnect, DecodeError):
        raise Refused("request-invalid") from None


def _answer(message: vouchwire.ChallengeAnswer | vouchwire.VouchAnswer) -> Response:
    return Response(wire.encode(message), media_type=JSON)
