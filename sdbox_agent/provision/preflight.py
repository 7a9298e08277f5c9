"""Before an SD-Box is shipped: what the network it will stand in lets through [door].

This one file is all: Python 3.9 or newer, nothing to install, no rights. The centre says with which
words to run it, on a machine that is plugged in where the box will be:

    python3 preflight.py --centre centre.example:443 --anchor centre.pem \
        --gateway 192.0.2.7:51820 --carrier 192.0.2.8:443 --carrier-sha256 … \
        --time-server 192.0.2.123 [--proxy 192.0.2.9:3128]

It prints the technical form, filled in by measurement, in French and English, and ends with a list
of everything it sent. It sends nothing else, to nobody else, and the form nowhere. Exit status:
0 the box will work, 1 it will, but see the warnings, 2 it will not.

WireGuard answers no stranger, so UDP is measured against this same file, run at the centre, best
on the gateway's port at another address of its: `python3 preflight.py --answer 192.0.2.7:51820`.
Its end answers what this file has sent, with as many bytes, and nothing else.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import ipaddress
import json
import os
import re
import socket
import ssl
import sys
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OK, WARN, FAILED, OPEN = "ok", "warn", "failed", "open"
WAIT_S: Final = 3.0
TRY_S: Final = 0.7
MAGIC: Final = b"sdboxpf1"  # after a type of WireGuard's, so that what drops WireGuard drops this
INITIATION, DATA = b"\x01\0\0\0", b"\x04\0\0\0"  # its paper, sections 5.4.2 and 5.4.6
NONCE_BYTES: Final = 16
PROBE_BYTES: Final = 148  # as long as WireGuard's first message (its paper, section 5.4.2)
PROBES: Final = 10
NOWHERE: Final = "192.0.2.1:80"  # RFC 5737: no machine anywhere has that address
NOBODY: Final = ".invalid"  # RFC 6761, section 6.4: no name anywhere ends so
HEADERS_BYTES: Final = {4: 20 + 8, 6: 40 + 8}  # IP and UDP
LEAST_WIDE: Final = 1340  # IPv6's 1280 inside, and WireGuard's 60 around
SIZES: Final = (1500, 1492, 1480, 1460, 1440, 1420, 1400, 1380, 1360, LEAST_WIDE, 1280, 1024, 576)
NTP_EPOCH_S: Final = 2_208_988_800  # RFC 5905, section 6: seconds from 1900 to 1970
CLOCK_OFF_S: Final = 60.0
# "do not fragment", by system: level, option, value (ip(7), ipv6(7); Windows ws2ipdef.h)
WHOLE: Final = {
    ("linux", 4): (0, 10, 3), ("linux", 6): (41, 23, 3),
    ("win32", 4): (0, 14, 1), ("win32", 6): (41, 14, 1),
    ("darwin", 4): (0, 28, 1), ("darwin", 6): (41, 62, 1),
}  # fmt: skip

TITLES: Final = {
    "address": ("Adresse de ce poste", "Address of this machine"),
    "names": ("Résolution de noms", "Name resolution"),
    "clock": ("Heure", "Time"),
    "proxy": ("Mandataire HTTP", "HTTP proxy"),
    "udp": ("UDP vers la passerelle", "UDP to the gateway"),
    "mtu": ("Taille des paquets", "Size of packets"),
    "carrier": ("Repli par TCP 443", "Fallback over TCP 443"),
    "centre": ("TLS vers le centre", "TLS to the centre"),
    "portal": ("Portail captif", "Captive portal"),
}
SAID: Final = {
    OK: ("bien", "ok"), WARN: ("attention", "warning"), FAILED: ("échec", "failed"),
    OPEN: ("non mesuré", "not measured"),
}  # fmt: skip
REMEDIES: Final = {
    "no-way": ("Ce poste n’a pas de chemin vers le centre.",
        "This machine has no way to the centre."),
    "name-not-found": ("Ce nom ne se résout pas ; la box, elle, ne connaît que des adresses.",
        "This name does not resolve; the box itself knows addresses only."),
    "names-invented": ("Le résolveur invente des réponses : la box ne doit pas s’en servir.",
        "The resolver makes up answers: the box must not use it."),
    "time-silent": ("Le serveur de temps ne répond pas : laissez passer UDP 123 vers lui.",
        "The time server does not answer: let UDP 123 pass to it."),
    "clock-off": ("L’horloge de ce poste ou du serveur de temps est fausse.",
        "The clock of this machine, or of the time server, is wrong."),
    "proxy-silent": ("Le mandataire ne répond pas.", "The proxy does not answer."),
    "proxy-wants-password": ("Le mandataire demande un mot de passe : exemptez la box.",
        "The proxy asks for a password: exempt the box."),
    "proxy-refuses": ("Le mandataire refuse CONNECT : autorisez l’adresse du repli.",
        "The proxy refuses CONNECT: allow the fallback’s address."),
    "udp-blocked": ("Aucune réponse en UDP : laissez-le passer vers cette adresse et ce port.",
        "No answer over UDP: let it pass to this address and port."),
    "udp-loss": ("Des paquets UDP se perdent.", "UDP packets are lost."),
    "mtu-small": ("Les grands paquets ne passent pas : le tunnel sera plus lent.",
        "Large packets do not pass: the tunnel will be slower."),
    "tcp-blocked": ("Pas de connexion : laissez passer TCP vers cette adresse et ce port.",
        "No connection: let TCP pass to this address and port."),
    "tls-failed": ("TLS n’aboutit pas : rien ne doit répondre à la place du centre.",
        "TLS does not come about: nothing may answer in the centre’s place."),
    "tls-old": ("TLS 1.3 n’arrive pas jusqu’au centre : quelque chose s’interpose.",
        "TLS 1.3 does not reach the centre: something stands between."),
    "tls-inspected": ("Un autre certificat est présenté : exemptez cette adresse de l’inspection.",
        "Another certificate is shown: exempt this address from inspection."),
    "portal": ("Quelqu’un répond pour une adresse qui n’existe pas : exemptez la box du portail.",
        "Somebody answers for an address that does not exist: exempt the box from the portal."),
    "not-asked": ("Non demandé.", "Not asked for."),
    "compare": ("À comparer par le centre.", "For the centre to compare."),
    "no-udp": ("Sans UDP, rien à mesurer.", "Nothing to measure without UDP."),
    "not-here": ("Ce système ne sait pas envoyer sans fragmenter.",
        "This system can’t send without fragmenting."),
}  # fmt: skip


class Unreadable(ValueError):  # noqa: N818
    """Bytes from outside are not what they should be."""


@dataclass(frozen=True)
class Row:
    """One line of the form."""

    name: str
    result: str
    code: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Endpoint:
    """A host, by address or name, and a port."""

    host: str
    port: int
    address: str = ""  # where it is called, whatever its name says

    def __str__(self) -> str:  # type: ignore[explicit-override]  # Python 3.9
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass
class Probes:
    """What is asked for, and what has been sent because of it."""

    options: argparse.Namespace
    clock: Callable[[], float]  # UTC seconds
    sent: list[str] = field(default_factory=list)

    def tell(self, what: str) -> None:
        """Once for each kind of probe, before it is sent."""
        if what not in self.sent:
            self.sent.append(what)

    def send(self, protocol: str, at: Endpoint, what: str) -> None:
        """The same, to somebody; whose name, if it is one, is asked for first."""
        if not _is_address(at.address or at.host):
            self.tell(f"DNS: {at.host}")
        self.tell(f"{protocol} {at}: {what}")


# -- what comes from outside, as values: each accepts, or raises Unreadable ------------------------


def endpoint(text: str) -> Endpoint:
    """HOST:PORT, [IPV6]:PORT; a name as RFC 1035 has it, section 2.3.4."""
    match = re.fullmatch(
        r"(?:\[([0-9a-fA-F:.]+)\]|((?:[\w-]{1,63}\.)*[\w-]{1,63}\.?)):([0-9]{1,5})", text, re.ASCII
    )
    if not match or not 0 < int(match[3]) < 65536:
        raise Unreadable("not HOST:PORT")
    if not _is_address(match[1]) if match[1] else len(match[2]) > 253:
        raise Unreadable("no such host")
    return Endpoint(match[1] or match[2], int(match[3]))


def time_server(text: str) -> Endpoint:
    """ADDRESS, of either kind; the port is NTP's (RFC 5905, section 7.2)."""
    return endpoint(f"[{text}]:123" if ":" in text else f"{text}:123")


