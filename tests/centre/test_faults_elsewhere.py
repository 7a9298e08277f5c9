"""Faults 71 to 75 for the box's client: a server that leads elsewhere, or is not the centre.

Each case ends in a named error, in time, on one connection, with nothing taken from what was said.
What such an end does to a session is tests/hil/test_faults_centre.py's; the centre's own side of
the same faults is tests/sdbox_centre/test_hostile.py.
"""

import contextlib
import datetime as dt
import socket
import ssl
import threading

import pytest

from sdbox_agent.centre import wire
from sdbox_agent.centre.https import CentreClient, Where
from sdbox_agent.errors import Fault
from sdbox_centre import authority
from tests.centre.servers import (
    HELLO,
    NAME,
    Hosts,
    answering,
    http,
    refused,
    says,
)
from tests.waiting import PATIENCE_S

# -- 71: elsewhere ---------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["301", "302", "303", "307", "308"])
def test_fault_71_no_redirect_is_followed(hosts: Hosts, status: str) -> None:
    heard: list[bytes] = []
    with answering(hosts, lambda _, asked: heard.append(asked)) as (_, elsewhere):
        where = f"https://{NAME}:{elsewhere.port}/v1/hello"
        led = f"location: {where}\r\nrefresh: 0; url={where}\r\n"
        refused(hosts, says(http(b"", f"{status} There", extra=led)), "centre-answer-invalid")
        assert (elsewhere.connections, heard) == (0, [])


def test_fault_71_no_header_of_an_answer_leads_elsewhere(hosts: Hosts) -> None:
    with answering(hosts, says(http())) as (_, elsewhere):
        there = f"127.0.0.1:{elsewhere.port}"
        led = (
            f'alt-svc: h2="{there}"\r\nlocation: https://{there}/\r\n'
            "set-cookie: a=b\r\nstrict-transport-security: max-age=0\r\n"
        )
        heard: list[bytes] = []

        def leads(sock: ssl.SSLSocket, request: bytes) -> None:
            heard.append(request)
            sock.sendall(http(extra=led))

        with answering(hosts, leads) as (client, listening):
            for _ in range(2):
                assert client.hello(HELLO).utc_s == 1
            assert listening.connections == 1
        assert elsewhere.connections == 0
        assert heard[0] == heard[1], "nothing is kept of an answer but what it says"


# -- 72: names -------------------------------------------------------------------------------------


def test_fault_72_no_name_is_ever_looked_up(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses stand in box.toml, so there is nothing to poison, rebind or wait for."""

    def asked(*_: object) -> None:
        raise AssertionError("a name was looked up")

    for function in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "getnameinfo"):
        monkeypatch.setattr(socket, function, asked)
    with answering(hosts, says(http())) as (client, _):
        assert client.hello(HELLO).utc_s == 1


def test_fault_72_no_setting_of_the_environment_leads_it_elsewhere(
    hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "SSL_CERT_FILE", "SSLKEYLOGFILE"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")
    with answering(hosts, says(http())) as (client, _):
        assert client.hello(HELLO).utc_s == 1


# -- 73: TLS ---------------------------------------------------------------------------------------


def bad_context(hosts: Hosts, kind: str) -> ssl.SSLContext:
    match kind:
        case "other authority":
            other = authority.authority("Test Server Authority", hosts.now)
            return hosts.server_context(issuer=other)
        case "other name":
            return hosts.server_context(host="other.test")
        case "expired":
            return hosts.server_context(not_after=hosts.now - dt.timedelta(hours=1))
        case "a box's authority":
            return hosts.server_context(issuer=hosts.boxes)
        case "a client's purpose":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            subject = authority.server_subject("centre", [NAME])
            context.load_cert_chain(*hosts.issue(hosts.servers, authority.BOX_TLS, subject))
            return context
        case _:
            context = hosts.server_context()
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            return context


@pytest.mark.parametrize(
    "kind",
    [
        "other authority",
        "other name",
        "expired",
        "a box's authority",
        "a client's purpose",
        "TLS 1.2",
    ],
)
def test_fault_73_a_server_that_is_not_ours_hears_nothing(hosts: Hosts, kind: str) -> None:
    heard: list[bytes] = []
    context = bad_context(hosts, kind)
    refused = pytest.raises(Fault, match="centre-unreachable")
    with answering(hosts, lambda _, asked: heard.append(asked), context) as (client, _), refused:
        client.hello(HELLO)
    assert not heard


# -- 74: an answer to somebody else ----------------------------------------------------------------


def test_fault_74_an_answer_to_another_call_is_none(hosts: Hosts) -> None:
    """What it says of a session the centre judges: test_hostile.py, by the challenge in it."""
    refused(hosts, says(http(wire.encode(wire.EndAnswer()))), "centre-answer-invalid")
    renewed = wire.encode(wire.RenewAnswer(lease_s=60, challenge=bytes(32)))
    refused(hosts, says(http(renewed)), "centre-answer-invalid")


# -- 75: a captive portal --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "page",
    [
        http(b"<html>sign in</html>", "200 OK", "text/html"),
        http(b"<html>sign in</html>", "511 Network Authentication Required", "text/html"),
        http(b"", "302 Found", "text/html", "location: https://portal.test/\r\n"),
    ],
)
def test_fault_75_a_portal_that_could_speak_for_the_centre_is_no_centre(
    hosts: Hosts, page: bytes
) -> None:
    code = "centre-fault" if b" 511 " in page else "centre-answer-invalid"
    refused(hosts, says(page), code)


def test_fault_75_a_portal_without_tls_hears_no_word(hosts: Hosts) -> None:
    heard = bytearray()
    portal = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        sock, _ = portal.accept()
        with sock:
            heard.extend(sock.recv(65536))
            sock.sendall(http(b"<html>sign in</html>", "200 OK", "text/html"))
            sock.settimeout(PATIENCE_S)
            with contextlib.suppress(OSError):
                while more := sock.recv(65536):
                    heard.extend(more)

    thread = threading.Thread(target=serve)
    thread.start()
    client = CentreClient(Where((portal.getsockname(),), NAME), hosts.context)
    with pytest.raises(Fault, match="centre-unreachable"):
        client.hello(HELLO)
    client.close()
    thread.join(PATIENCE_S)
    portal.close()
    assert heard.startswith(b"\x16\x03"), "a TLS handshake"
    assert b"/v1/hello" not in heard
