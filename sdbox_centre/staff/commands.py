"""Staff's verbs: what is typed, and the act it makes. Knows no card, no table and no rule."""

from __future__ import annotations

import argparse
import base64
import datetime as dt
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from msgspec import UNSET, UnsetType

from sdbox_agent.errors import Refused
from sdbox_agent.pki import boxcertificate, certificate, holder, oids
from sdbox_agent.pki.holder import CardCertificates
from sdbox_centre import est, members
from sdbox_centre.cardrules import certificates_of
from sdbox_centre.staff import payload

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from sdbox_centre.members import Member
    from sdbox_centre.staff.office import Kind
    from sdbox_centre.staff.station import Station

    Verb = Callable[[Station, Namespace], None]

_PROJECT: Final = [
    *("label", "levels", "reason", "tenant", "funder", "countries", "boxes", "when_moved"),
    *("contract_from_s", "contract_until_s", "legal_basis", "legal_until_s"),
]
_BOX: Final = [
    *("host", "place", "voucher", "funders", "country"),
    *("placed_s", "rental_from_s", "rental_until_s"),
]
_ORDER: Final = [name for name in _BOX if name != "placed_s"]
_GRANT: Final = ["role", "undertaking_s", "not_after_s"]


def utc(text: str) -> int:
    """A date (its beginning, UTC) or UTC seconds. Raises ValueError."""
    if text.isdecimal():
        return int(text)
    day = dt.date.fromisoformat(text)
    return int(dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC).timestamp())


def words(text: str) -> tuple[str, ...]:
    """Words between commas, in their one order; none for nothing."""
    return tuple(sorted({word for word in text.split(",") if word}))


def when_moved(text: str) -> Literal["hold"] | UnsetType:
    """What a project asks of a box that was moved or altered. Raises ValueError."""
    if text not in {"tell", "hold"}:
        raise ValueError("tell or hold")
    return "hold" if text == "hold" else UNSET


def motive(text: str) -> str:
    """One line that says why."""
    if not payload.is_motive(text):
        raise argparse.ArgumentTypeError(f"one line of 1 to {payload.MAX_MOTIVE} characters")
    return text


def _der(path: str, usage: str | None = None, policy: str | None = None) -> bytes:
    """The one certificate in a file. Raises OSError; ValueError if it is for something else."""
    ders = certificates_of(Path(path))
    if len(ders) != 1:
        raise ValueError(f"{path}: not one certificate")
    one = certificate.load(ders[0])
    is_for_usage = usage is None or usage in certificate.extended_usages(one)
    if not is_for_usage or (policy is not None and policy not in certificate.policies(one)):
        raise ValueError(f"{path}: a certificate for something else")
    return ders[0]


def _card(text: str) -> bytes:
    """A card, by the SHA-256 of its 9A certificate or by a file with that."""
    if len(text) == 64 and not Path(text).exists():
        return bytes.fromhex(text)
    return hashlib.sha256(_der(text)).digest()


def _given(options: Namespace, names: list[str]) -> dict[str, Any]:
    """What of these was said."""
    found = ((name, getattr(options, name, None)) for name in names)
    return {name: value for name, value in found if value is not None}


def _is_so(at: Station, kind: type[Kind], said: dict[str, Any]) -> bool:
    """Whether the newest act on it says that already, and nothing was taken away since."""
    subject = kind.subject_of(said)
    newest = at.office.newest(subject)
    says = newest is not None and all(getattr(newest, name) == said[name] for name in said)
    return says and at.office.stands(subject)


# -- people and their cards ------------------------------------------------------------------------


def holder_add(at: Station, o: Namespace) -> None:
    """A holder, by pseudonym."""
    at.act(at.office.first_or_next(payload.Holder, o.motive, holder=o.holder, removed=False))


def holder_remove(at: Station, o: Namespace) -> None:
    """One that was never given a card, and is in no project."""
    at.act(at.office.change(payload.Holder, o.motive, holder=o.holder, removed=True))


def card_add(at: Station, o: Namespace) -> None:
    """A holder's card: its 9A, 9D and 9E certificates, PEM."""
    three = (
        _der(o.auth, policy=oids.POLICY_AUTH),
        _der(o.keys, policy=oids.POLICY_KEY_MANAGEMENT),
        _der(o.cardauth, policy=oids.POLICY_CARD_AUTH),
    )
    guids = {holder.guid(certificate.load(one)) for one in three}
    if len(guids) != 1:
        raise ValueError("certificates of more than one card")
    hashes = CardCertificates(*three).hashes()
    said = {
        "card": hashes.auth,
        "key_management_sha256": hashes.key_management,
        "card_auth_sha256": hashes.card_auth,
        "guid": guids.pop(),
    }
    at.act(at.office.draft(payload.Card, o.motive, holder=o.holder, **said))


