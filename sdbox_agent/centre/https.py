"""The box's way to the centre [door]: one method a call, one connection kept, one deadline a call.

httpx speaks HTTP over a transport of ours: it connects only to the addresses it was given (no name
is ever looked up), pins the centre's authority, and counts one deadline over connect, handshake,
headers and body, so an answer dripped byte by byte ends when its time does. Redirects, proxies,
compression and anything larger than an answer can be are refused.
"""

from __future__ import annotations

import contextlib
import re
import ssl
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

import httpcore
import httpx
import msgspec
from typing_extensions import override

from sdbox_agent import errors
from sdbox_agent.centre import wire
from sdbox_agent.centre.deadline import Aborted, Sockets, TooLate
from sdbox_agent.centre.eventstream import MEDIA_TYPE
from sdbox_agent.errors import DecodeError, Fault, SdboxError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Answer = TypeVar(
    "Answer",
    wire.HelloAnswer,
    wire.ProofAnswer,
    wire.AttemptAnswer,
    wire.ReceiptAnswer,
    wire.RenewAnswer,
    wire.EndAnswer,
    wire.CrlsAnswer,
    wire.HealthAnswer,
    wire.ReportAnswer,
    wire.RetireAnswer,
)

CONNECT_S: Final = 3.0  # design section 5
ANSWER_S: Final = 5.0
SILENCE_S: Final = 45.0  # of a stream: three signs of life have not come
MAX_PROBLEM_BYTES: Final = 1024
KEEP_ALIVE_S: Final = 60.0  # under the centre's own limit
MAX_RETRY_AFTER_S: Final = 60  # whatever it asks for
_JSON: Final = "application/json"
_CERTIFICATE_ALERTS: Final = frozenset(  # RFC 8446 section 6.2: what the centre thinks of ours
    {
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_REVOKED",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "TLSV1_ALERT_UNKNOWN_CA",
        "TLSV1_ALERT_ACCESS_DENIED",
        "TLSV1_ALERT_DECRYPT_ERROR",
    }
)


