"""Those on the other side: a member of staff who signs answers, and a centre that issues."""

import datetime as dt
import hashlib
import uuid
from dataclasses import dataclass, field

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key

from sdbox_agent.centre import wire
from sdbox_agent.errors import Refused
from sdbox_agent.profile.schema import Centre, Lan
from sdbox_agent.provision.setup import answers as answering
from sdbox_agent.provision.setup import ports, signature
from sdbox_agent.provision.setup.answers import Anchors, Answers, Hosting
from sdbox_agent.statements import jws
from sdbox_centre import authority
from sdbox_centre.authority import Authority

NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
NOW_S = int(NOW.timestamp())
DAY_S = 86400
BOX = "box-07"
TOKEN = "T" * 43


def _authorities() -> dict[str, Authority]:
    names = ("centre", "cards", "desk", "boxes", "staff")
    return {name: authority.authority(f"Test {name}", NOW, test=name == "staff") for name in names}


AUTHORITIES = _authorities()
ANCHOR = hashlib.sha256(AUTHORITIES["staff"].certificate_der).digest()


def answers(**changed: object) -> Answers:
    said: dict[str, object] = {
        "v": 1,
        "box": BOX,
        "token": TOKEN,
        "until_s": NOW_S + 30 * DAY_S,
        "profile": "virtual",
        "language": "en",
        "centre": Centre(host="192.0.2.1", addresses=("192.0.2.1",)),
        "lan": Lan(uplinks=("eth0",), dhcp=False),
        "hosting": Hosting(voucher="HV-7", place="Room 7"),
        "anchors": Anchors(
            **{
                name: (AUTHORITIES[name].certificate_der,)
                for name in ("centre", "cards", "desk", "boxes")
            }
        ),
    }
    return Answers(**{**said, **changed})  # type: ignore[arg-type]


@dataclass
class Member:
    """One of staff, with a card whose key is in memory."""

    by: Authority = AUTHORITIES["staff"]
    key: ec.EllipticCurvePrivateKey = field(default_factory=authority.new_key)

    def __post_init__(self) -> None:
        subject = authority.card_subject(uuid.uuid4().bytes, "Test staff")
        self.certificate = self.by.card_certificate("9A", self.key.public_key(), subject, NOW)

    def sign(self, raw: bytes, **changed: object) -> bytes:
        """The detached signature over the bytes of an answers file."""
        parsed = answering.parse(raw)
        said = {
            "n": 1,
            "utc_s": NOW_S,
            "motive": "test",
            "box": parsed.box,
            "answers_sha256": hashlib.sha256(raw).digest(),
            "until_s": parsed.until_s,
        }
        act = self.statement(signature.Said(**{**said, **changed}))  # type: ignore[arg-type]
        return self.detached(act)

    def statement(self, said: signature.Said) -> bytes:
        payload = msgspec.json.encode(said)
        head = jws.header(signature.TYP, self.certificate)
        r, s = decode_dss_signature(
            self.key.sign(jws.signing_input(head, payload), ec.ECDSA(hashes.SHA256()))
        )
        return jws.assemble(payload, [(head, r.to_bytes(32) + s.to_bytes(32))])

    def detached(self, act: bytes, **changed: object) -> bytes:
        whole = {
            "certificate": self.certificate,
            "authorities": (self.by.certificate_der,),
            "act": act,
        }
        return signature.encode(signature.Detached(**{**whole, **changed}))  # type: ignore[arg-type]


class IssuingCentre(ports.Centre):
    """ports.Centre in memory: one token, a certificate for one key of each kind.

    `standings` are said one after the other, the last for ever; one that is an error is raised.
    """

    def __init__(self, *standings: wire.ReportAnswer | Exception) -> None:
        self.standings = list(standings or (standing("active"),))
        self.issued: dict[str, tuple[bytes, bytes]] = {}  # by purpose: key, certificate
        self.reports: list[wire.ReportRequest] = []
        self.retired: list[str] = []
        self.away: Exception | None = None

    def enrol(self, purpose, key, given: Answers) -> bytes:
        self._reached()
        held, pem = self.issued.get(purpose, (key.public_key_der, b""))
        if held != key.public_key_der:
            raise Refused("box-token-spent")
        if not pem:
            profile = authority.BOX_TLS if purpose == "tls" else authority.BOX_STATEMENT
            public = load_der_public_key(key.public_key_der)
            subject = authority.box_subject(given.box)
            begin = NOW - authority.BACKDATED
            pem = authority.pem_of(AUTHORITIES["boxes"].issue(profile, subject, public, begin))
            self.issued[purpose] = (held, pem)
        return pem

    def report(self, report: wire.ReportRequest) -> wire.ReportAnswer:
        self._reached()
        self.reports.append(report)
        said = self.standings.pop(0) if len(self.standings) > 1 else self.standings[0]
        if isinstance(said, Exception):
            raise said
        return said

    def retire(self, box: str) -> None:
        self._reached()
        self.retired.append(box)

    def _reached(self) -> None:
        if self.away is not None:
            raise self.away


def standing(state: str, *, voucher: bool = True, placed: bool = True) -> wire.ReportAnswer:
    return wire.ReportAnswer(state=state, voucher=voucher, placed=placed)  # type: ignore[arg-type]


def loaded(pem: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem)
