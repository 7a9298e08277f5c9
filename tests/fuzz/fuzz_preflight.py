"""What preflight reads of the network: a value, or Unreadable."""

import contextlib

from sdbox_agent.provision import preflight
from sdbox_agent.provision.preflight import Unreadable

PARSERS = (
    preflight.endpoint,
    preflight.ntp_times,
    preflight.http_status,
    preflight.issuer,
    preflight._element,
    preflight.is_probe,
    preflight.sha256,
)
NONCE = bytes(range(8))
NTP = b"\x24\x02" + bytes(22) + NONCE + bytes.fromhex("ee00000080000000ee00000080000001")
# A certificate as far as its issuer: version, serial number, algorithm, then O and CN.
_ISSUER = bytes.fromhex("301a310b3009060355040a0c024142310b300906035504030c024344")
_TBS = bytes.fromhex("a00302010202010130020600") + _ISSUER
CERTIFICATE = b"\x30" + bytes([2 + len(_TBS)]) + b"\x30" + bytes([len(_TBS)]) + _TBS
OF_A_COUNTRY = CERTIFICATE.replace(bytes.fromhex("060355040a"), bytes.fromhex("0603550406"))
SEEDS: list[bytes] = [
    NTP,
    CERTIFICATE,
    CERTIFICATE.replace(b"\xa0\x03\x02\x01\x02", b""),
    _ISSUER,
    OF_A_COUNTRY,
    b"\x30\x82\x00\x04\x30\x02\x05\x00",
    b"\x30\x85\x00\x00\x00\x00\x01\x00",
    b"HTTP/1.1 200 Connection established\r\n\r\n",
    b"HTTP/1.0 407\r\n",
    b"HTTP/2 200\r\n",
    b"192.0.2.1:443",
    b"0:1A" * 16 + b"ff" * 8,
    b"[2001:db8::1]:51820",
    b"centre.example:0",
    b"[::1.2]:443",
    b"a." * 130 + b"test:443",
]


def target(data: bytes) -> None:
    with contextlib.suppress(Unreadable):
        assert len(preflight.sha256(data.decode("latin-1"))) == 64
    preflight.is_probe(data)
    with contextlib.suppress(Unreadable):
        at = preflight.endpoint(data.decode("latin-1"))
        assert preflight.endpoint(str(at)) == at
    with contextlib.suppress(Unreadable):
        received, sent = preflight.ntp_times(data, NONCE)
        assert -2_300_000_000 < received < 2_300_000_000
        assert -2_300_000_000 < sent < 2_300_000_000
    with contextlib.suppress(Unreadable):
        assert 100 <= preflight.http_status(data) < 600
    with contextlib.suppress(Unreadable):
        text = preflight.issuer(data)
        assert len(text) <= 80
        assert text.isprintable()
