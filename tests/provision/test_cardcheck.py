"""What an operator is told of a card: what it shows, and the very decision a session would get."""

import datetime as dt
import threading

import pytest

from sdbox_agent.card.scripted import ScriptedCard
from sdbox_agent.card.token import Face
from sdbox_agent.cardkind import Bit
from sdbox_agent.errors import Bug, Fault, SdboxError
from sdbox_agent.pki import oids, path
from sdbox_agent.provision import cardcheck, cardtext
from sdbox_centre import authority
from tests import kinds
from tests.card.double import PivDouble
from tests.pki import grown
from tests.pki.grown import DAY, EXPIRES, GUID, NOW
from tests.waiting import PATIENCE_S

OWN = grown.card_authority()
READER = cardcheck.ReaderSeen(reader="Test reader 00", present=True, atr="3b00", events=3)
EMPTY = cardcheck.ReaderSeen(reader="Test reader 01", present=False, atr="", events=4)
BIT = Bit(key="96", position=2, minimum=12, maximum=60, order=9)


def face(certificates=None, **changes) -> Face:
    three = certificates or grown.card().certificates
    shown = {"9A": three.auth, "9D": three.key_management, "9E": three.card_auth}
    facts = {"kind": kinds.FREE, "certificates": shown, "guid": GUID, "expires": EXPIRES}
    return Face(**facts | changes)


def judge(one: Face, *crls: bytes, now: dt.datetime = NOW, **how) -> cardcheck.Verdict:
    by = cardcheck.Believes(anchors=(OWN.certificate_der,), crls=crls, now=now, **how)
    return cardcheck.judge(one, by)


def refused(verdict: cardcheck.Verdict) -> tuple[str, str | None]:
    assert not verdict.believed
    (step,) = (step for step in verdict.steps if step.result == "refused")
    return step.step, step.code


def test_one_reader_is_chosen_or_the_reason_is_said() -> None:
    twin = cardcheck.ReaderSeen(reader="Test reader 001", present=True, atr="3b00", events=1)
    assert cardcheck.choose([READER, EMPTY], None) == READER
    assert cardcheck.choose([READER, twin], "Test reader 00") == READER, "its whole name"
    assert cardcheck.choose([READER, twin], "001") == twin
    for seen, wanted, code in (
        ([], None, "reader-missing"),
        ([READER], "other", "reader-missing"),
        ([EMPTY], None, "card-absent"),
        ([READER, EMPTY], "01", "card-absent"),
        ([READER, twin], None, "ambiguous-card"),
    ):
        with pytest.raises(SdboxError, match=f"^{code}$"):
            cardcheck.choose(seen, wanted)


def test_a_card_is_read_and_let_go_and_no_key_or_try_is_used() -> None:
    double = PivDouble()
    card = ScriptedCard(double, atr=PivDouble.atr)
    found = cardcheck.look(READER, (kinds.FREE,), lambda _name, _events: card)
    assert found.certificates == double.certificates
    assert {frame[1] for frame in card.sent} <= {0xA4, 0xCB, 0xC0, 0x20}
    assert all(len(frame) == 4 for frame in card.sent if frame[1] == 0x20), "empty VERIFY"
    with pytest.raises(SdboxError, match="card-removed"):
        card.exchange(b"\0\xa4\4\0")


def test_what_a_card_can_t_do_is_raised_here() -> None:
    def in_use(_name: str, _events: int) -> ScriptedCard:
        raise Fault("card-in-use")

    with pytest.raises(Fault, match="card-in-use"):
        cardcheck.look(READER, (kinds.FREE,), in_use)
    ended = threading.Event()

    def mute(_name: str, _events: int) -> ScriptedCard:
        ended.wait(PATIENCE_S)
        raise Fault("card-mute")

    with pytest.raises(Fault, match="card-mute"):
        cardcheck.look(READER, (kinds.FREE,), mute, patience_s=0.05)
    ended.set()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_bug_while_reading_is_told_as_one() -> None:
    def broken(_name: str, _events: int) -> ScriptedCard:
        raise ValueError

    with pytest.raises(Bug, match="unforeseen"):
        cardcheck.look(READER, (kinds.FREE,), broken)