def card_revoke(at: Station, o: Namespace) -> None:
    """For good."""
    at.act(at.office.change(payload.Card, o.motive, card=_card(o.card), revoked=True))


def unlock(at: Station, o: Namespace) -> None:
    """A card's attempts are whole again; two people."""
    at.act(at.office.draft(payload.Unlock, o.motive, card=_card(o.card)))


def enrolment_add(at: Station, o: Namespace) -> None:
    """What the desk sealed for a card; '-' if the card itself compares. Another one: two people."""
    sealed = None if o.sealed == "-" else Path(o.sealed).read_bytes()
    digest = None if sealed is None else hashlib.sha256(sealed).digest()
    said = {"reference_sha256": digest, "finger": True, "not_before_s": o.not_before_s}
    _enrol(at, o, sealed, **said)


def no_finger_add(at: Station, o: Namespace) -> None:
    """Somebody without a usable finger, for a year at most; two people."""
    said = {"reference_sha256": None, "finger": False, "not_before_s": at.office.utc_s()}
    _enrol(at, o, None, **said)


def no_finger_device(at: Station, o: Namespace) -> None:
    """A device for one-time codes: what it reads is shown once, to the second of two people."""
    at.act(at.office.draft(payload.Device, o.motive, enrolment=o.name))


def _enrol(at: Station, o: Namespace, sealed: bytes | None, **said: Any) -> None:  # noqa: ANN401
    about = {"holder": o.holder, "card": _card(o.card), "enrolment": o.name}
    said = {**about, **said, "not_after_s": o.not_after_s}
    at.act(at.office.first_or_next(payload.Enrolment, o.motive, **said), sealed)


# -- projects and their members --------------------------------------------------------------------


def project_add(at: Station, o: Namespace) -> None:
    """A project, not yet open; levels with commas."""
    said = _given(o, _PROJECT)
    made = at.office.draft(payload.Project, o.motive, project=o.project, state="pending", **said)
    at.act(_with_days(made))


def project_set(at: Station, o: Namespace) -> None:
    """What else is true of it from now on; a weaker policy: two people."""
    said = _given(o, _PROJECT)
    at.act(_with_days(at.office.change(payload.Project, o.motive, project=o.project, **said)))


def _with_days(project: payload.Project) -> payload.Project:
    """Raises ValueError for a contract without a day; nobody could come in, and nobody knew why."""
    from_s, until_s = project.contract_from_s, project.contract_until_s
    if from_s is not None and until_s is not None and from_s >= until_s:
        raise ValueError("the contract would end before it begins")
    return project


def project_state(state: str) -> Verb:
    """Whether it may be entered."""

    def verb(at: Station, o: Namespace) -> None:
        said = {"project": o.project, "state": state, "reason": getattr(o, "reason", None)}
        at.act(at.office.change(payload.Project, o.motive, **said))

    return verb


def grant_add(at: Station, o: Namespace) -> None:
    """A holder may enter a project, once the undertaking is signed."""
    if o.undertaking_s is not None and o.undertaking_s > at.office.utc_s():
        raise ValueError("undertaking: a day to come")
    said = {"holder": o.holder, "project": o.project, "withdrawn": False, **_given(o, _GRANT)}
    at.act(at.office.first_or_next(payload.Grant, o.motive, **said))


def grant_withdraw(at: Station, o: Namespace) -> None:
    """No longer."""
    said = {"holder": o.holder, "project": o.project, "withdrawn": True}
    at.act(at.office.change(payload.Grant, o.motive, **said))


def grant_import(at: Station, o: Namespace) -> None:
    """A list of members as their lead sends it (`members`): an act for each that is not so yet.

    Raises Refused: act-impossible if none is new.
    """
    today = dt.datetime.fromtimestamp(at.office.utc_s(), dt.UTC).date()
    listed = members.parse(Path(o.file).read_bytes(), today)
    new = [said for said in map(_said, listed) if not _is_so(at, payload.Grant, said)]
    if not new:
        raise Refused("act-impossible")
    for name in sorted({f"{kind}/{said[kind]}" for said in new for kind in ("holder", "project")}):
        if at.office.newest(name) is None:
            raise ValueError(f"{name}: not known here, and nobody of the list is entered")
    at.act_all(at.office.first_or_next(payload.Grant, o.motive, **said) for said in new)