class CentreBusy(Fault):
    """It has too much to do, and asks for so many seconds before the next call."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("centre-busy")
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Where:
    """The centre: addresses to try in turn, and the name its certificate must bear."""

    addresses: tuple[tuple[str, int], ...]
    server_name: str


@dataclass(frozen=True, slots=True)
class Message:
    """One request to the centre that is not of its session API, and the answer it must get."""

    method: str
    path: str
    answer: str  # the media type of a 200, whole
    limit_bytes: int  # of an answer
    body: bytes = field(default=b"", repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


class CentreClient:
    """One caller at a time; `close` may come from any thread, and ends a running call.

    Every method raises errors.SdboxError: what the centre refuses, by its code; Fault
    centre-unreachable, centre-slow (its time was up), centre-fault (it failed), or
    centre-answer-invalid (it answered nonsense); Refused box-refused if it does not take our
    certificate.
    """

    def __init__(
        self,
        where: Where,
        context: ssl.SSLContext,
        connect_s: float = CONNECT_S,
        answer_s: float = ANSWER_S,
    ) -> None:
        """`context`: a client context with the centre's authority pinned and our certificate."""
        self._sockets = Sockets(where.addresses, connect_s)
        self._answer_s = answer_s
        self._transport = _Transport(self._sockets, context, where.server_name)
        self._client = httpx.Client(
            transport=self._transport,
            base_url=f"https://{where.server_name}",
            trust_env=False,
            follow_redirects=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),  # none is kept
            timeout=httpx.Timeout(None),  # the deadline is ours
            headers={"accept": _JSON, "accept-encoding": "identity", "user-agent": "sdbox"},
        )

    def hello(self, request: wire.HelloRequest) -> wire.HelloAnswer:
        """POST /v1/hello."""
        return self._post("hello", request, wire.HelloAnswer)

    def proof(self, request: wire.ProofRequest) -> wire.ProofAnswer:
        """POST /v1/proof."""
        return self._post("proof", request, wire.ProofAnswer)

    def attempt(self, request: wire.AttemptRequest) -> wire.AttemptAnswer:
        """POST /v1/attempt."""
        return self._post("attempt", request, wire.AttemptAnswer)

    def receipt(self, request: wire.ReceiptRequest) -> wire.ReceiptAnswer:
        """POST /v1/receipt."""
        return self._post("receipt", request, wire.ReceiptAnswer)

    def renew(self, request: wire.RenewRequest) -> wire.RenewAnswer:
        """POST /v1/renew."""
        return self._post("renew", request, wire.RenewAnswer)

    def end(self, request: wire.EndRequest) -> wire.EndAnswer:
        """POST /v1/end."""
        return self._post("end", request, wire.EndAnswer)

    def crls(self, have: Sequence[bytes] = ()) -> wire.CrlsAnswer:
        """GET /v1/crls: the lists but those of which the box has this SHA-256."""
        asked = wire.lists_had(have)
        return self._call("GET", f"crls?have={asked}" if asked else "crls", b"", wire.CrlsAnswer)

    def health(self, request: wire.HealthRequest) -> wire.HealthAnswer:
        """POST /v1/health."""
        return self._post("health", request, wire.HealthAnswer)

    def report(self, request: wire.ReportRequest) -> wire.ReportAnswer:
        """POST /v1/report."""
        return self._post("report", request, wire.ReportAnswer)

    def retire(self, request: wire.RetireRequest) -> wire.RetireAnswer:
        """POST /v1/retire."""
        return self._post("retire", request, wire.RetireAnswer)

    def listen(
        self, request: wire.LinkRequest, last: int | None, heard: Callable[[bytes], bool]
    ) -> NoReturn:
        """GET /v1/link: hand the stream on, piece by piece, until it ends; then it raises, too.

        `heard` is called with nothing once the stream is open. It says whether anything was whole;
        a stream that brings nothing whole for SILENCE_S is dead. It may raise DecodeError.
        """
        query = msgspec.structs.asdict(request)
        headers = {"accept": MEDIA_TYPE} | ({} if last is None else {"last-event-id": f"{last}"})
        with (
            self._faults(),
            self._sockets.deadline(self._answer_s),
            self._client.stream("GET", "/v1/link", params=query, headers=headers) as answer,
        ):
            if answer.status_code != httpx.codes.OK:
                raise _problem(_reply(answer, MAX_PROBLEM_BYTES))
            kind = answer.headers.get("content-type")
            if kind != f"{MEDIA_TYPE}; charset=utf-8" or "content-encoding" in answer.headers:
                raise _invalid(answer)
            heard(b"")
            self._sockets.more(SILENCE_S)
            for piece in answer.iter_raw():
                if heard(piece):
                    self._sockets.more(SILENCE_S)
        raise Fault("centre-unreachable")

    def fetch(self, message: Message) -> bytes:
        """The body of the answer, a 200 of the media type that is named."""
        with self._faults():
            with self._sockets.deadline(self._answer_s):
                reply = self._exchange(message)
            if reply.status != httpx.codes.OK:
                raise _problem(reply)
            if reply.kind != message.answer:
                raise Fault("centre-answer-invalid")
            return reply.body

    def close(self) -> None:
        """End a running call and let go of the connection. No call works afterwards."""
        self._sockets.abort()

    def _post(self, name: str, request: wire.Request, kind: type[Answer]) -> Answer:
        return self._call("POST", name, wire.encode(request), kind)

    def _call(self, method: str, name: str, body: bytes, kind: type[Answer]) -> Answer:
        lists = kind is wire.CrlsAnswer
        limit_bytes = wire.MAX_BODY_BYTES if lists else wire.MAX_ANSWER_BYTES
        headers = (("content-type", _JSON),) if body else ()
        answer = self.fetch(Message(method, f"/v1/{name}", _JSON, limit_bytes, body, headers))
        with self._faults():
            return wire.decode(answer, kind)

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        """What went wrong on the way, in our words."""
        try:
            yield
        except TooLate:
            raise Fault("centre-slow") from None
        except Aborted:
            raise Fault("centre-unreachable") from None
        except ssl.SSLError as error:
            raise _tls_trouble(error) from None
        except (httpx.HTTPError, httpcore.NetworkError, httpcore.ProtocolError, OSError):
            raise Fault("centre-unreachable") from None
        except DecodeError:
            raise Fault("centre-answer-invalid") from None

    def _exchange(self, message: Message) -> _Reply:
        """One request; once more if the kept connection had died. The same bytes: harmless."""
        kept = self._sockets.has_connection
        try:
            return self._send(message)
        except (httpcore.RemoteProtocolError, ConnectionError, ssl.SSLEOFError):
            if not kept or self._sockets.bytes_read:
                raise
            self._sockets.drop()
            return self._send(message)

    def _send(self, message: Message) -> _Reply:
        with self._client.stream(
            message.method, message.path, content=message.body, headers=message.headers
        ) as answer:
            declared = answer.headers.get("content-length", "0")
            kind = answer.headers.get("content-type", "")
            length = _number(declared)
            if length is None or length > message.limit_bytes:
                raise _invalid(answer)
            if kind not in {_JSON, message.answer} or "content-encoding" in answer.headers:
                raise _invalid(answer)
            reply = _reply(answer, message.limit_bytes)
        if self._transport.has_surplus():
            self._sockets.drop()  # it would be taken for the answer to the next call
        return reply


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    body: bytes
    kind: str
    retry_after: str