def test_what_a_card_shows() -> None:
    bound = face(kind=kinds.MATCH, bits=(BIT,), match_left=(4,), pin_left=0)
    seen = cardcheck.show(READER, bound)
    assert (seen.kind, seen.guid, seen.pin_left) == ("piv-match", GUID.hex(), 0)
    assert seen.fingers == (cardcheck.FingerSeen(key="96", position=2, left=4),)
    first = seen.certificates[0]
    assert (first.key, first.subject, first.algorithm) == ("9A", "Test Holder 01", "P-256")
    assert first.policies == ("9A",)
    assert cardcheck.show(READER, face(guid=None, expires=None)).guid is None
    rsa = cardcheck.show(READER, face(grown.card("rsa2048").certificates))
    assert rsa.certificates[1].algorithm == "RSA-2048"


def test_a_hostile_card_draws_nothing_on_the_screen() -> None:
    issued = OWN.issue(
        authority.CARD_9A,
        authority.card_subject(GUID, "Test\x1b[2JHolder"),
        grown.card().auth.public_key(),
        NOW - DAY,
    )
    shown = {"9A": authority.der_of(issued), "9D": b"\x30\x00", "9E": b""}
    reader = cardcheck.ReaderSeen(reader="Bad\x1b]0;x\a", present=True, atr="3b", events=1)
    seen = cardcheck.show(reader, face(certificates_of(shown)))
    assert [one.subject for one in seen.certificates] == [None, None, None]
    text = "\n".join([*cardtext.card(seen, "en"), *cardtext.readers([reader], "fr")])
    assert text.replace("\n", "").isprintable()


def certificates_of(shown):
    return cardcheck.holder.CardCertificates(shown["9A"], shown["9D"], shown["9E"])


def test_the_verdict_is_the_decision() -> None:
    good = judge(face(), OWN.crl(4, NOW))
    assert good.believed
    assert [step.step for step in good.steps] == [name for name, _ in path._STEPS]
    assert (good.lists[0].number, good.lists[0].revoked) == (4, 0)
    assert refused(judge(face())) == ("revocation", "crl-stale")
    assert refused(judge(face(expires="20200101"), OWN.crl(4, NOW))) == ("chuid", "card-expired")
    other = grown.issue(authority.authority("Test Other", NOW - DAY), authority.new_key())
    assert refused(judge(face(other.certificates))) == ("path", "card-untrusted")


def test_lists_of_others_and_nonsense_are_left_out() -> None:
    namesake = authority.authority("Test Card Authority", NOW - DAY)
    verdict = judge(face(), b"nonsense", namesake.crl(1, NOW), grown.desk_authority().crl(1, NOW))
    assert verdict.lists == ()
    assert refused(verdict) == ("revocation", "crl-stale")


def test_a_clock_set_back_revives_nothing() -> None:
    late = NOW + 9 * 365 * DAY
    assert refused(judge(face(), OWN.crl(4, late), now=NOW)) == ("chuid", "card-expired")


def test_a_match_bound_card_is_held_to_its_word() -> None:
    profile = authority.Profile(
        authority.CARD_9A.usages,
        authority.CARD_9A.extended_usages,
        (oids.POLICY_AUTH, oids.POLICY_MATCH_BOUND),
        authority.CARD_LIFE,
    )
    subject = authority.card_subject(GUID, "Test Holder 01")
    issued = OWN.issue(profile, subject, grown.card().auth.public_key(), NOW - DAY)
    three = cardcheck.holder.CardCertificates(
        authority.der_of(issued),
        grown.card().certificates.key_management,
        grown.card().certificates.card_auth,
    )
    bound = {"kind": kinds.MATCH, "bits": (BIT,), "match_left": (5,)}
    assert judge(face(three, **bound, pin_left=0), OWN.crl(1, NOW)).believed
    verdict = judge(face(three, **bound, pin_left=3), OWN.crl(1, NOW))
    assert refused(verdict) == ("binding", "card-pin-usable")
    assert refused(judge(face(three), OWN.crl(1, NOW))) == ("binding", "card-not-match-bound")
