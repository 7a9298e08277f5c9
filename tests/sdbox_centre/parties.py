"""Cards and boxes with real keys, and what they sign; and the device that shows codes."""

import base64
import dataclasses
import datetime as dt
import hashlib
import hmac
import os
from urllib.parse import parse_qs, urlparse

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from sdbox_agent.centre import wire
from sdbox_agent.pki import oids
from sdbox_agent.pki.holder import CardCertificates
from sdbox_agent.statements import fields, jws
from sdbox_agent.terms import Level
from sdbox_agent.tunnel import psk
from sdbox_centre import authority

SEALED = b"sealed reference of test-holder-01"
PROJECT = "test-project-01"
LEVELS = (Level.CARD_MATCH, Level.HOST_MATCH, Level.CARD_PIN)
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def sign(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32) + s.to_bytes(32)


def statement(body: fields.Statement, *signers: tuple[bytes, ec.EllipticCurvePrivateKey]) -> bytes:
    payload, parts = fields.encode(body), []
    for certificate, key in signers:
        protected = jws.header(fields.typ_of(body), certificate)
        parts.append((protected, sign(key, jws.signing_input(protected, payload))))
    return jws.assemble(payload, parts)


def spaced(statement_jws: bytes) -> bytes:
    """The same statement, its JSON written otherwise."""
    return statement_jws.replace(b":", b": ", 1)


def mirrored(statement_jws: bytes) -> bytes:
    """The same statement, its first (ECDSA) signature turned from (r, s) into (r, n-s)."""
    parsed = msgspec.json.decode(statement_jws, type=jws.Jws)
    raw = jws.unb64url(parsed.signatures[0].signature)
    other = raw[:32] + (P256_ORDER - int.from_bytes(raw[32:])).to_bytes(32)
    first = jws.Part(parsed.signatures[0].protected, jws.b64url(other).decode())
    return msgspec.json.encode(jws.Jws(parsed.payload, (first, *parsed.signatures[1:])))


@dataclasses.dataclass(frozen=True)
class Card:
    certificates: CardCertificates
    auth: ec.EllipticCurvePrivateKey
    card_auth: ec.EllipticCurvePrivateKey

    @property
    def name(self) -> bytes:
        return hashlib.sha256(self.certificates.auth).digest()


def make_card(
    issuer: authority.Authority, number: int, now: dt.datetime, *, match_bound: bool = False
) -> Card:
    auth, keys, card_auth = (authority.new_key() for _ in range(3))
    guid = hashlib.sha256(f"test-card-{number:02}".encode()).digest()[:16]
    subject = authority.card_subject(guid, f"Test Holder {number:02}")
    policies = (oids.POLICY_AUTH, oids.POLICY_MATCH_BOUND)[: 1 + match_bound]
    ninth_a = dataclasses.replace(authority.CARD_9A, policies=policies)
    three = [
        authority.der_of(
            issuer.issue(profile, subject, key.public_key(), now - authority.BACKDATED)
        )
        for profile, key in (
            (ninth_a, auth),
            (authority.CARD_9D_EC, keys),
            (authority.CARD_9E, card_auth),
        )
    ]
    return Card(CardCertificates(*three), auth, card_auth)


