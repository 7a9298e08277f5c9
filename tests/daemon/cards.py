"""One card authority and one card for these tests, made once."""

import datetime as dt
import functools
import hashlib

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from sdbox_agent import ipc
from sdbox_agent.statements import fields, jws
from sdbox_centre import authority
from tests import kinds
from tests.daemon.parts import UTC_S, N
from tests.sdbox_centre import parties

NOW = dt.datetime.fromtimestamp(UTC_S, dt.UTC)
GUID = hashlib.sha256(b"test-card-01").digest()[:16]


@functools.cache
def issuer() -> authority.Authority:
    return authority.authority("Test card authority", NOW - dt.timedelta(days=1))


@functools.cache
def card() -> parties.Card:
    return parties.make_card(issuer(), 1, NOW)


def anchor() -> bytes:
    return authority.der_of(issuer().certificate)


def crl(number: int, *revoked: bytes, moment: dt.datetime = NOW) -> bytes:
    serials = {x509.load_der_x509_certificate(der).serial_number: moment for der in revoked}
    return issuer().crl(number, moment, serials)


def opened(n: int = N) -> ipc.Opened:
    three = card().certificates
    return ipc.Opened(
        n=n,
        kind=kinds.FREE.name,
        auth=three.auth,
        key_management=three.key_management,
        card_auth=three.card_auth,
        guid=GUID,
        expires=(NOW + dt.timedelta(days=300)).strftime("%Y%m%d"),
    )


def signed(
    body: fields.Statement, key: ec.EllipticCurvePrivateKey, certificate: bytes, n: int = N
) -> ipc.Signed:
    payload, protected = fields.encode(body), jws.header(fields.typ_of(body), certificate)
    signature = parties.sign(key, jws.signing_input(protected, payload))
    return ipc.Signed(
        n=n,
        typ=fields.typ_of(body),  # type: ignore[arg-type]
        payload=payload,
        protected=protected,
        signature=signature,
    )
