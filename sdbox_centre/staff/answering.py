"""`box answers`: the file that makes a machine an ordered box, written and signed [door: files].

The order knows the box, its voucher and its place; a template, what is so at the host; the token
is given again by whoever got it, for nothing here keeps it. The file is as secret as the token.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from sdbox_agent.errors import Fault, Refused
from sdbox_agent.pki import chain, oids
from sdbox_agent.profile import toml
from sdbox_agent.profile.toml import TomlRefused
from sdbox_agent.provision.setup import answers as writing
from sdbox_agent.provision.setup import signature
from sdbox_agent.provision.setup.answers import Anchors, Answers, Hosting, Template
from sdbox_agent.statements import jws
from sdbox_centre.authority import der_of
from sdbox_centre.book import ApiSettings
from sdbox_centre.cardrules import certificates_of
from sdbox_centre.staff import payload, shown
from sdbox_centre.tomlfile import beside, load

if TYPE_CHECKING:
    from argparse import Namespace

    from sdbox_centre.staff.station import Station


def box_answers(at: Station, o: Namespace) -> None:
    """Write OUT and OUT.sig; tell the anchor's SHA-256, which goes to the host another way.

    Raises Refused: not-found (no order), box-token-wrong; ValueError for a template that is none.
    """
    if at.with_second:
        raise ValueError("one signature: a box takes no other")
    order = at.office.newest(f"order/{o.box}")
    if not isinstance(order, payload.Order) or order.withdrawn:
        raise Refused("not-found")
    settings = load(o.config, ApiSettings)
    if settings.desk_anchors is None:
        raise Fault("config-invalid") from ValueError("desk_anchors is not set")
    token = _token(o.token_file)
    if not hmac.compare_digest(hashlib.sha256(token.encode()).digest(), order.token_sha256):
        raise Refused("box-token-wrong")
    anchors = Anchors(
        centre=certificates_of(o.centre_anchors),
        cards=certificates_of(beside(o.config, settings.card_anchors)),
        desk=certificates_of(beside(o.config, settings.desk_anchors)),
        boxes=certificates_of(beside(o.config, settings.box_anchors)),
    )
    serial = at.office.next_n(f"answers/{o.box}")
    raw = written(order, token, _template(Path(o.template)), anchors, serial)
    said = {"answers_sha256": hashlib.sha256(raw).digest(), "until_s": order.token_until_s}
    detached, anchor = _signed(at, o, settings, said)
    out = Path(o.out)
    _write(out, raw)
    _write(out.with_name(out.name + signature.SUFFIX), detached)
    digest = hashlib.sha256(anchor).hexdigest()
    print(shown.as_json({"anchor": digest}) if at.json else f"anchor {digest}")  # noqa: T201


def written(
    order: payload.Order, token: str, template: Template, anchors: Anchors, serial: int
) -> bytes:
    """The file's bytes, read back once. Raises ValueError."""
    same: dict[str, Any] = msgspec.structs.asdict(template)
    raw = writing.encode(
        Answers(
            v=1,
            box=order.box,
            token=token,
            until_s=order.token_until_s,
            serial=serial,
            hosting=Hosting(voucher=order.voucher, place=order.place),
            anchors=anchors,
            **same,
        )
    )
    writing.parse(raw)
    return raw


def _template(path: Path) -> Template:
    try:
        return toml.parse(path.read_bytes(), Template)
    except TomlRefused as error:
        raise ValueError(f"{path}:{error.line}: {error.reason}") from None


def _token(file: Path | None) -> str:
    text = sys.stdin.readline(256) if file is None else file.read_text("ascii")
    return text.strip()


def _signed(
    at: Station, o: Namespace, settings: ApiSettings, said: dict[str, Any]
) -> tuple[bytes, bytes]:
    """The act, entered as every other, as a file for the box; and the anchor above its signer."""
    at.act(at.office.draft(payload.Answers, o.motive, box=o.box, **said))
    with at.office.store.begin() as tx:
        entered = at.office.acts.newest(tx, f"answers/{o.box}")
    assert entered is not None, "it was entered just now"
    (signer,) = jws.signers(entered.statement)
    member = at.roster.roster(at.office.utc_s()).member(signer)
    given = chain.authorities(certificates_of(beside(o.config, settings.staff.anchors)))
    moment = dt.datetime.fromtimestamp(at.office.utc_s(), dt.UTC)
    path = chain.find(member.certificates.auth, oids.POLICY_AUTH, given, moment)
    above = tuple(der_of(one) for one in path[:-1])
    detached = signature.Detached(
        certificate=member.certificates.auth, authorities=above, act=entered.statement
    )
    return signature.encode(detached), above[0]


def _write(path: Path, data: bytes) -> None:
    """A new file, for its owner alone. Raises FileExistsError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
