"""A box's EST client against servers that say what they like, over real TLS on loopback."""

import base64
import contextlib
import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdbox_agent.centre.https import Where
from sdbox_agent.errors import Fault, Refused, SdboxError
from sdbox_agent.identity import est, request
from sdbox_agent.pki import certsonly, chain
from sdbox_centre import authority
from tests.centre import servers
from tests.pki import boxed

TOKEN = "t" * 43
ASKED = request.ask(boxed.BOX, "tls", boxed.key())
LATER = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
JSON = "application/json"


@pytest.fixture(scope="module")
def hosts(tmp_path_factory) -> servers.Hosts:
    return servers.Hosts(tmp_path_factory.mktemp("hosts"))


@pytest.fixture(scope="module")
def given(hosts) -> chain.Authorities:
    return chain.authorities([hosts.boxes.certificate_der])


def issued(hosts: servers.Hosts, **bent) -> bytes:
    certificate = boxed.issued(issuer=hosts.boxes, not_after=LATER, **bent)
    return authority.der_of(certificate)


def lines(der: bytes) -> bytes:
    return base64.encodebytes(der)


@contextlib.contextmanager
def answering(
    hosts: servers.Hosts, body: bytes, status: str = "200 OK", kind: str = est.CERTS_ONLY, **more
) -> Iterator[tuple[est.Est, list[bytes]]]:
    heard: list[bytes] = []

    def behave(sock, got: bytes) -> None:
        heard.append(got)
        sock.sendall(servers.http(body, status, kind, **more))

    listening = servers.Listening(hosts.server_context(), behave)
    where = Where((("127.0.0.1", listening.port),), servers.NAME)
    context = est.anonymous(Path(hosts.anchors).read_text("ascii"))
    client = est.Est(where, context, connect_s=5.0, answer_s=5.0)
    try:
        yield client, heard
    finally:
        client.close()
        listening.close()


@contextlib.contextmanager
def refusing(code: str, hosts: servers.Hosts, body: bytes, **more) -> Iterator[est.Est]:
    """What is called inside ends by this code."""
    with answering(hosts, body, **more) as (client, _), pytest.raises(SdboxError) as refused:
        yield client
    assert refused.value.code == code


def test_what_is_asked_with_a_token_is_rfc_7030s(hosts, given) -> None:
    der = issued(hosts)
    with answering(hosts, lines(certsonly.encode(der))) as (client, heard):
        taken = client.simpleenroll(ASKED, TOKEN, given, dt.datetime.now(dt.UTC))
    assert authority.der_of(taken) == der
    head, body = heard[0].split(b"\r\n\r\n", 1)
    first, *headers = head.decode().split("\r\n")
    said = dict(line.lower().split(": ", 1) for line in headers)
    assert first == "POST /.well-known/est/simpleenroll HTTP/1.1"
    assert said["content-type"] == "application/pkcs10"
    assert said["accept"] == "application/pkcs7-mime"
    assert base64.b64decode(body, validate=True) == ASKED.csr_der
    basic = next(line.split(": ")[1] for line in headers if line.lower().startswith("authoriz"))
    assert basic == "Basic " + base64.b64encode(f"{boxed.BOX}:{TOKEN}".encode()).decode()


def test_a_statement_certificate_is_asked_under_its_label(hosts, given) -> None:
    asked = request.ask(boxed.BOX, "statement", boxed.key())
    der = issued(hosts, purpose="statement")
    with answering(hosts, lines(certsonly.encode(der))) as (client, heard):
        client.simpleenroll(asked, TOKEN, given, dt.datetime.now(dt.UTC))
        client.simplereenroll(asked, given, dt.datetime.now(dt.UTC))
    assert heard[0].startswith(b"POST /.well-known/est/statement/simpleenroll ")
    assert heard[1].startswith(b"POST /.well-known/est/statement/simplereenroll ")
    assert b"uthorization" not in heard[1]


def test_the_authorities_are_fetched(hosts) -> None:
    roots = (hosts.boxes.certificate_der, hosts.servers.certificate_der)
    body = lines(certsonly.encode(*roots))
    with answering(hosts, body, kind=est.CERTIFICATES) as (client, heard):
        assert set(client.cacerts()) == set(roots)
    assert heard[0].startswith(b"GET /.well-known/est/cacerts ")


@pytest.mark.parametrize(
    "token", ["", "t" * 42, "t" * 44, "t" * 42 + "é", "t" * 42 + "\n", ":" * 43]
)
def test_what_can_be_no_token_is_not_sent(hosts, given, token: str) -> None:
    with answering(hosts, b"") as (client, heard):
        with pytest.raises(Refused, match="box-token-wrong"):
            client.simpleenroll(ASKED, token, given, dt.datetime.now(dt.UTC))
        assert not heard


