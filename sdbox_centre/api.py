"""The calls of centre/wire.py as HTTP: bodies in, bodies out, refusals as Problem, all traced.

No header is ever believed. The box is the certificate of the connection, put into the scope by
`server`; what a call means is the business of sessions and tunnels.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeVar, cast
from urllib.parse import parse_qs

import msgspec
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse

from sdbox_agent.centre import eventstream, wire
from sdbox_agent.errors import AskAgain, DecodeError, Fault, Refused, SdboxError
from sdbox_centre import boxlife, estapi, link, places, review, rows, sessions, tunnels, vouchapi
from sdbox_centre.connections import Connections, fingerprint_of
from sdbox_centre.core import box_of, delivered
from sdbox_centre.line import RETRY_AFTER_S, Line, Rank
from sdbox_centre.openapi import JSON, operation, stream
from sdbox_centre.store import Away, note
from sdbox_centre.streams import Streams

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sdbox_centre.core import Centre
    from sdbox_centre.est import Est

Answer = TypeVar("Answer")

log = logging.getLogger("sdbox.centre")


class _Call(Protocol):
    def __call__(
        self,
        centre: Centre,
        fingerprint: bytes,
        request: Any,  # noqa: ANN401  of the type that stands beside it in CALLS
        digest: bytes,
        /,
    ) -> bytes: ...


class _Seeing(Protocol):
    def __call__(
        self,
        centre: Centre,
        fingerprint: bytes,
        request: Any,  # noqa: ANN401  as above
        digest: bytes,
        network: str | None = None,
        /,
    ) -> bytes: ...


class _Kind(NamedTuple):
    request: type[Any]
    answer: type[Any]
    call: _Call
    rank: Rank


CALLS: Final = {
    "hello": _Kind(wire.HelloRequest, wire.HelloAnswer, sessions.hello, Rank.NEWCOMER),
    "proof": _Kind(wire.ProofRequest, wire.ProofAnswer, sessions.proof, Rank.UNDER_WAY),
    "attempt": _Kind(wire.AttemptRequest, wire.AttemptAnswer, sessions.attempt, Rank.UNDER_WAY),
    "receipt": _Kind(wire.ReceiptRequest, wire.ReceiptAnswer, tunnels.receipt, Rank.UNDER_WAY),
    "renew": _Kind(wire.RenewRequest, wire.RenewAnswer, tunnels.renew, Rank.LEASE),
    "end": _Kind(wire.EndRequest, wire.EndAnswer, sessions.end, Rank.LEASE),
    "health": _Kind(wire.HealthRequest, wire.HealthAnswer, link.health, Rank.NEWCOMER),
    "report": _Kind(wire.ReportRequest, wire.ReportAnswer, boxlife.report, Rank.NEWCOMER),
    "retire": _Kind(wire.RetireRequest, wire.RetireAnswer, boxlife.retire, Rank.NEWCOMER),
}
# Of these, those that are told where the box came from: see places.
SEEING: Final[dict[str, _Seeing]] = {"hello": sessions.hello, "health": link.health}
_HAVE: Final = {
    "name": "have",
    "in": "query",
    "schema": {"type": "string", "pattern": "^([0-9a-f]{64}(,[0-9a-f]{64}){0,7})?$"},
}
_STATUS: Final = {  # all other codes: by their class
    "request-invalid": HTTPStatus.BAD_REQUEST,
    "request-too-large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "not-found": HTTPStatus.NOT_FOUND,
    "challenge-used": HTTPStatus.CONFLICT,
    "session-elsewhere": HTTPStatus.CONFLICT,
}


class _Body(NamedTuple):
    message: Any
    digest: bytes  # SHA-256 of the bytes as they came: "the same bytes again"


def make_app(
    centre: Centre,
    crls: Callable[[], tuple[bytes, ...]],
    est: Est | None = None,
    *,
    docs: bool = False,
) -> FastAPI:
    """The application. `docs` serves its OpenAPI description, for development only.

    Without `est`, boxes get no certificate here, and nobody comes in without one.
    """
    line = Line()
    connections = Connections()
    streams = Streams(centre, crls, connections)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(streams.feed()), asyncio.create_task(_sweep(line, centre))]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        streams.close()
        line.close()

    app = FastAPI(
        title="SD-Box centre",
        version=str(wire.WIRE_MAX),
        openapi_url="/openapi.json" if docs else None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},
        lifespan=lifespan,
    )
    for name, kind in CALLS.items():
        _add_call(app, line, centre, name, kind)
    _add_crls(app, line, centre, crls)
    _add_link(app, line, centre, streams)
    estapi.add_to(app, line, centre, est)
    vouchapi.add_to(app, line, centre, est)
    app.state.anonymous = est is not None
    app.state.connections, app.state.streams = connections, streams
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(SdboxError, _problem)
    app.add_exception_handler(Exception, _unforeseen)
    return app


async def _sweep(line: Line, centre: Centre) -> None:
    """Dates pass while nobody acts."""
    while True:
        await asyncio.sleep(review.EVERY_S)
        try:
            await line.run(Rank.LEASE, lambda: review.sweep(centre))
        except Exception:  # the next one may do; leases end without it
            log.exception("sessions were not reviewed")


def description() -> dict[str, Any]:
    """OpenAPI of the whole, as docs/openapi.json has it. No centre is needed for that."""
    return make_app(cast("Centre", None), lambda: ()).openapi()


def _add_call(app: FastAPI, line: Line, centre: Centre, name: str, kind: _Kind) -> None:
    seeing = SEEING.get(name)

    async def endpoint(request: Request) -> Response:
        fingerprint = _fingerprint(request)
        body = await _body(request, kind.request)
        call = kind.call if seeing is None else _told(seeing, _network(request))
        answer = await line.run(
            kind.rank,
            lambda: _traced(centre, name, call, fingerprint, body),
            fingerprint,
            request.scope["state"]["gone"],
        )
        return Response(answer, media_type=JSON)

    endpoint.__doc__ = kind.request.__doc__
    app.post(
        f"/v1/{name}",
        name=name,
        response_class=Response,
        openapi_extra=operation(kind.request, kind.answer),
    )(endpoint)


def _told(seeing: _Seeing, network: str | None) -> _Call:
    def call(centre: Centre, fingerprint: bytes, message: Any, digest: bytes, /) -> bytes:  # noqa: ANN401
        return seeing(centre, fingerprint, message, digest, network)

    return call


def _add_crls(
    app: FastAPI, line: Line, centre: Centre, crls: Callable[[], tuple[bytes, ...]]
) -> None:
    def lists(fingerprint: bytes, had: frozenset[bytes]) -> bytes:
        with centre.store.begin() as tx:
            box = box_of(tx, fingerprint)
            new = tuple(one for one in crls() if hashlib.sha256(one).digest() not in had)
            for crl_der in new:
                delivered(tx, centre.utc_s(), "list", crl_der, box.name)
        return wire.encode(wire.CrlsAnswer(crls=new))

    async def endpoint(request: Request) -> Response:
        fingerprint = _fingerprint(request)
        try:
            had = wire.parse_lists_had(request.query_params.get("have", ""))
        except DecodeError:
            raise Refused("request-invalid") from None
        gone = request.scope["state"]["gone"]
        answer = await line.run(Rank.NEWCOMER, lambda: lists(fingerprint, had), gone=gone)
        return Response(answer, media_type=JSON)

    endpoint.__doc__ = wire.CrlsAnswer.__doc__
    app.get(
        "/v1/crls",
        name="crls",
        response_class=Response,
        openapi_extra={**operation(None, wire.CrlsAnswer), "parameters": [_HAVE]},
    )(endpoint)


def _add_link(app: FastAPI, line: Line, centre: Centre, streams: Streams) -> None:
    async def endpoint(request: Request) -> Response:
        fingerprint, asked = _fingerprint(request), _asked(request)
        opened = await line.run(
            Rank.NEWCOMER,
            lambda: _traced(centre, "link", link.open_stream, fingerprint, asked),
        )
        text = streams.follow(opened, request.scope["state"]["drop"])
        return StreamingResponse(text, media_type=eventstream.MEDIA_TYPE)

    endpoint.__doc__ = wire.LinkRequest.__doc__
    app.get(
        "/v1/link",
        name="link",
        response_class=Response,
        openapi_extra=stream(wire.LinkRequest, eventstream.MEDIA_TYPE),
    )(endpoint)


def _asked(request: Request) -> _Body:
    """The query and Last-Event-ID of a stream: closed and bounded as a body is."""
    query, last = request.url.query, request.headers.get("last-event-id")
    try:
        fields = parse_qs(
            query, strict_parsing=True, max_num_fields=len(wire.LinkRequest.__struct_fields__)
        )
        claim = msgspec.convert(
            {k: v for k, (v,) in fields.items()}, wire.LinkRequest, strict=False
        )
        number = None if last is None else msgspec.convert(last, wire.Count, strict=False)
    except ValueError:
        raise Refused("request-invalid") from None
    digest = hashlib.sha256(f"/v1/link\0{query}\0{last}".encode()).digest()
    return _Body(link.Asked(claim, number), digest)


def _traced(
    centre: Centre,
    name: str,
    call: Callable[[Centre, bytes, Any, bytes], Answer],
    fingerprint: bytes,
    body: _Body,
) -> Answer:
    """Run a call; what it refuses is written down, whoever asked."""
    try:
        return call(centre, fingerprint, body.message, body.digest)
    except Away:
        raise
    except SdboxError as error:
        with centre.store.begin() as tx:
            row = rows.box(tx, fingerprint)
            box = None if row is None else row.name
            session = getattr(body.message, "session", None)
            note(tx, centre.utc_s(), name, error.code, box=box, session=session)
        raise


def _fingerprint(request: Request) -> bytes:
    """Of the certificate this connection was made with. Raises Refused: box-refused, without."""
    return fingerprint_of(estapi.peer_of(request))


def _network(request: Request) -> str | None:
    """Where this connection came from, by the socket alone; None where that is no address."""
    try:
        return places.network_of(request.client.host if request.client else "")
    except ValueError:
        return None


async def _body(request: Request, kind: type[Any]) -> _Body:
    raw = bytearray()
    try:
        async for chunk in request.stream():
            raw += chunk
            if len(raw) > wire.MAX_REQUEST_BYTES:
                raise Refused("request-too-large")
    except ClientDisconnect:
        raise Refused("request-invalid") from None
    try:
        message = wire.decode(bytes(raw), kind, wire.MAX_REQUEST_BYTES)
    except DecodeError:
        raise Refused("request-invalid") from None
    call = request.url.path.encode()
    return _Body(message, hashlib.sha256(call + b"\0" + raw).digest())


def _answer(code: str, status: int) -> Response:
    later = {"retry-after": str(RETRY_AFTER_S)} if code == "centre-busy" else None
    if status == HTTPStatus.UNAUTHORIZED:
        later = estapi.REALM
    return Response(wire.encode(wire.Problem(code=code)), status, later, media_type=JSON)


async def _problem(request: Request, error: Exception) -> Response:
    if not isinstance(error, SdboxError):
        raise error
    match error:
        case Refused():
            est = request.url.path.startswith(estapi.PATH)
            own = estapi.status_of(error.code) if est else None
            status = own or _STATUS.get(error.code, HTTPStatus.FORBIDDEN)
        case AskAgain():
            status = HTTPStatus.CONFLICT
        case Fault():
            status = HTTPStatus.SERVICE_UNAVAILABLE
        case _:
            status = HTTPStatus.INTERNAL_SERVER_ERROR
    return _answer(error.code, status)


async def _http_problem(_request: Request, error: Exception) -> Response:
    """The framework's own refusals, without the echo of what was sent."""
    status = error.status_code if isinstance(error, HTTPException) else HTTPStatus.BAD_REQUEST
    unknown = status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}
    return _answer("not-found" if unknown else "request-invalid", status)


async def _unforeseen(_request: Request, error: Exception) -> Response:
    log.error("a call failed: %s", type(error).__name__)
    return _answer("centre-fault", HTTPStatus.INTERNAL_SERVER_ERROR)
