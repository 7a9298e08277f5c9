"""Short certificates on a box's word: whose word, for which key, and what the centre then knows."""

import dataclasses
import datetime as dt
import hashlib

import pytest
from cryptography import x509

from sdbox_agent.errors import Refused
from sdbox_agent.pki import vouched
from sdbox_centre import authority, boxlife, est, rows, sessions, vouching
from sdbox_centre.connections import ends_s, fingerprint_of, halves
from sdbox_centre.vouching import Pending
from tests.pki import vouching as words
from tests.pki.boxed import Key
from tests.sdbox_centre.databases import BOTH
from tests.sdbox_centre.inmemory import CHALLENGE, InMemory
from tests.sdbox_centre.ordering import Ordered, est_of
from tests.sdbox_centre.test_boxlife import report
from tests.sdbox_centre.world import World

BOTH_ENGINES = pytest.mark.parametrize("engine", BOTH, indirect=True)


def refused(code: str, call, *arguments: object, **options: object) -> None:
    with pytest.raises(Refused) as refusal:
        call(*arguments, **options)
    assert refusal.value.code == code


@BOTH_ENGINES
def test_a_box_is_known_by_any_key_that_its_statement_key_calls_its_own(world: World) -> None:
    box, est_ = InMemory(world), est_of(world)
    for _ in range(2):  # one start, and the next
        box.tls = Key(authority.new_key())
        der = box.given(est_)
        with world.store.begin() as tx:
            assert rows.box(tx, fingerprint_of(der)).name == box.name
        hello = dataclasses.replace(world.box, name=box.name).hello(None)
        sessions.hello(world.centre, fingerprint_of(der), hello, b"")
    assert world.trace().count(("vouch", "done")) == 2


def test_what_is_given_lasts_a_day_and_carries_the_word(world: World) -> None:
    box = InMemory(world)
    der = box.given(est_of(world))
    given = x509.load_der_x509_certificate(der)
    assert given.public_key() == box.tls.private.public_key()
    assert given.not_valid_after_utc - world.now <= dt.timedelta(hours=24)
    assert given.not_valid_after_utc - world.now > dt.timedelta(hours=23)
    assert vouched.voucher(given) == box.statement.public_key_der
    assert ends_s(der) == given.not_valid_after_utc.timestamp()


def test_it_outlives_no_authority(world: World) -> None:
    box, end = InMemory(world), world.now + dt.timedelta(hours=2)
    short = authority.authority("Test Boxes", world.now, life=dt.timedelta(hours=2))
    est_ = est.Est(short, (short.certificate_der,), (), world.acts.newest)
    given = x509.load_der_x509_certificate(box.given(est_))
    assert given.not_valid_after_utc == end.replace(microsecond=0)


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("another challenge", "challenge-unknown"),
        ("another key", "box-refused"),
        ("another's name in it", "box-refused"),
        ("another box's statement", "box-refused"),
        ("another box's key under our certificate", "box-refused"),
        ("a certificate of its own making", "box-refused"),
        ("no statement", "box-refused"),
        ("a name that nobody has", "box-refused"),
        ("no request", "box-request-invalid"),
    ],
)
def test_nobody_else_s_word_gets_one(world: World, what: str, code: str) -> None:
    box, other = InMemory(world), InMemory(world, "test-box-10")
    stranger = Key(authority.new_key())
    asked = box.asks()
    match what:
        case "another challenge":
            asked = box.asks(bytes(32))
        case "another key":
            asked = box.asks(about=stranger)
        case "another's name in it":
            asked = box.asks(said=other.name)
        case "another box's statement":
            asked = box.asks(by=(other.statement_der, other.statement))
        case "another box's key under our certificate":
            asked = box.asks(by=(box.statement_der, other.statement))
        case "a certificate of its own making":
            asked = box.asks(by=(words.statement_der(), words.boxed.key("statement")))
        case "no statement":
            asked = with_other(asked, statement=b"{}")
        case "a name that nobody has":
            asked = box.asks(box="test-box-11")
        case _:
            asked = with_other(asked, request=b"0")
    refused(code, vouching.vouch, world.centre, est_of(world), CHALLENGE, asked)


def with_other(asked, **changed: bytes):
    return type(asked)(**{"request": asked.request, "statement": asked.statement, **changed})