def ntp_times(reply: bytes, nonce: bytes) -> tuple[float, float]:
    """When the server had our question, and when it answered: UTC seconds (RFC 5905, 7.3)."""
    if len(reply) < 48 or reply[0] & 7 != 4 or not 0 < reply[1] < 16 or reply[24:32] != nonce:
        raise Unreadable("not an answer of a time server")
    received, sent = int.from_bytes(reply[32:40], "big"), int.from_bytes(reply[40:48], "big")
    return received / 2**32 - NTP_EPOCH_S, sent / 2**32 - NTP_EPOCH_S


def http_status(answer: bytes) -> int:
    """The status of an HTTP answer (RFC 9112, section 4)."""
    match = re.match(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: |\r?\n)", answer)
    if not match:
        raise Unreadable("not HTTP")
    return int(match[1])


def issuer(certificate_der: bytes) -> str:
    """Who signed a certificate (RFC 5280, section 4.1): O and CN, for a person; not believed."""
    _, body = _element(_element(certificate_der)[1])[:2]
    body = _element(body)[2] if body[:1] == b"\xa0" else body  # version
    _, _, body = _element(body)  # serial number
    _, _, body = _element(body)  # algorithm
    _, rest, _ = _element(body)
    found = []
    while rest:
        _, name, rest = _element(rest)
        _, pair, _ = _element(name)
        _, kind, value = _element(pair)
        if kind in (b"\x55\x04\x0a", b"\x55\x04\x03"):  # RFC 5280, appendix A.1: O, CN
            found.append(_element(value)[1].decode("utf-8", "replace"))
    text = ", ".join(found)[:80]
    return "".join(char if char.isprintable() else "?" for char in text)


