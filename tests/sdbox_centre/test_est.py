"""Certificates for ordered boxes: what a token is worth, what a certificate is worth, renewals."""

import dataclasses
import datetime as dt
import hashlib
import threading

import msgspec
import pytest
from cryptography import x509
from sqlalchemy import insert, select, update

from sdbox_agent.errors import Refused
from sdbox_agent.pki import boxcertificate, chain
from sdbox_centre import authority, est, rows, sessions, tables
from sdbox_centre.connections import fingerprint_of
from sdbox_centre.staff import payload
from tests.pki.boxed import Key
from tests.sdbox_centre.databases import BOTH
from tests.sdbox_centre.ordering import DAY_S, NAME, Ordered, est_of
from tests.sdbox_centre.world import Box, Direct, Session, World

ENGINES = BOTH


def refused(code: str, call, *arguments: object) -> None:
    with pytest.raises(Refused) as refusal:
        call(*arguments)
    assert refusal.value.code == code


def enroll(world: World, asked: est.Asked) -> x509.Certificate:
    return x509.load_der_x509_certificate(est.enroll(world.centre, est_of(world), asked))


def moment(world: World) -> dt.datetime:
    return dt.datetime.fromtimestamp(world.clock.utc, dt.UTC)


def test_an_ordered_box_gets_both_and_takes_them_for_its_own(world: World) -> None:
    box, given = Ordered(world), chain.authorities([world.boxes.certificate_der])
    for purpose in boxcertificate.KINDS:
        got = enroll(world, box.read(purpose))
        asked = box.asks(purpose).request
        assert boxcertificate.pick([authority.der_of(got)], asked, purpose) == got
        boxcertificate.check_path(got, purpose, given, moment(world))
    assert world.trace()[-2:] == [("est-enroll", "done")] * 2


def test_the_same_key_gets_the_same_certificate_again(world: World) -> None:
    box = Ordered(world)
    assert enroll(world, box.read()) == enroll(world, box.read())


def test_another_key_gets_nothing_for_a_spent_token(world: World) -> None:
    box = Ordered(world)
    enroll(world, box.read())
    refused("box-token-spent", enroll, world, box.read(key=Key(authority.new_key())))
    assert enroll(world, box.read("statement")) is not None  # the box's other key has its own turn


def test_of_two_keys_at_once_one_gets_the_token(world: World) -> None:
    box, got, codes = Ordered(world), [], []
    asked = [box.read(key=Key(authority.new_key())) for _ in range(6)]

    def ask(one: est.Asked) -> None:
        try:
            got.append(enroll(world, one))
        except Refused as refusal:
            codes.append(refusal.code)

    threads = [threading.Thread(target=ask, args=(one,)) for one in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), codes) == (1, ["box-token-spent"] * 5)


def test_a_token_opens_its_own_order_and_no_other(world: World) -> None:
    box, other = Ordered(world), Ordered(world, "test-box-10")
    refused("box-token-wrong", enroll, world, box.read(token=other.token))
    refused("box-token-wrong", enroll, world, box.read(token="t" * 43))
    with pytest.raises(Refused, match="box-token-wrong"):
        box.read(box=other.name)  # the name beside the token is the request's
    unknown = est.read(box.asks().csr_der, "tls")  # nothing was shown
    refused("box-token-wrong", enroll, world, unknown)


def test_a_box_that_nobody_ordered_gets_nothing(world: World) -> None:
    box = Ordered(world)
    box.name = "test-box-11"
    refused("box-token-wrong", enroll, world, box.read())
    box.name = world.box.name  # in service, by another act than an order
    refused("box-token-wrong", enroll, world, box.read())


def test_a_token_ends_at_its_date_not_before(world: World) -> None:
    box = Ordered(world, days=1)
    world.clock.move(DAY_S - 1)
    enroll(world, box.read())
    world.clock.move(1)
    refused("box-token-ended", enroll, world, box.read("statement"))


def test_a_withdrawn_order_and_an_earlier_token_are_void(world: World) -> None:
    box = Ordered(world)
    first = box.read()
    box.order()
    refused("box-token-wrong", enroll, world, first)
    enroll(world, box.read())
    withdrawn = world.office.change(payload.Order, "test", box=box.name, withdrawn=True)
    world.staff.enter(withdrawn)
    refused("box-token-wrong", enroll, world, box.read())