@pytest.mark.parametrize("state", ["suspended", "retired"])
def test_a_box_out_of_service_hears_why_and_is_known_no_more(world: World, state: str) -> None:
    box, est_ = InMemory(world), est_of(world)
    had = fingerprint_of(box.given(est_))
    box.becomes(state)
    refused(f"box-{state}", box.given, est_)
    hello = dataclasses.replace(world.box, name=box.name).hello(None)
    refused(f"box-{state}", sessions.hello, world.centre, had, hello, b"")
    stranger = box.asks(by=(box.statement_der, Key(authority.new_key())))
    refused("box-refused", vouching.vouch, world.centre, est_, CHALLENGE, stranger)  # and not why


def test_a_row_that_no_staff_signed_gets_nothing(world: World) -> None:
    box = InMemory(world)
    with world.store.begin() as tx:
        tx.exec_driver_sql("UPDATE boxes SET country = 'DE'")
    refused("act-missing", box.given, est_of(world))


def test_a_box_that_keeps_its_tls_key_gets_none_in_memory(world: World) -> None:
    """Staff named that key: it speaks for the box, and the other does not speak for it."""
    box = InMemory(world, known=False)
    box.enter(tls_sha256=hashlib.sha256(box.tls.public_key_der).digest())
    refused("box-refused", box.given, est_of(world))


def test_who_has_the_authority_s_key_alone_makes_nobody_a_box(world: World) -> None:
    """A certificate in the right name, and with the right box's certificate in it."""
    box, stranger = InMemory(world), Key(authority.new_key())
    word = words.signed(words.said(stranger, box.name), box.statement_der, stranger)
    profile = dataclasses.replace(
        authority.BOX_TLS, extensions=(vouched.extension(box.statement_der, word),)
    )
    subject, public = authority.box_subject(box.name), stranger.private.public_key()
    made = authority.der_of(world.boxes.issue(profile, subject, public, world.now))
    assert halves(fingerprint_of(made))[1] == hashlib.sha256(stranger.public_key_der).digest()
    with world.store.begin() as tx:
        assert rows.box(tx, fingerprint_of(made)) is None


@BOTH_ENGINES
def test_an_ordered_box_reports_by_the_one_key_it_enrolled(world: World) -> None:
    ordered, est_ = Ordered(world), est_of(world)
    box = InMemory(world, ordered.name, known=False)
    refused("box-refused", box.given, est_)  # nothing was enrolled yet
    box.statement = ordered.keys["statement"]
    box.statement_der = est.enroll(world.centre, est_, ordered.read("statement"))
    fingerprint = fingerprint_of(box.given(est_))
    assert boxlife.report(world.centre, fingerprint, report(box.name), b"") == (
        b'{"state":"ordered","voucher":false,"placed":false}'
    )
    box.enter()
    fingerprint = fingerprint_of(box.given(est_))
    assert b'"active"' in boxlife.report(world.centre, fingerprint, report(box.name), b"")


def test_who_enrolled_a_tls_key_too_or_whose_order_is_withdrawn_gets_none(world: World) -> None:
    ordered, est_ = Ordered(world), est_of(world)
    box = InMemory(world, ordered.name, known=False)
    box.statement = ordered.keys["statement"]
    box.statement_der = est.enroll(world.centre, est_, ordered.read("statement"))
    est.enroll(world.centre, est_, ordered.read("tls"))
    refused("box-refused", box.given, est_)
    ordered.order(withdrawn=True)
    refused("box-refused", box.given, est_)


def test_two_holders_of_one_statement_key_are_seen_by_their_starts(world: World) -> None:
    box, est_ = InMemory(world), est_of(world)
    one = dataclasses.replace(world.box, name=box.name, boot_counter=7, boot_id="b-one")
    two = dataclasses.replace(one, boot_id="b-two")
    first = fingerprint_of(box.given(est_))
    sessions.hello(world.centre, first, one.hello(None), b"")
    box.tls = Key(authority.new_key())
    second = fingerprint_of(box.given(est_))
    refused("box-clone", sessions.hello, world.centre, second, two.hello(None), b"")
    refused("box-suspended", sessions.hello, world.centre, first, one.hello(None), b"")
    refused("box-suspended", box.given, est_)


def test_a_challenge_is_spent_once_and_in_time() -> None:
    drawn = iter([b"1" * 32, b"2" * 32, b"3" * 32])
    pending = Pending()
    refused("challenge-unknown", pending.take, 0)
    first = pending.issue(lambda _: next(drawn), 100)
    second = pending.issue(lambda _: next(drawn), 100)
    assert pending.take(100 + vouching.ANSWER_S - 1) == second != first
    refused("challenge-unknown", pending.take, 100)
    pending.issue(lambda _: next(drawn), 200)
    refused("challenge-expired", pending.take, 200 + vouching.ANSWER_S)
    refused("challenge-unknown", pending.take, 200)