def is_probe(data: bytes) -> bool:
    """Is this a datagram of this file's?"""
    kind, magic, rest = data[:4], data[4 : 4 + len(MAGIC)], data[4 + len(MAGIC) :]
    return kind in (INITIATION, DATA) and magic == MAGIC and len(rest) >= NONCE_BYTES


def sha256(text: str) -> str:
    """A digest in hexadecimal, with colons or without."""
    digits = text.replace(":", "").lower()
    if not re.fullmatch("[0-9a-f]{64}", digits):
        raise Unreadable("not a SHA-256")
    return digits


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """Tag, contents and what follows of the first element (X.690, section 8.1)."""
    if len(data) < 2:
        raise Unreadable("DER cut short")
    length, at = data[1], 2
    if length & 0x80:
        at += length & 0x7F
        length = int.from_bytes(data[2:at], "big")
    if at > 6 or at + length > len(data):
        raise Unreadable("DER cut short")
    return data[0], data[at : at + length], data[at + length :]


# -- the probes ------------------------------------------------------------------------------------


def address(probes: Probes) -> Iterator[Row]:
    """This machine's own, on the way to the centre: a connected UDP socket has sent nothing."""
    try:
        with _udp(probes.options.centre, WAIT_S) as sock:
            yield Row("address", OK, "", str(sock.getsockname()[0]))
    except OSError as error:
        yield Row("address", FAILED, "no-way", error.strerror or "")


def names(probes: Probes) -> Iterator[Row]:
    """The centre's name, and a name that can't exist."""
    host = probes.options.centre.host
    if _is_address(host):
        yield Row("names", OPEN, "not-asked")
        return
    started = time.monotonic()
    found = _resolve(probes, host)
    took = f"{host}: {', '.join(found) or '-'} ({time.monotonic() - started:.1f} s)"
    invented = _resolve(probes, os.urandom(6).hex() + NOBODY)
    code = "name-not-found" if not found else "names-invented" if invented else ""
    yield Row("names", WARN if code else OK, code, took)