def _said(one: Member) -> dict[str, Any]:
    signed = None if one.undertaking is None else utc(one.undertaking.isoformat())
    about = {"holder": one.holder, "project": one.project, "withdrawn": False}
    return {**about, "role": one.role, "undertaking_s": signed}


# -- boxes and sessions ----------------------------------------------------------------------------


def box_add(at: Station, o: Namespace) -> None:
    """A box that was ordered: its TLS and its statement certificate, PEM."""
    tls = _der(o.tls, usage=oids.CLIENT_AUTH)
    said = {"tls_sha256": hashlib.sha256(tls).digest(), **_given(o, _BOX)}
    keys = {"statement_certificate": _der(o.statement, usage=oids.USAGE_BOX)}
    at.act(at.office.draft(payload.Box, o.motive, box=o.box, **keys, **said))


def box_order(at: Station, o: Namespace) -> None:
    """A box that is to be; its token is shown once, and an earlier one is void.

    Said again of a box that works, it lets that box, repaired, ask anew: until `box activate`
    nothing changes for it.
    """
    token = base64.urlsafe_b64encode(at.office.random_bytes(32)).rstrip(b"=").decode()
    said = {
        "token_sha256": hashlib.sha256(token.encode()).digest(),
        "token_until_s": at.office.utc_s() + o.days * 86400,
        "withdrawn": False,
        **_given(o, _ORDER),
    }
    at.act(at.office.first_or_next(payload.Order, o.motive, box=o.box, **said), told=token)


def box_withdraw(at: Station, o: Namespace) -> None:
    """Its token opens nothing any more."""
    at.act(at.office.change(payload.Order, o.motive, box=o.box, withdrawn=True))


def box_activate(at: Station, o: Namespace) -> None:
    """It stands where its order says, and works, with the keys that somebody compared at the box.

    Raises Refused: not-found (no order, or a key of its is not here yet), box-keys-differ.
    """
    order = at.office.newest(f"order/{o.box}")
    if not isinstance(order, payload.Order) or order.withdrawn:
        raise Refused("not-found")
    with at.office.store.begin() as tx:
        issued = est.found(tx, order.token_sha256)
    if "statement" not in issued:
        raise Refused("not-found")
    keys: dict[boxcertificate.Purpose, bytes] = {}
    for purpose in boxcertificate.KINDS.keys() & issued.keys():
        one = certificate.load(issued[purpose])
        boxcertificate.check(one, o.box, purpose)
        keys[purpose] = certificate.key_der(one)
    if boxcertificate.shown_of(keys) != o.keys.strip().upper():
        raise Refused("box-keys-differ")
    said = {name: getattr(order, name) for name in _ORDER}
    said |= {
        "tls_sha256": hashlib.sha256(keys.get("tls", keys["statement"])).digest(),
        "statement_certificate": issued["statement"],
        "placed_s": at.office.utc_s(),
        "state": "active",
    }
    at.act(at.office.first_or_next(payload.Box, o.motive, box=o.box, **said))


def box_place(at: Station, o: Namespace) -> None:
    """It stands where it says, from today, and works."""
    said = {"placed_s": at.office.utc_s(), **_given(o, _BOX)}
    at.act(at.office.change(payload.Box, o.motive, box=o.box, state="active", **said))


def box_state(state: str) -> Verb:
    """Whether it is answered."""

    def verb(at: Station, o: Namespace) -> None:
        at.act(at.office.change(payload.Box, o.motive, box=o.box, state=state))

    return verb


def box_derogate(at: Station, o: Namespace) -> None:
    """Let in until that day where it was moved or altered; ninety days at most."""
    until_s = o.not_after_s
    if until_s <= at.office.utc_s():
        raise ValueError("not-after: a day that is past")
    at.act(at.office.first_or_next(payload.Derogation, o.motive, box=o.box, until_s=until_s))


def box_hold(at: Station, o: Namespace) -> None:
    """Its derogation ends now."""
    now_s = at.office.utc_s()
    at.act(at.office.change(payload.Derogation, o.motive, box=o.box, until_s=now_s))


def session_end(at: Station, o: Namespace) -> None:
    """Now. It may be started again by whoever may start one."""
    box, _, session = o.session.partition("/")
    at.act(at.office.draft(payload.EndSession, o.motive, box=box, session=session))


def window(at: Station, o: Namespace) -> None:
    """Planned maintenance, ten minutes at most; two people."""
    until_s = o.from_s + 60 * o.minutes
    at.act(at.office.draft(payload.Window, o.motive, from_s=o.from_s, until_s=until_s))