class Device:
    """What a person without a finger holds: it read the URI, and shows codes."""

    def __init__(self, uri: str, clock) -> None:
        self.secret = base64.b32decode(parse_qs(urlparse(uri).query)["secret"][0])
        self.clock = clock

    def code(self, steps: int = 0) -> str:
        return self._of(self.clock.utc // 30 + steps)

    def wrong(self) -> str:
        window = {self.code(steps) for steps in (-1, 0, 1)}
        return next(code for code in ("000000", "000001", "000002", "000003") if code not in window)

    def _of(self, step: int) -> str:
        """RFC 4226 section 5.3, written again."""
        digest = hmac.digest(self.secret, step.to_bytes(8), "sha1")
        at = digest[-1] & 15
        return f"{(int.from_bytes(digest[at : at + 4]) & 0x7FFFFFFF) % 10**6:06}"


@dataclasses.dataclass
class Box:
    """A box's keys, and what its core would say."""

    name: str
    tls_der: bytes
    tls_key: ec.EllipticCurvePrivateKey
    statement_der: bytes
    statement_key: ec.EllipticCurvePrivateKey
    boot_id: str
    boot_counter: int = 1
    kem: psk.KemPair = dataclasses.field(default_factory=psk.KemPair)  # of every session of its

    @property
    def fingerprint(self) -> bytes:
        return hashlib.sha256(self.tls_der).digest()

    def hello(self, session: str | None) -> wire.HelloRequest:
        return wire.HelloRequest(
            box=self.name,
            session=session,
            boot_id=self.boot_id,
            boot_counter=self.boot_counter,
            agent_version="0.1.0",
        )

    def link(self, n: int) -> wire.LinkRequest:
        return wire.LinkRequest(boot_id=self.boot_id, boot_counter=self.boot_counter, n=n)

    def health(self, n: int, **changed: object) -> wire.HealthRequest:
        values = {"agent_version": "0.1.0", "state": "idle", "tunnel": False, "utc_s": 1}
        values |= {"readers": 1, "sensor": True, "audit_percent": 3}
        start = {"boot_id": self.boot_id, "boot_counter": self.boot_counter, "n": n}
        return wire.HealthRequest(**{**start, **values, **changed})

    def proof(
        self, card: Card, session: str, challenge: bytes, changed: dict | None = None
    ) -> wire.ProofRequest:
        said = fields.Proof(
            **{"box": self.name, "session": session, "challenge": challenge, **(changed or {})}
        )
        three = card.certificates
        return wire.ProofRequest(
            session=session,
            auth=three.auth,
            key_management=three.key_management,
            card_auth=three.card_auth,
            statement=statement(said, (three.card_auth, card.card_auth)),
            levels=LEVELS,
        )

    def receipt_of(self, session: str, challenge: bytes, attempt: int, utc_s: int, changed: dict):
        return fields.Receipt(
            **{
                "box": self.name,
                "session": session,
                "challenge": challenge,
                "enrolment": "test-enrolment-01",
                "reference_sha256": hashlib.sha256(SEALED).digest(),
                "attempt": attempt,
                "level": Level.HOST_MATCH,
                "project": PROJECT,
                "wg_public_key": os.urandom(32),
                "kem_key_sha256": hashlib.sha256(self.kem.public).digest(),
                "utc_s": utc_s,
                **changed,
            }
        )

    def receipt(self, card: Card, said: fields.Receipt) -> wire.ReceiptRequest:
        signers = (
            (card.certificates.auth, card.auth),
            (self.statement_der, self.statement_key),
        )
        return wire.ReceiptRequest(
            session=said.session, statement=statement(said, *signers), kem_key=self.kem.public
        )

    def renew(self, card: Card, session: str, challenge: bytes, n: int) -> wire.RenewRequest:
        said = fields.Renew(box=self.name, session=session, challenge=challenge, n=n)
        signed = statement(said, (card.certificates.auth, card.auth))
        return wire.RenewRequest(session=session, statement=signed)


def make_box(issuer: authority.Authority, number: int, now: dt.datetime) -> Box:
    name = f"test-box-{number:02}"
    tls_key, statement_key = authority.new_key(), authority.new_key()
    subject, since = authority.box_subject(name), now - authority.BACKDATED
    tls = issuer.issue(authority.BOX_TLS, subject, tls_key.public_key(), since)
    signs = issuer.issue(authority.BOX_STATEMENT, subject, statement_key.public_key(), since)
    return Box(
        name,
        authority.der_of(tls),
        tls_key,
        authority.der_of(signs),
        statement_key,
        f"boot-{number}",
    )
