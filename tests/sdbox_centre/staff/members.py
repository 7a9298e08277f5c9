"""Members of staff with cards, and the roster that names them."""

import dataclasses
import datetime as dt
import functools
from pathlib import Path

from cryptography import x509

from sdbox_centre import authority
from sdbox_centre.staff import payload
from sdbox_centre.staff.ledger import Ledger
from sdbox_centre.staff.roster import Roster, RosterSource
from sdbox_centre.staff.signer import KeySigner, signed
from tests.sdbox_centre.parties import Card, make_card

NOW = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)
NOW_S = int(NOW.timestamp())
ALL = ("boxes", "office", "projects")


@dataclasses.dataclass(frozen=True)
class Member:
    name: str
    card: Card
    roles: tuple[str, ...] = ALL
    left_s: int | None = None

    @property
    def signer(self) -> KeySigner:
        return KeySigner(self.card.certificates.auth, self.card.auth)


@functools.cache
def grown(now: dt.datetime) -> tuple[authority.Authority, tuple[Member, ...]]:
    """An authority of staff's cards, and three members; their keys are kept for other tests."""
    made = authority.authority("Test Staff Authority", now)
    cards = (make_card(made, 900 + number, now) for number in (1, 2, 3))
    members = (Member(f"test-staff-{n:02}", card) for n, card in enumerate(cards, 1))
    return made, tuple(members)


class Members:
    """An authority of staff's cards, members 1 to 3, and their roster's files."""

    def __init__(self, root: Path, now: dt.datetime = NOW) -> None:
        self.root, self.now = root, now
        self.authority, members = grown(now)
        self.crl_number = 0
        (root / "staff-anchors.pem").write_bytes(authority.pem_of(self.authority.certificate))
        self.publish_crl()
        self.members = list(members)
        self.write()

    def member(self, number: int, **changed: object) -> Member:
        card = make_card(self.authority, 900 + number, self.now)
        return Member(**{"name": f"test-staff-{number:02}", "card": card, **changed})

    def publish_crl(self, since: dict[int, dt.datetime] | None = None) -> None:
        self.crl_number += 1
        crl = self.authority.crl(
            self.crl_number, self.now, since or {}, self.now + dt.timedelta(days=3650)
        )
        _replace(self.root / "staff.crl", crl)

    def write(self) -> None:
        entries = []
        for at, member in enumerate(self.members):
            three = member.card.certificates
            ders = (three.auth, three.key_management, three.card_auth)
            loaded = [x509.load_der_x509_certificate(der) for der in ders]
            (self.root / f"member-{at}.pem").write_bytes(authority.pem_of(*loaded))
            roles = ", ".join(f'"{role}"' for role in member.roles)
            left = "" if member.left_s is None else f"left_s = {member.left_s}\n"
            entries.append(
                f'[[member]]\nname = "{member.name}"\nroles = [{roles}]\n'
                f'certificates = "member-{at}.pem"\n{left}'
            )
        _replace(self.root / "roster.toml", "\n".join(entries).encode())

    def source(self) -> RosterSource:
        return RosterSource(
            self.root / "roster.toml", self.root / "staff-anchors.pem", [self.root / "staff.crl"]
        )

    def roster(self) -> Roster:
        return self.source().roster(int(self.now.timestamp()))

    def ledger(self) -> Ledger:
        return Ledger(self.roster())

    def signed(self, act: payload.Act, *numbers: int) -> bytes:
        """Signed by these (from 1); by the first alone if none is named."""
        return signed(act, *(self.members[number - 1].signer for number in numbers or (1,)))


def _replace(path: Path, data: bytes) -> None:
    new = path.with_suffix(".new")
    new.write_bytes(data)
    new.replace(path)


SAID = {"n": 1, "utc_s": NOW_S, "motive": "test-motive"}
DIGEST = bytes(range(32))


def holder(**changed: object) -> payload.Holder:
    return payload.Holder(**{**SAID, "holder": "test-holder-01", **changed})


def card(**changed: object) -> payload.Card:
    said = {"card": DIGEST, "key_management_sha256": b"k" * 32, "card_auth_sha256": b"c" * 32}
    return payload.Card(
        **{**SAID, **said, "guid": bytes(16), "holder": "test-holder-01", **changed}
    )


def enrolment(**changed: object) -> payload.Enrolment:
    said = {"holder": "test-holder-01", "card": DIGEST, "enrolment": "test-enrolment-01"}
    dates = {"not_before_s": NOW_S, "not_after_s": NOW_S + 1000}
    return payload.Enrolment(**{**SAID, **said, **dates, **changed})


def project(**changed: object) -> payload.Project:
    said = {"project": "test-project-01", "label": "Test project", "levels": ("host-match",)}
    return payload.Project(**{**SAID, **said, **changed})


def grant(**changed: object) -> payload.Grant:
    said = {"holder": "test-holder-01", "project": "test-project-01"}
    return payload.Grant(**{**SAID, **said, **changed})


def answers(**changed: object) -> payload.Answers:
    """The file by which a machine becomes a box."""
    said = {"box": "test-box-09", "answers_sha256": bytes(32), "until_s": NOW_S + 86400}
    return payload.Answers(**{**SAID, **said, **changed})


def order(**changed: object) -> payload.Order:
    said = {"box": "test-box-01", "token_sha256": DIGEST, "token_until_s": NOW_S + 86400}
    where = {"host": "Test host", "place": "Room 1", "voucher": "V-1", "country": "FR"}
    dates = {"rental_from_s": NOW_S, "rental_until_s": NOW_S + 1000}
    return payload.Order(**{**SAID, **said, **where, **dates, **changed})


def box(**changed: object) -> payload.Box:
    said = {"box": "test-box-01", "tls_sha256": DIGEST, "statement_certificate": b"der"}
    return payload.Box(**{**SAID, **said, **changed})


def derogation(**changed: object) -> payload.Derogation:
    return payload.Derogation(**{**SAID, "box": "test-box-01", "until_s": NOW_S + 86400, **changed})


def unlock(**changed: object) -> payload.Unlock:
    return payload.Unlock(**{**SAID, "card": DIGEST, **changed})


def device(**changed: object) -> payload.Device:
    return payload.Device(**{**SAID, "enrolment": "test-enrolment-01", **changed})


def end_session(**changed: object) -> payload.EndSession:
    return payload.EndSession(**{**SAID, "box": "test-box-01", "session": "b-1", **changed})


def window(**changed: object) -> payload.Window:
    return payload.Window(**{**SAID, "from_s": NOW_S, "until_s": NOW_S + 600, **changed})


ACTS = (
    holder(), card(), enrolment(), project(), grant(), order(), answers(), box(), unlock(),
    device(), end_session(), window(), derogation(),
)  # fmt: skip
