"""What a short certificate carries, as anybody may show it: one form, or a DecodeError."""

import contextlib
import functools

from cryptography import x509

from sdbox_agent.centre import vouchwire, wire
from sdbox_agent.errors import DecodeError
from sdbox_agent.pki import der, vouched
from sdbox_agent.statements import vouch
from tests.fuzz import structure
from tests.pki import boxed, vouching

DIVISOR = 10
MUTATE = structure.mutate
PARSERS = (vouch.parse, vouched.parse, vouched.opened, vouched.voucher)
OWN = vouching.statement_der()
WORD = vouching.signed(vouching.said(boxed.key()), OWN, boxed.key("statement"))
ANOTHERS = vouching.signed(vouching.said(boxed.key("other")), OWN, boxed.key("statement"))
PAYLOAD = vouch.encode(vouching.said(boxed.key()))
REQUEST = vouchwire.VouchRequest(request=boxed.request(), statement=WORD)


class Carrier:
    """A certificate with just this extension, and no authority's signature in the way."""

    subject = boxed.issued("tls").subject
    _key = boxed.key().private.public_key()

    def __init__(self, carried: x509.ExtensionType | None) -> None:
        found = [] if carried is None else [x509.Extension(vouched.VOUCHED, False, carried)]
        self.extensions = x509.Extensions(found)

    def public_key(self):
        return self._key


@functools.cache
def _other() -> x509.ExtensionType:
    return x509.KeyUsage(*([True] + [False] * 8))


SEEDS: list[bytes] = [
    vouched.extension(OWN, WORD).value,
    vouched.extension(OWN, ANOTHERS).value,
    vouched.extension(OWN, b"{}").value,
    vouched.extension(b"\x30\x00", WORD).value,
    der.sequence(der.octets(OWN), der.octets(WORD)),
    der.sequence(OWN, der.octets(WORD), der.octets(b"")),
    PAYLOAD,
    PAYLOAD + b" ",
    PAYLOAD.replace(b":", b": ", 1),
    b" " * (vouch.MAX_PAYLOAD_BYTES + 1),
    wire.encode(REQUEST),
    b"",
]
TOKENS = [b'"box":"', b'"challenge":"', b'"key_sha256":"', der.octets(b"")]


def target(data: bytes) -> None:
    """What is read is written again as it was; nobody but the box's own key vouches for it."""
    with contextlib.suppress(DecodeError):
        assert vouch.encode(vouch.parse(data)) == data
    with contextlib.suppress(DecodeError):
        assert vouched.extension(*vouched.parse(data)).value == data
    with contextlib.suppress(DecodeError):
        asked = wire.decode(data, vouchwire.VouchRequest, vouchwire.MAX_REQUEST_BYTES)
        vouched.opened(asked.statement, OWN)
    with contextlib.suppress(DecodeError):
        shown = Carrier(x509.UnrecognizedExtension(vouched.VOUCHED, data))
        by = vouched.voucher(shown)  # type: ignore[arg-type]
        assert by is not None
    assert vouched.voucher(Carrier(None)) is None  # type: ignore[arg-type]
    with contextlib.suppress(DecodeError):
        vouched.voucher(Carrier(_other()))  # type: ignore[arg-type]
        raise AssertionError("another extension was taken for it")
