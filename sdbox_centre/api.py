"""The calls of centre/wire.py as HTTP: bodies in, bodies out, refusals as Problem, all traced.

No header is ever believed. The box is the certificate of the connection, put into the scope by
`server`; what a call means is the business of sessions and tunnels.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import msgspec
from fastapi import Depends, FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from sdbox_agent.centre import wire
from sdbox_agent.errors import AskAgain, DecodeError, Fault, Refused, SdboxError
from sdbox_centre import rows, sessions, tunnels
from sdbox_centre.core import box_of
from sdbox_centre.store import Away, note

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from sdbox_centre.core import Centre

THREADS: Final = 4  # the database has one writer; these overlap with verifying and the gateway
JSON: Final = "application/json"

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


class _Kind(NamedTuple):
    request: type[Any]
    answer: type[Any]
    call: _Call


CALLS: Final = {
    "hello": _Kind(wire.HelloRequest, wire.HelloAnswer, sessions.hello),
    "proof": _Kind(wire.ProofRequest, wire.ProofAnswer, sessions.proof),
    "attempt": _Kind(wire.AttemptRequest, wire.AttemptAnswer, sessions.attempt),
    "receipt": _Kind(wire.ReceiptRequest, wire.ReceiptAnswer, tunnels.receipt),
    "renew": _Kind(wire.RenewRequest, wire.RenewAnswer, tunnels.renew),
    "end": _Kind(wire.EndRequest, wire.EndAnswer, sessions.end),
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
    centre: Centre, crls: Callable[[], tuple[bytes, ...]], *, docs: bool = False
) -> FastAPI:
    """The application. `docs` serves its OpenAPI description, for development only."""
    pool = ThreadPoolExecutor(THREADS, "call")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        pool.shutdown()

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
        _add_call(app, pool, centre, name, kind)
    _add_crls(app, pool, centre, crls)
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(SdboxError, _problem)
    app.add_exception_handler(Exception, _unforeseen)
    return app


def _add_call(
    app: FastAPI, pool: ThreadPoolExecutor, centre: Centre, name: str, kind: _Kind
) -> None:
    read = _body_of(kind.request)

    async def endpoint(
        fingerprint: bytes = Depends(_fingerprint),
        body: _Body = Depends(read),  # noqa: B008  FastAPI's way
    ) -> Response:
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(
            pool, _traced, centre, name, kind.call, fingerprint, body
        )
        return Response(answer, media_type=JSON)

    endpoint.__doc__ = kind.request.__doc__
    app.post(
        f"/v1/{name}",
        name=name,
        response_class=Response,
        openapi_extra=_described(kind),
    )(endpoint)


def _add_crls(
    app: FastAPI, pool: ThreadPoolExecutor, centre: Centre, crls: Callable[[], tuple[bytes, ...]]
) -> None:
    def lists(fingerprint: bytes) -> bytes:
        with centre.store.begin() as tx:
            box_of(tx, fingerprint)
        return wire.encode(wire.CrlsAnswer(crls=crls()))

    async def endpoint(fingerprint: bytes = Depends(_fingerprint)) -> Response:
        loop = asyncio.get_running_loop()
        return Response(await loop.run_in_executor(pool, lists, fingerprint), media_type=JSON)

    endpoint.__doc__ = wire.CrlsAnswer.__doc__
    app.get("/v1/crls", name="crls", response_class=Response)(endpoint)


def _traced(centre: Centre, name: str, call: _Call, fingerprint: bytes, body: _Body) -> bytes:
    """Run a call; what it refuses is written down, whoever asked."""
    try:
        return call(centre, fingerprint, body.message, body.digest)
    except Away:
        raise
    except SdboxError as error:
        with centre.store.begin() as tx:
            row = rows.box(tx, fingerprint)
            box = None if row is None else row.name
            session = body.message.session
            note(tx, centre.utc_s(), name, error.code, box=box, session=session)
        raise


def _fingerprint(request: Request) -> bytes:
    """SHA-256 of the certificate this connection was made with."""
    peer = request.scope["state"].get("peer_certificate")
    if not isinstance(peer, bytes) or not peer:
        raise Refused("box-refused")
    return hashlib.sha256(peer).digest()


def _body_of(kind: type[Any]) -> Callable[[Request], Awaitable[_Body]]:
    async def body(request: Request) -> _Body:
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

    return body


def _answer(code: str, status: int) -> Response:
    return Response(wire.encode(wire.Problem(code=code)), status, media_type=JSON)


async def _problem(_request: Request, error: Exception) -> Response:
    if not isinstance(error, SdboxError):
        raise error
    match error:
        case Refused():
            status = _STATUS.get(error.code, HTTPStatus.FORBIDDEN)
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


def _described(kind: _Kind) -> dict[str, Any]:
    """OpenAPI of one call, from the wire types themselves."""
    (request, answer, problem), parts = msgspec.json.schema_components(
        [kind.request, kind.answer, wire.Problem], ref_template="#/$defs/{name}"
    )

    def content(schema: dict[str, Any]) -> dict[str, Any]:
        return {"content": {JSON: {"schema": _inlined(schema, parts)}}}

    refused = {"description": "Refused: the code says why.", **content(problem)}
    statuses = {400, 403, 404, 409, 413, 500, 503}
    return {
        "requestBody": {"required": True, **content(request)},
        "responses": {
            "200": {"description": kind.answer.__doc__ or "", **content(answer)},
            **{str(status): refused for status in sorted(statuses)},
        },
    }


def _inlined(schema: Any, parts: dict[str, Any]) -> Any:  # noqa: ANN401  JSON
    """The schema with its references written out: our types never contain themselves."""
    match schema:
        case {"$ref": str(reference)}:
            return _inlined(parts[reference.rpartition("/")[2]], parts)
        case {"pattern": str(pattern)} if pattern.endswith(r"\Z"):  # Python's word, not ECMA's
            return _inlined({**schema, "pattern": pattern.removesuffix(r"\Z") + "$"}, parts)
        case dict():
            return {key: _inlined(value, parts) for key, value in schema.items()}
        case list():
            return [_inlined(value, parts) for value in schema]
        case _:
            return schema