def clock(probes: Probes) -> Iterator[Row]:
    """How far this machine's clock is from each time server's (RFC 5905, section 8)."""
    if not probes.options.time_server:
        yield Row("clock", OPEN, "not-asked")
    for at in probes.options.time_server:
        nonce = os.urandom(8)
        probes.send("UDP", at, "NTP, 48 bytes")
        try:
            with _udp(at, WAIT_S) as sock:
                sent_s = probes.clock()
                sock.send(b"\x23" + bytes(39) + nonce)  # version 4, client; no time of ours in it
                theirs = ntp_times(sock.recv(512), nonce)
                got_s = probes.clock()
        except (OSError, Unreadable):
            yield Row("clock", WARN, "time-silent", str(at))
            continue
        off_s = (theirs[0] - sent_s + theirs[1] - got_s) / 2
        code = "clock-off" if abs(off_s) > CLOCK_OFF_S else ""
        yield Row("clock", WARN if code else OK, code, f"{at}: {off_s:+.3f} s")


def proxy(probes: Probes) -> Iterator[Row]:
    """May the fallback be reached through the proxy that is named, without a password?"""
    at, to = probes.options.proxy, probes.options.carrier
    if at is None or to is None:
        known = urllib.request.getproxies()
        here = ", ".join(sorted({_no_password(url) for url in known.values()}))
        yield Row("proxy", OPEN, "not-asked", here)
        return
    probes.send("TCP", at, f"CONNECT {to}")
    try:
        with socket.create_connection((at.host, at.port), WAIT_S) as sock:
            sock.sendall(f"CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n".encode())
            status = http_status(sock.recv(1024))
    except (OSError, Unreadable):
        yield Row("proxy", FAILED, "proxy-silent", str(at))
        return
    code = {200: "", 407: "proxy-wants-password"}.get(status, "proxy-refuses")
    yield Row("proxy", FAILED if code else OK, code, f"{at}: {status}")


def udp(probes: Probes) -> Iterator[Row]:
    """Datagrams there and back, and how large they may be."""
    at = probes.options.gateway
    if at is None:
        yield Row("udp", OPEN, "not-asked")
        yield Row("mtu", OPEN, "not-asked")
        return
    probes.send("UDP", at, f"{PROBES} x {PROBE_BYTES} bytes, and sizes up to {SIZES[0]}")
    try:
        with _udp(at, TRY_S) as sock:
            times = [each for each in (_echo(sock, PROBE_BYTES) for _ in range(PROBES)) if each]
            wide = _mtu(sock) if times else Row("mtu", OPEN, "no-udp")
    except OSError as error:  # no way there at all
        yield Row("udp", FAILED, "udp-blocked", f"{at}: {error.strerror}")
        yield Row("mtu", OPEN, "no-udp")
        return
    if times:
        told = f"{at}: {len(times)}/{PROBES}, {sorted(times)[len(times) // 2] * 1000:.1f} ms"
        lost = len(times) < PROBES
        yield Row("udp", WARN if lost else OK, "udp-loss" if lost else "", told)
    else:
        yield Row("udp", FAILED, "udp-blocked", str(at))
    yield wide


def _mtu(sock: socket.socket) -> Row:
    version = 4 if sock.family == socket.AF_INET else 6
    option = WHOLE.get((sys.platform, version))
    if option is None:
        return Row("mtu", OPEN, "not-here")
    sock.setsockopt(*option)
    for size in SIZES:
        if any(_echo(sock, size - HEADERS_BYTES[version]) for _ in range(2)):
            small = size < LEAST_WIDE
            return Row("mtu", WARN if small else OK, "mtu-small" if small else "", f"{size}")
    return Row("mtu", WARN, "mtu-small", f"< {SIZES[-1]}")


def _echo(sock: socket.socket, size: int) -> float | None:
    """Seconds until the same bytes come back; None if they do not in time."""
    data = (INITIATION if size == PROBE_BYTES else DATA) + MAGIC + os.urandom(NONCE_BYTES)
    data += bytes(size - len(data))
    started = time.monotonic()
    with contextlib.suppress(OSError):  # too large for this very cable; nobody there; late
        sock.send(data)
        while time.monotonic() - started < TRY_S:
            if sock.recv(2048) == data:
                return time.monotonic() - started
    return None


def carrier(probes: Probes) -> Iterator[Row]:
    """TLS to the fallback: one certificate is right, known by its hash, whoever signed it."""
    at, wanted = probes.options.carrier, probes.options.carrier_sha256
    if at is None:
        yield Row("carrier", OPEN, "not-asked")
        return
    yield _greet(probes, "carrier", at, wanted)


