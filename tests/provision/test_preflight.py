"""Preflight against real servers: those it should find, and those that stand in the way."""

import datetime as dt
import hashlib
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sdbox_agent.provision import preflight
from sdbox_agent.provision.preflight import FAILED, OK, OPEN, WARN, Row
from tests.certificates import make
from tests.provision import servers

FILE = Path(preflight.__file__)
BEGINS = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
AUTHORITY = make("authority of the centre", BEGINS, 10)
CENTRE = make("centre", BEGINS, 10, by=AUTHORITY)
INSPECTOR = make("inspection of the host", BEGINS, 10)
INSPECTED = make("centre", BEGINS, 10, by=INSPECTOR)
HERE = "127.0.0.1"
PROBE = preflight.DATA + preflight.MAGIC + bytes(preflight.NONCE_BYTES)
REFUSED = b"HTTP/1.1 403 Forbidden\r\n\r\n"


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "WAIT_S", 1.0)
    monkeypatch.setattr(preflight, "TRY_S", 0.2)
    monkeypatch.setattr(preflight, "PROBES", 4)
    monkeypatch.setattr(preflight, "SIZES", (1500, 1340, 1280, 576))
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


@pytest.fixture
def pems(tmp_path: Path) -> Path:
    """Files of the centre's and the inspector's certificates, with their keys."""
    made = {"centre": CENTRE, "inspected": INSPECTED}
    for name, each in made.items():
        each.write(tmp_path / f"{name}.pem")
    (tmp_path / "anchor.pem").write_bytes(AUTHORITY.pem)
    return tmp_path


def closed_port() -> int:
    """One that nobody listens at: it was ours a moment ago."""
    with socket.create_server((HERE, 0)) as sock:
        return int(sock.getsockname()[1])


def measured(probe, *words: str) -> list[Row]:
    options = preflight._options(["--centre", f"{HERE}:1", *words])
    return list(probe(preflight.Probes(options, time.time)))


# -- names and time --------------------------------------------------------------------------------


def test_an_address_needs_no_name_and_a_name_is_looked_up() -> None:
    assert measured(preflight.names)[0].code == "not-asked"
    (found,) = measured(preflight.names, "--centre", "localhost:443")
    assert (found.result, found.code) == (OK, "")
    assert HERE in found.detail or "::1" in found.detail
    (found,) = measured(preflight.names, "--centre", "nobody.invalid:443")
    assert (found.result, found.code) == (WARN, "name-not-found")


def test_a_resolver_that_makes_up_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [(0, 0, 0, "", ("198.51.100.1", 0))])
    (found,) = measured(preflight.names, "--centre", "centre.test:443")
    assert (found.result, found.code) == (WARN, "names-invented")


def test_a_resolver_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "WAIT_S", 0.05)
    free = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: free.wait(20) and [])
    try:
        (found,) = measured(preflight.names, "--centre", "centre.test:443")
    finally:
        free.set()
    assert found.code == "name-not-found"