@pytest.mark.parametrize("code", ["box-token-wrong", "box-token-ended", "box-token-spent"])
def test_what_the_centre_refuses_is_said(hosts, given, code: str) -> None:
    problem = b'{"code":"%s"}' % code.encode()
    with refusing(code, hosts, problem, status="401 Unauthorized", kind=JSON) as client:
        client.simpleenroll(ASKED, TOKEN, given, dt.datetime.now(dt.UTC))


def invalid(hosts: servers.Hosts) -> dict[str, bytes]:
    other = authority.authority("Test Box Authority", hosts.now)
    foreign = authority.der_of(boxed.issued(issuer=other, not_after=LATER))
    good = issued(hosts)
    return {
        "nothing": b"",
        "not base64": b"{}" + lines(certsonly.encode(good)),
        "not an envelope": lines(good),
        "another authority, same name": lines(certsonly.encode(foreign)),
        "another key": lines(certsonly.encode(issued(hosts, by=boxed.key("other")))),
        "another box": lines(certsonly.encode(issued(hosts, box="test-box-02"))),
        "another purpose": lines(certsonly.encode(issued(hosts, purpose="statement"))),
        "two": lines(certsonly.encode(good, issued(hosts))),
    }


@pytest.mark.parametrize("what", [
    "nothing", "not base64", "not an envelope", "another authority, same name", "another key",
    "another box", "another purpose", "two",
])  # fmt: skip
def test_what_was_not_asked_is_not_taken(hosts, given, what: str) -> None:
    with refusing("centre-answer-invalid", hosts, invalid(hosts)[what]) as client:
        client.simplereenroll(ASKED, given, dt.datetime.now(dt.UTC))


def test_what_is_over_is_not_taken(hosts, given) -> None:
    with refusing("centre-answer-invalid", hosts, lines(certsonly.encode(issued(hosts)))) as client:
        client.simplereenroll(ASKED, given, LATER + dt.timedelta(seconds=1))


def test_another_media_type_or_size_is_not_read(hosts, given) -> None:
    good = lines(certsonly.encode(issued(hosts)))
    large = good + bytes(est.MAX_ANSWER_BYTES)
    for body, kind in ((good, JSON), (good, "text/html"), (large, est.CERTS_ONLY)):
        with refusing("centre-answer-invalid", hosts, body, kind=kind) as client:
            client.simplereenroll(ASKED, given, dt.datetime.now(dt.UTC))


@pytest.mark.parametrize("body", [b"", lines(certsonly.encode(authority.der_of(boxed.issued())))])
def test_authorities_that_are_none_are_not_taken(hosts, body: bytes) -> None:
    with refusing("centre-answer-invalid", hosts, body, kind=est.CERTIFICATES) as client:
        client.cacerts()


def test_successors_may_be_none_and_are_handed_on_unbelieved(hosts) -> None:
    body = lines(certsonly.encode(hosts.servers.certificate_der))
    with answering(hosts, body, kind=est.CERTIFICATES) as (client, heard):
        assert client.successors() == (hosts.servers.certificate_der,)
    assert heard[0].startswith(b"GET /.well-known/est/centre/cacerts ")
    with answering(hosts, b'{"code":"not-found"}', "404 Not Found", JSON) as (client, _):
        assert client.successors() == ()
    for code, status in (("centre-fault", "500 X"), ("box-refused", "403 X")):
        problem = b'{"code":"%s"}' % code.encode()
        with refusing(code, hosts, problem, status=status, kind=JSON) as client:
            client.successors()
    with refusing("centre-answer-invalid", hosts, b"AAAA", kind=est.CERTIFICATES) as client:
        client.successors()


def test_another_centre_hears_nothing(hosts, given) -> None:
    """Its certificate is checked before the token leaves."""
    rogue = authority.authority("Test Server Authority", hosts.now)
    heard: list[bytes] = []
    context = hosts.server_context(rogue)
    listening = servers.Listening(context, lambda _, got: heard.append(got))
    where = Where((("127.0.0.1", listening.port),), servers.NAME)
    client = est.Est(where, est.anonymous(Path(hosts.anchors).read_text("ascii")))
    try:
        with pytest.raises(SdboxError, match="centre-unreachable"):
            client.simpleenroll(ASKED, TOKEN, given, dt.datetime.now(dt.UTC))
    finally:
        client.close()
        listening.close()
    assert not heard


def test_anchors_that_are_none_are_the_settings_fault() -> None:
    for bad in ("", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        with pytest.raises(Fault, match="config-invalid"):
            est.anonymous(bad)