def centre(probes: Probes) -> Iterator[Row]:
    """TLS to the centre, whose authority is known."""
    yield _greet(probes, "centre", probes.options.centre, None)


def _greet(probes: Probes, name: str, at: Endpoint, wanted: str | None) -> Row:
    probes.send("TCP", at, "TLS")
    anchor, detail = probes.options.anchor if name == "centre" else None, str(at)
    try:
        version, shown = _handshake(at, None)
        digest = hashlib.sha256(shown).hexdigest()
        by = "?"
        with contextlib.suppress(Unreadable):
            by = issuer(shown)
        detail = f"{at}: {version}, {by}, SHA-256 {digest}"
        if anchor:
            _handshake(at, anchor)
        elif wanted is None:
            return Row(name, OPEN, "compare", detail)
        other = not anchor and digest != wanted
        code = "tls-inspected" if other else "" if version == "TLSv1.3" else "tls-old"
    except ssl.SSLCertVerificationError:
        code = "tls-inspected"
    except ssl.SSLError:
        code = "tls-failed"
    except OSError:
        code = "tcp-blocked"
    return Row(name, FAILED if code else OK, code, detail)


def _handshake(at: Endpoint, anchor: str | None) -> tuple[str, bytes]:
    """TLS version and certificate; with an anchor, of that authority alone. Raises OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if anchor is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # it is looked at, and nothing is said to it
    else:
        context.load_verify_locations(anchor)
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(
            socket.create_connection((at.address or at.host, at.port), WAIT_S)
        )
        tls = stack.enter_context(context.wrap_socket(sock, server_hostname=at.host))
        return tls.version() or "", tls.getpeercert(binary_form=True) or b""


def portal(probes: Probes) -> Iterator[Row]:
    """Does anybody answer for an address that nobody has?"""
    at = probes.options.nowhere
    probes.send("TCP", at, "GET /")
    try:
        with socket.create_connection((at.host, at.port), WAIT_S) as sock:
            sock.sendall(f"GET / HTTP/1.1\r\nHost: {at.host}\r\nConnection: close\r\n\r\n".encode())
            answer = sock.recv(1024)
    except OSError:
        yield Row("portal", OK)
        return
    with contextlib.suppress(Unreadable):
        yield Row("portal", FAILED, "portal", f"{at}: HTTP {http_status(answer)}")
        return
    yield Row("portal", FAILED, "portal", str(at))


ALL: Final = (names, address, clock, proxy, udp, carrier, centre, portal)


def _is_address(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return bool(ipaddress.ip_address(host))
    return False


def _resolve(probes: Probes, name: str) -> tuple[str, ...]:
    """Addresses, in at most WAIT_S: the system's own resolver may take far longer."""
    shown = f"*{NOBODY}" if name.endswith(NOBODY) else name
    probes.tell(f"DNS: {shown}")
    found: list[str] = []

    def ask() -> None:
        with contextlib.suppress(OSError, UnicodeError):
            found.extend(str(each[4][0]) for each in socket.getaddrinfo(name, None))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(WAIT_S)
    return tuple(sorted(set(found)))


def _udp(at: Endpoint, wait_s: float) -> socket.socket:
    found = socket.getaddrinfo(at.address or at.host, at.port, type=socket.SOCK_DGRAM)
    family, _, _, _, address = found[0]
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.settimeout(wait_s)
    try:
        sock.connect(address)
    except OSError:
        sock.close()
        raise
    return sock