@pytest.mark.parametrize(
    ("off_s", "code"), [(0.0, ""), (3600.0, "clock-off"), (-90.0, "clock-off")]
)
def test_the_clock_is_compared(off_s: float, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[bytes] = []
    with servers.udp(HERE, 0, servers.ntp(time.time, off_s=off_s), heard) as port:
        at = preflight.Endpoint(HERE, port)
        monkeypatch.setattr(preflight, "endpoint", lambda _: at)
        (found,) = measured(preflight.clock, "--time-server", HERE)
    assert (found.result, found.code) == (WARN if code else OK, code)
    assert float(found.detail.split()[1]) == pytest.approx(off_s, abs=1.0)
    assert [len(each) for each in heard] == [48]
    assert heard[0][1:40] == bytes(39)  # nothing of this machine in it


def test_a_time_server_that_is_mute_or_talks_nonsense(monkeypatch: pytest.MonkeyPatch) -> None:
    assert measured(preflight.clock)[0].code == "not-asked"
    with servers.udp(HERE, 0, lambda _: b"nonsense", []) as port:
        for at in (preflight.Endpoint(HERE, port), preflight.Endpoint(HERE, closed_port())):
            monkeypatch.setattr(preflight, "endpoint", lambda _, at=at: at)
            assert measured(preflight.clock, "--time-server", HERE)[0].code == "time-silent"


def test_the_own_address_is_told_and_asking_for_it_sends_nothing() -> None:
    heard: list[bytes] = []
    with servers.udp(HERE, 0, lambda _: None, heard) as port:
        (found,) = measured(preflight.address, "--centre", f"{HERE}:{port}")
        time.sleep(0.15)
    assert (found.result, found.detail, heard) == (OK, HERE, [])
    (found,) = measured(preflight.address, "--centre", "nobody.invalid:443")
    assert (found.result, found.code) == (FAILED, "no-way")


# -- UDP -------------------------------------------------------------------------------------------


def test_the_centres_end_answers_this_files_probes_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((HERE, 0))
        port = sock.getsockname()[1]
    argv = [sys.executable, "-I", str(FILE), "--answer", f"{HERE}:{port}"]
    with subprocess.Popen(argv) as process:
        try:
            with preflight._udp(preflight.Endpoint(HERE, port), 0.2) as sock:
                end_s = time.monotonic() + 20
                while preflight._echo(sock, 148) is None:
                    assert time.monotonic() < end_s, "it never came up"
                for stranger in (b"", b"hello", PROBE[:-1], b"\2" + PROBE[1:], bytes(148)):
                    sock.send(stranger)
                    with pytest.raises(TimeoutError):
                        sock.recv(2048)
            monkeypatch.setattr(preflight, "TRY_S", 10.0)  # a machine under load is slow
            found, wide = measured(preflight.udp, "--gateway", f"{HERE}:{port}")
        finally:
            process.kill()
    assert (found.result, found.code) == (OK, "")
    assert f"{preflight.PROBES}/{preflight.PROBES}" in found.detail
    assert (wide.result, wide.detail) == (OK, "1500")


def test_udp_that_nobody_answers_is_blocked_and_leaves_nothing_to_measure() -> None:
    assert {row.code for row in measured(preflight.udp)} == {"not-asked"}
    heard: list[bytes] = []
    with servers.udp(HERE, 0, lambda _: None, heard) as port:
        found, wide = measured(preflight.udp, "--gateway", f"{HERE}:{port}")
    assert (found.result, found.code, wide.code) == (FAILED, "udp-blocked", "no-udp")
    assert [(len(each), each[:4]) for each in heard] == [(148, b"\1\0\0\0")] * preflight.PROBES
    found, _ = measured(preflight.udp, "--gateway", f"{HERE}:{closed_port()}")
    assert found.code == "udp-blocked"
    found, wide = measured(preflight.udp, "--gateway", "nobody.invalid:1")
    assert (found.code, wide.code) == ("udp-blocked", "no-udp")


def test_no_way_there_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    found, _ = measured(preflight.udp, "--gateway", "192.0.2.7:1")
    assert found.detail.endswith("Network is unreachable")


def test_udp_that_loses_and_swallows_what_is_large() -> None:
    seen: list[bytes] = []

    def lossy(data: bytes) -> bytes | None:
        lost = len(seen) % 4 == 3 or len(data) > 1300
        seen.append(data)
        return None if lost else data

    with servers.udp(HERE, 0, lossy, []) as port:
        found, wide = measured(preflight.udp, "--gateway", f"{HERE}:{port}")
    assert (found.result, found.code) == (WARN, "udp-loss")
    assert (wide.result, wide.code, wide.detail) == (WARN, "mtu-small", "1280")


def test_a_way_that_carries_small_probes_only_and_a_system_that_can_t_tell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with servers.udp(HERE, 0, lambda data: data if len(data) < 200 else None, []) as port:
        _, wide = measured(preflight.udp, "--gateway", f"{HERE}:{port}")
        assert (wide.code, wide.detail) == ("mtu-small", "< 576")
        monkeypatch.setattr(sys, "platform", "plan9")
        _, wide = measured(preflight.udp, "--gateway", f"{HERE}:{port}")
    assert (wide.result, wide.code) == (OPEN, "not-here")


def test_another_datagram_is_no_echo() -> None:
    with servers.udp(HERE, 0, lambda data: data[::-1], []) as port:
        found, _ = measured(preflight.udp, "--gateway", f"{HERE}:{port}")
    assert found.code == "udp-blocked"


def test_others_datagrams_do_not_keep_a_probe_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, far:
        for _ in range(100):
            far.send(b"another's")
        monkeypatch.setattr(preflight, "TRY_S", 0.0)
        assert preflight._echo(ours, 200) is None
        monkeypatch.setattr(preflight, "TRY_S", 0.2)
        ours.settimeout(0.2)
        assert preflight._echo(ours, 200) is None
        far.settimeout(0.2)
        assert far.recv(2048) != b"", "the probe was sent"


# -- TLS, TCP, proxy, portal -----------------------------------------------------------------------


def test_tls_to_the_centre_and_its_inspection(pems: Path) -> None:
    anchor = ("--anchor", str(pems / "anchor.pem"))
    with servers.tcp(HERE, 0, servers.tls(pems / "centre.pem")) as port:
        at = ("--centre", f"{HERE}:{port}")
        (found,) = measured(preflight.centre, *at, *anchor)
        assert (found.result, found.code) == (OK, "")
        (unjudged,) = measured(preflight.centre, *at)
        assert (unjudged.result, unjudged.code) == (OPEN, "compare")
    assert hashlib.sha256(CENTRE.der).hexdigest() in unjudged.detail
    assert "authority of the centre" in unjudged.detail
    with servers.tcp(HERE, 0, servers.tls(pems / "inspected.pem")) as port:
        (found,) = measured(preflight.centre, "--centre", f"{HERE}:{port}", *anchor)
    assert (found.result, found.code) == (FAILED, "tls-inspected")
    assert "Made for a test, inspection of the host" in found.detail


def test_the_fallback_is_known_by_its_certificate_alone(pems: Path) -> None:
    assert measured(preflight.carrier)[0].code == "not-asked"
    right = hashlib.sha256(CENTRE.der).hexdigest()
    with servers.tcp(HERE, 0, servers.tls(pems / "centre.pem")) as port:
        at = ("--carrier", f"{HERE}:{port}")
        (found,) = measured(preflight.carrier, *at, "--carrier-sha256", right.upper())
        assert (found.result, found.code) == (OK, "")
        (other,) = measured(preflight.carrier, *at, "--carrier-sha256", "00" * 32)
        assert (other.result, other.code) == (FAILED, "tls-inspected")
        assert measured(preflight.carrier, *at)[0].code == "compare"


def test_tls_that_is_old_broken_or_not_there(pems: Path) -> None:
    anchor = ("--anchor", str(pems / "anchor.pem"))
    with servers.tcp(HERE, 0, servers.tls(pems / "centre.pem", old=True)) as port:
        (found,) = measured(preflight.centre, "--centre", f"{HERE}:{port}", *anchor)
        assert (found.result, found.code) == (FAILED, "tls-old")
    with servers.tcp(HERE, 0, servers.says(REFUSED)) as port:
        (found,) = measured(preflight.centre, "--centre", f"{HERE}:{port}")
        assert (found.result, found.code) == (FAILED, "tls-failed")
    (found,) = measured(preflight.centre, "--centre", f"{HERE}:{closed_port()}")
    assert (found.result, found.code) == (FAILED, "tcp-blocked")


def test_a_centre_that_hangs_up_the_second_time_is_not_called_inspected(pems: Path) -> None:
    served = []
    talk = servers.tls(pems / "centre.pem")

    def once(sock: socket.socket) -> None:
        served.append(sock)
        if len(served) == 1:
            talk(sock)

    with servers.tcp(HERE, 0, once) as port:
        words = ("--centre", f"{HERE}:{port}", "--anchor", str(pems / "anchor.pem"))
        (found,) = measured(preflight.centre, *words)
    assert (found.result, len(served)) == (FAILED, 2)
    assert found.code in {"tls-failed", "tcp-blocked"}  # as the kernel words it


def test_a_certificate_that_can_t_be_read_is_shown_by_its_hash(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(preflight, "_handshake", lambda *_: ("TLSv1.3", b"\x30"))
    (found,) = measured(preflight.centre)
    assert "?, SHA-256" in found.detail


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", ""),
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "proxy-wants-password"),
        (REFUSED, "proxy-refuses"),
        (b"SSH-2.0-x\r\n", "proxy-silent"),
    ],
)
def test_a_proxy_is_asked_for_the_fallback(answer: bytes, code: str) -> None:
    asked: list[bytes] = []

    def serve(sock: socket.socket) -> None:
        asked.append(sock.recv(2048))
        sock.sendall(answer)

    with servers.tcp(HERE, 0, serve) as port:
        words = ("--proxy", f"{HERE}:{port}", "--carrier", "[2001:db8::8]:443")
        (found,) = measured(preflight.proxy, *words)
    assert (found.result, found.code) == (FAILED if code else OK, code)
    assert asked[0].startswith(b"CONNECT [2001:db8::8]:443 HTTP/1.1\r\n")