def _reply(answer: httpx.Response, limit_bytes: int) -> _Reply:
    whole = bytearray()
    for chunk in answer.iter_raw():
        whole += chunk
        if len(whole) > limit_bytes:
            raise _invalid(answer)
    headers = answer.headers
    kind, later = headers.get("content-type", ""), headers.get("retry-after", "")
    return _Reply(answer.status_code, bytes(whole), kind, later)


def _invalid(answer: httpx.Response) -> Fault:
    """Not from our centre's application: a proxy's page, a portal, or a server in trouble."""
    return Fault("centre-fault" if answer.is_server_error else "centre-answer-invalid")


def _problem(reply: _Reply) -> SdboxError:
    """What an answer other than 200 says."""
    try:
        code = wire.decode(reply.body, wire.Problem, MAX_PROBLEM_BYTES).code
    except DecodeError:
        code = ""
    if code == "centre-busy":
        return CentreBusy(_seconds(reply.retry_after))
    if code in errors.table():
        return errors.error(code)
    return Fault("centre-fault" if reply.status >= 500 else "centre-answer-invalid")


def _seconds(retry_after: str) -> int:
    """RFC 9110 section 10.2.3, in seconds; 0 for a date or nonsense: our own back-off does then."""
    return min(_number(retry_after) or 0, MAX_RETRY_AFTER_S)


def _number(text: str) -> int | None:
    """Decimal digits of a header, a few of them at most; None for anything else."""
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


def _tls_trouble(error: ssl.SSLError) -> SdboxError:
    if error.reason in _CERTIFICATE_ALERTS:
        return errors.Refused("box-refused")
    return Fault("centre-unreachable")


class _Transport(httpx.BaseTransport):
    """httpx over httpcore's pool of one, over our sockets; errors go through unchanged."""

    def __init__(self, sockets: Sockets, context: ssl.SSLContext, server_name: str) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            max_connections=1,
            keepalive_expiry=KEEP_ALIVE_S,
            http1=True,
            http2=False,
            network_backend=sockets,
        )
        self._server_name = server_name

    @override
    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._pool.handle_request(
            httpcore.Request(
                request.method,
                httpcore.URL(
                    scheme=request.url.raw_scheme,
                    host=request.url.raw_host,
                    port=request.url.port,
                    target=request.url.raw_path,
                ),
                headers=request.headers.raw,
                content=request.stream,
                extensions={**request.extensions, "sni_hostname": self._server_name},
            )
        )
        return httpx.Response(
            answer.status, headers=answer.headers, stream=_Stream(answer), extensions={}
        )

    def has_surplus(self) -> bool:
        """Did the server say more than its answer? Asks httpcore's inside; a test holds that."""
        kept: list[Any] = list(self._pool.connections)
        return any(one._connection._h11_state.trailing_data[0] for one in kept)

    @override
    def close(self) -> None:
        self._pool.close()


class _Stream(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    @override
    def __iter__(self) -> Iterator[bytes]:
        yield from self._answer.iter_stream()

    @override
    def close(self) -> None:
        self._answer.close()


def client_context(authority: str, certificate: str, key: str) -> ssl.SSLContext:
    """TLS 1.3, this authority and no other, this certificate. Raises OSError, ssl.SSLError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    context.load_verify_locations(authority)
    context.load_cert_chain(certificate, key)
    return context


def addresses(listed: Sequence[str], port: int) -> tuple[tuple[str, int], ...]:
    """Where to connect, from the box's settings."""
    return tuple((address, port) for address in listed)