def _no_password(url: str) -> str:
    """What stands before the last @ goes, whatever it holds, with a scheme before it or none."""
    scheme = (re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://", url) or [""])[0]
    shown = scheme + url[len(scheme) :].rpartition("@")[2]
    return "".join(char if char.isprintable() else "?" for char in shown)


# -- the form --------------------------------------------------------------------------------------


def status(rows: list[Row]) -> int:
    """0, 1 or 2. One way for the tunnel is enough, the centre and no portal are indispensable."""
    failed = {row.name for row in rows if row.result == FAILED}
    ways = {row.name for row in rows if row.result in (OK, WARN) and row.name in ("udp", "carrier")}
    if failed & {"address", "centre", "portal"} or (failed & {"udp", "carrier"} and not ways):
        return 2
    return 1 if failed or any(row.result == WARN for row in rows) else 0


def form(rows: list[Row], sent: list[str], language: int, when: str) -> Iterator[str]:
    """The lines for a person; `language` is 0 for French, 1 for English."""
    heads = (
        ("Fiche technique d’hébergement d’une SD-Box", "Technical form for hosting an SD-Box"),
        ("Établissement, contact : ________", "Host, contact: ________"),
        ("Adresse de la box : DHCP / fixe ________", "Address of the box: DHCP / static ________"),
        ("Envoyé par cette mesure, et rien d’autre", "Sent by this measurement, and nothing else"),
        ("La box fonctionnera ici.", "The box will work here."),
        ("La box fonctionnera ici ; voyez les remarques.", "The box will work here; see above."),
        ("La box ne fonctionnera pas ici.", "The box will not work here."),
    )
    yield f"== {heads[0][language]} ({when}) =="
    yield heads[1][language]
    yield heads[2][language]
    for row in rows:
        yield f"{TITLES[row.name][language]} [{SAID[row.result][language]}] {row.detail}".rstrip()
        if row.code:
            yield f"    {REMEDIES[row.code][language]} ({row.code})"
    yield f"{heads[3][language]}:"
    yield from (f"    {each}" for each in sent)
    yield f"=> {heads[4 + status(rows)][language]}"


def answer(at: Endpoint) -> None:
    """The centre's end of the UDP probe, until it is ended."""
    with contextlib.ExitStack() as stack:
        family = socket.AF_INET6 if ":" in at.host else socket.AF_INET
        sock = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
        option = WHOLE.get((sys.platform, 6 if family == socket.AF_INET6 else 4))
        if option:
            sock.setsockopt(*option)
        sock.bind((at.host, at.port))
        while True:
            data, sender = sock.recvfrom(2048)
            if is_probe(data):
                with contextlib.suppress(OSError):
                    sock.sendto(data, sender)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What this network lets an SD-Box do, measured.")
    parser.add_argument("--centre", type=endpoint, metavar="HOST:PORT")
    parser.add_argument("--anchor", metavar="FILE", help="the centre's authority, PEM")
    parser.add_argument("--gateway", type=endpoint, metavar="ADDRESS:PORT", help="UDP")
    parser.add_argument("--carrier", type=endpoint, metavar="ADDRESS:PORT", help="TCP 443")
    parser.add_argument("--carrier-sha256", type=sha256, help="of its certificate, hexadecimal")
    parser.add_argument("--proxy", type=endpoint, metavar="ADDRESS:PORT")
    parser.add_argument("--time-server", type=time_server, action="append")
    parser.add_argument("--nowhere", type=endpoint, default=NOWHERE, help="an address nobody has")
    parser.add_argument("--language", choices=("fr", "en", "both"), default="both")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--answer", type=endpoint, metavar="ADDRESS:PORT", help="at the centre")
    options = parser.parse_args(arguments)
    options.time_server = options.time_server or []
    if options.answer is None and options.centre is None:
        parser.error("--centre or --answer")
    if options.anchor is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(options.anchor)
        except OSError:
            parser.error("--anchor: no certificate there")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Measure, and print the form."""
    options = _options(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a host's terminal may not know our apostrophes
        sys.stdout.reconfigure(errors="replace")
    try:
        if options.answer is not None:
            answer(options.answer)
        return _measure(options)
    except KeyboardInterrupt:
        return 130
    except OSError as error:  # of the centre's end alone: a probe tells its own
        sys.stderr.write(f"{options.answer or ''} {error.strerror}\n".lstrip())
        return 2


def _measure(options: argparse.Namespace) -> int:
    probes = Probes(options, time.time)  # noqa: TID251  a door
    rows = [row for probe in ALL for row in probe(probes)]
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    if options.json:
        told = {"v": 1, "when": when, "rows": [vars(row) for row in rows], "sent": probes.sent}
        sys.stdout.write(json.dumps({**told, "status": status(rows)}) + "\n")
    else:
        for language in {"fr": (0,), "en": (1,), "both": (0, 1)}[options.language]:
            sys.stdout.write("\n".join(form(rows, probes.sent, language, when)) + "\n\n")
    return status(rows)


if __name__ == "__main__":
    sys.exit(main())