def test_no_certificate_outlives_its_authority(world: World) -> None:
    box, until = Ordered(world), world.boxes.certificate.not_valid_after_utc
    assert enroll(world, box.read("statement")).not_valid_after_utc == until
    life = enroll(world, box.read()).not_valid_after_utc - moment(world)
    assert life == authority.BOX_LIFE


@pytest.mark.parametrize("csr", [b"", b"0" * 300])
def test_what_is_no_request_is_refused(csr: bytes) -> None:
    refused("box-request-invalid", est.read, csr, "tls", "b", "t")


# -- what a certificate is worth: nothing, before staff's act --------------------------------------


def issue_all(world: World) -> tuple[Ordered, bytes]:
    box = Ordered(world)
    tls = authority.der_of(enroll(world, box.read()))
    enroll(world, box.read("statement"))
    return box, tls


def found_by(world: World, certificate_der: bytes) -> str | None:
    with world.store.begin() as tx:
        row = rows.box(tx, fingerprint_of(certificate_der))
    return None if row is None else row.name


def test_a_certificate_alone_is_no_box(world: World) -> None:
    box, tls = issue_all(world)
    assert found_by(world, tls) is None
    again = est.read(box.asks().csr_der, "tls")
    refused("box-refused", est.reenroll, world.centre, est_of(world), tls, again)
    box.activate()
    assert found_by(world, tls) == NAME


def test_a_row_that_staff_did_not_sign_renews_nothing(world: World) -> None:
    """Whoever writes to the database, and has the authority's key besides."""
    box, _ = issue_all(world)
    box.activate()
    thief = Key(authority.new_key())
    own = authority.der_of(
        world.boxes.issue(
            authority.BOX_TLS,
            authority.box_subject(NAME),
            thief.private.public_key(),
            moment(world) - authority.BOX_LIFE,
            moment(world) + dt.timedelta(days=1),
        )
    )
    digest = hashlib.sha256(thief.public_key_der).digest()
    with world.store.begin() as tx:
        named = tables.boxes.c.name == NAME
        tx.execute(update(tables.boxes).where(named).values(tls_sha256=digest))
    asked = est.read(box.asks(key=thief).csr_der, "tls")
    refused("act-missing", est.reenroll, world.centre, est_of(world), own, asked)


def test_a_row_of_what_was_issued_lets_nobody_in(world: World) -> None:
    box, _ = issue_all(world)
    mine = Key(authority.new_key())
    with world.store.begin() as tx:
        row = tx.execute(select(tables.issued)).first()._asdict()
        row |= {"token_sha256": hashlib.sha256(b"mine").digest(), "box": "test-box-12"}
        tx.execute(insert(tables.issued), row)
    box.name = "test-box-12"
    refused("box-token-wrong", enroll, world, box.read(key=mine, token="mine"))


def test_an_order_in_the_table_of_acts_needs_its_signature(world: World) -> None:
    box = Ordered(world)
    with world.store.begin() as tx:
        row = tx.execute(
            select(tables.acts).where(tables.acts.c.subject == f"order/{NAME}")
        ).first()
    forged = row._asdict() | {"seq": 1000, "subject": "order/test-box-13", "id": bytes(32)}
    with world.store.begin() as tx:
        tx.execute(insert(tables.acts), forged)
    box.name = "test-box-13"
    refused("box-token-wrong", enroll, world, box.read())


# -- renewals --------------------------------------------------------------------------------------


def renew(world: World, tls: bytes, asked: est.Asked) -> bytes:
    return est.reenroll(world.centre, est_of(world), tls, asked)


def test_a_box_renews_from_two_thirds_on_and_is_the_same_box(world: World) -> None:
    box, tls = issue_all(world)
    box.activate()
    asked = est.read(box.asks().csr_der, "tls")
    from_s = boxcertificate.renewable_s(x509.load_der_x509_certificate(tls))
    world.clock.move(from_s - world.clock.utc - 1)
    refused("box-renewal-early", renew, world, tls, asked)
    world.clock.move(1)
    fresh = renew(world, tls, asked)
    assert fresh != tls
    assert found_by(world, fresh) == found_by(world, tls) == NAME
    renewed = x509.load_der_x509_certificate(fresh)
    assert renewed.not_valid_after_utc - moment(world) == authority.BOX_LIFE
    refused("box-renewal-early", renew, world, fresh, asked)
    again = renew(world, tls, asked)  # the answer was lost
    assert found_by(world, again) == NAME
    assert (
        world.trace()[-2:] == [("est-reenroll", "done")] * 2
    )  # the refusals are the API's to note