def test_a_proxy_that_is_not_there_and_those_this_machine_knows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ("--proxy", f"{HERE}:{closed_port()}", "--carrier", f"{HERE}:443")
    assert measured(preflight.proxy, *words)[0].code == "proxy-silent"
    monkeypatch.setenv("https_proxy", "http://me:secret@192.0.2.9:3128")
    (found,) = measured(preflight.proxy)
    assert (found.code, found.detail) == ("not-asked", "http://192.0.2.9:3128")


@pytest.mark.parametrize(
    "url",
    [
        "http://me:secret@192.0.2.9:3128",
        "http://me:sec@secret@192.0.2.9:3128",
        "http://me:sec/secret@192.0.2.9:3128",
        "http://me:sec://secret@192.0.2.9:3128",
        "me:secret@192.0.2.9:3128",
        "me:sec://secret@192.0.2.9:3128",
        "secret@192.0.2.9:3128",
    ],
)
def test_the_form_holds_no_password_of_a_proxy(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("https_proxy", url)
    (found,) = measured(preflight.proxy)
    assert found.detail.endswith("192.0.2.9:3128")
    assert "sec" not in found.detail
    monkeypatch.setenv("https_proxy", "192.0.2.9:3128/\x1b[2J")
    assert measured(preflight.proxy)[0].detail == "192.0.2.9:3128/?[2J"


def test_a_portal_answers_for_an_address_that_nobody_has() -> None:
    with servers.tcp(
        HERE, 0, servers.says(b"HTTP/1.1 302 Found\r\nLocation: http://x\r\n\r\n")
    ) as p:
        (found,) = measured(preflight.portal, "--nowhere", f"{HERE}:{p}")
        assert (found.result, found.code) == (FAILED, "portal")
        assert "302" in found.detail
    with servers.tcp(HERE, 0, servers.says(b"")) as port:  # takes the connection, and is mute
        assert measured(preflight.portal, "--nowhere", f"{HERE}:{port}")[0].code == "portal"
    assert measured(preflight.portal, "--nowhere", f"{HERE}:{closed_port()}")[0].result == OK