def test_a_renewed_certificate_holds_a_session(world: World) -> None:
    box, tls = issue_all(world)
    box.activate()
    world.clock.move(300 * DAY_S)
    fresh = renew(world, tls, est.read(box.asks().csr_der, "tls"))
    hello = world.box.hello("boot-1-1")
    said = msgspec.structs.replace(hello, box=NAME)
    for der in (tls, fresh):
        assert sessions.hello(world.centre, fingerprint_of(der), said, b"d")


class ByKey(Box):
    """A box that is known by its key."""

    @property
    def fingerprint(self) -> bytes:
        return fingerprint_of(self.tls_der)


def test_a_session_goes_on_over_a_renewal(world: World) -> None:
    box = ByKey(**{each.name: getattr(world.box, each.name) for each in dataclasses.fields(Box)})
    digest = hashlib.sha256(Key(box.tls_key).public_key_der).digest()
    change = world.office.change(payload.Box, "test", box=box.name, tls_sha256=digest)
    world.staff.enter(change)
    one = Session(world, Direct(world.centre, box), box, world.card, f"{box.boot_id}-1")
    one.to_open()
    subject, begin = authority.box_subject(box.name), moment(world) - authority.BACKDATED
    renewed = world.boxes.issue(authority.BOX_TLS, subject, box.tls_key.public_key(), begin)
    before, box.tls_der = box.tls_der, authority.der_of(renewed)
    assert before != box.tls_der
    one.renew()
    one.end()
    assert not world.peers.peers


def test_a_box_renews_its_own_key_and_name_only(world: World) -> None:
    box, tls = issue_all(world)
    box.activate()
    world.clock.move(300 * DAY_S)
    other = est.read(box.asks(key=Key(authority.new_key())).csr_der, "tls")
    refused("box-request-invalid", renew, world, tls, other)
    box.name = "test-box-01"
    refused("box-request-invalid", renew, world, tls, est.read(box.asks().csr_der, "tls"))


@pytest.mark.parametrize(
    ("state", "code"), [("suspended", "box-suspended"), ("retired", "box-retired")]
)
def test_a_box_out_of_service_is_not_renewed(world: World, state: str, code: str) -> None:
    box, tls = issue_all(world)
    box.activate()
    world.clock.move(300 * DAY_S)
    world.staff.enter(world.office.change(payload.Box, "test", box=NAME, state=state))
    refused(code, renew, world, tls, est.read(box.asks().csr_der, "tls"))


def test_a_box_known_by_its_certificate_is_told_so(world: World) -> None:
    """It would not be known by another one."""
    world.clock.move(300 * DAY_S)
    box = Ordered(world)
    box.name, box.keys["tls"] = world.box.name, Key(world.box.tls_key)
    asked = est.read(box.asks().csr_der, "tls")
    refused("box-known-by-certificate", renew, world, world.box.tls_der, asked)


def boxed_leaf(world: World) -> x509.Certificate:
    return x509.load_der_x509_certificate(world.box.tls_der)


def test_an_authority_that_boxes_do_not_know_issues_nothing(world: World) -> None:
    own = world.boxes
    files = authority.pem_of(own.certificate), authority.key_pem(own.key)
    anchors = (own.certificate_der,)
    read = est.load(authority.load(*files), anchors, anchors, world.acts.newest)
    assert read.authority.certificate == own.certificate
    assert (read.anchors, read.successors) == (anchors, anchors)
    with pytest.raises(ValueError, match="certs-only"):
        est.load(own, anchors * 2, (), world.acts.newest)
    for other in (world.cards, world.servers):
        with pytest.raises(ValueError, match="key is that of its certificate"):
            authority.load(files[0], authority.key_pem(other.key))
    leaf = authority.pem_of(boxed_leaf(world))
    with pytest.raises(ValueError, match="not an authority"):
        authority.load(leaf, authority.key_pem(world.box.tls_key))
    with pytest.raises(ValueError, match="box_anchors"):
        est.load(own, (world.cards.certificate_der,), (), world.acts.newest)
