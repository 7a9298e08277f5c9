"""Cards that must not get in, on the real rig; and the unusual ones that must."""

import dataclasses
import datetime as dt
import os
import signal

import pytest

from hil.card import fascn, objects
from hil.card.card import OtherCard
from hil.card.faults import Refuse, ReplaceObject, SlowBy
from hil.card.keys import Algorithm
from hil.issuing import Holder
from sdbox_agent.daemon import view
from sdbox_centre import authority
from tests.hil.refusals import HERE, Bench, now

pytestmark = pytest.mark.rig

DAY = dt.timedelta(days=1)
GENERAL_AUTHENTICATE = 0x87
ALGORITHMS: dict[str, dict[str, Algorithm]] = {
    "RSA-2048 9D": {"9A": "P-256", "9D": "RSA-2048", "9E": "P-256"},
    "RSA-2048": {"9A": "RSA-2048", "9D": "RSA-2048", "9E": "RSA-2048"},
    "P-384": {"9A": "P-384", "9D": "P-384", "9E": "P-384"},
}


def prepare(rig, people):
    """Everybody who will come to this box."""
    issue, holder = rig.issuing.card, people.holder
    stranger = authority.authority("Test card authority", now())  # of the same name, even
    cards = {
        "good": holder(projects=("p-alpha", "p-beta")),
        "expired": holder(
            issue(moment=now() - 30 * DAY, not_after=now() - DAY), moment=now() - 9 * DAY
        ),
        "not yet valid": holder(issue(moment=now() + DAY)),
        "another authority's": holder(issue(authority=stranger)),
        "revoked 9A": holder(),
        "revoked 9E": holder(),
        "revoked at the centre": holder(),
        "revoked meanwhile": holder(),
        "unknown": holder(known=False),
        "no project": holder(projects=()),
        "RSA-2048 beyond 2030": holder(
            issue(ALGORITHMS["RSA-2048 9D"], not_after=dt.datetime(2031, 1, 2, tzinfo=dt.UTC)),
            known=False,
        ),
    }
    for name, kinds in ALGORITHMS.items():
        cards[name] = holder(issue(kinds, not_after=now() + 60 * DAY))
    rig.issuing.revoke(
        cards["revoked 9A"].certificates.auth, cards["revoked 9E"].certificates.card_auth
    )
    rig.centre.publish_crl()
    return cards


def test_a_good_card_gets_in(bench: Bench, people: dict[str, Holder]) -> None:
    assert bench.enter(people["good"], "p-alpha").state == "open"
    assert bench.leave().code == "card-removed"


def test_a_card_without_piv_is_refused(bench: Bench) -> None:
    bench.turn().insert(OtherCard())
    bench.refused("not-a-piv-card", "checking")


@pytest.mark.parametrize(
    ("which", "code"),
    [
        ("expired", "card-expired"),
        ("not yet valid", "card-not-yet-valid"),
        ("another authority's", "card-untrusted"),
        ("revoked 9A", "card-revoked"),
        ("revoked 9E", "card-revoked"),
        ("RSA-2048 beyond 2030", "card-untrusted"),
    ],
)
def test_the_box_refuses_such_a_card_itself(
    bench: Bench, people: dict[str, Holder], which: str, code: str
) -> None:
    bench.turn().insert(people[which].card)
    bench.refused(code, "checking")


def test_the_chuids_date_counts_too(bench: Bench, people: dict[str, Holder]) -> None:
    card = people["good"].card
    yesterday = (now() - DAY).date()
    chuid = objects.chuid(card.guid, yesterday, fascn.Fascn())
    bench.turn().insert(card, [ReplaceObject(objects.Tag.CHUID, chuid)])
    bench.refused("card-expired", "checking")


def test_another_cards_chuid_is_no_card(bench: Bench, people: dict[str, Holder]) -> None:
    other = people["unknown"].card
    chuid = objects.chuid(other.guid, (now() + DAY).date(), fascn.Fascn())
    bench.turn().insert(people["good"].card, [ReplaceObject(objects.Tag.CHUID, chuid)])
    bench.refused("card-untrusted", "checking")


@pytest.mark.parametrize(
    ("which", "code"), [("unknown", "card-unknown"), ("no project", "no-project")]
)
def test_the_centre_refuses_such_a_card(
    bench: Bench, people: dict[str, Holder], which: str, code: str
) -> None:
    bench.turn().insert(people[which].card)
    bench.refused(code, "proving")


def test_a_card_revoked_by_staff_is_refused_by_the_centre(
    bench: Bench, people: dict[str, Holder]
) -> None:
    holder = people["revoked at the centre"]
    bench.rig.centre.revoke_card(holder)
    bench.turn().insert(holder.card)
    bench.refused("card-revoked", "proving")


def test_the_centre_reads_its_own_list_after_the_box_has_read_the_boxs(
    bench: Bench, people: dict[str, Holder]
) -> None:
    holder = people["revoked meanwhile"]
    assert bench.to_finger(holder).state == "scanning"
    stay = bench.rig.operator.remove()
    bench.watch.state("spent")
    signature = next(one.n for one in stay.log if one.ins == GENERAL_AUTHENTICATE)
    bench.turn().insert(holder.card, [SlowBy(1000, at=signature)])
    bench.watch.state("proving")  # the box has its lists; the card is slow to sign
    bench.rig.issuing.revoke(holder.certificates.auth)
    bench.rig.centre.publish_crl()
    bench.refused("card-revoked", "proving")


def test_a_copy_of_a_card_has_other_keys(bench: Bench, people: dict[str, Holder]) -> None:
    bench.turn().insert(people["good"].card.clone())
    bench.refused("card-not-genuine", "proving")


def test_a_card_with_another_9a_key_signs_no_receipt(
    bench: Bench, people: dict[str, Holder]
) -> None:
    good = people["good"]
    crossed = dataclasses.replace(good, card=good.card.crossed("9A", uses="9E"))
    assert bench.to_finger(crossed).state == "scanning"
    assert bench.touch(HERE).state == "choosing"
    bench.rig.operator.choose("p-alpha")
    bench.refused("card-not-genuine", "signing")


def test_a_refused_card_left_in_starts_nothing_and_the_next_one_works(
    bench: Bench, people: dict[str, Holder]
) -> None:
    bench.turn().insert(people["expired"].card)
    bench.refused("card-expired", "checking")
    bench.nothing_begins(for_s=1.5)
    assert isinstance(bench.rig.operator.choose("p-alpha"), view.NotTaken)
    bench.rig.operator.remove()
    bench.watch.state("idle")
    assert bench.enter(people["good"], "p-beta").state == "open"
    bench.leave()


def test_a_refused_card_gets_no_second_session_from_a_dead_worker(
    bench: Bench, people: dict[str, Holder]
) -> None:
    bench.turn().insert(people["expired"].card)
    bench.refused("card-expired", "checking")
    worker = bench.rig.box.pid("sdbox-card")
    os.kill(worker, signal.SIGKILL)
    bench.nothing_begins(for_s=2.0)
    assert bench.rig.box.pid("sdbox-card") != worker  # there is a new one, and it has looked
    bench.rig.operator.remove()
    bench.watch.state("idle")
    assert bench.to_finger(people["good"]).state == "scanning"


def test_two_cards_are_one_too_many(bench: Bench, people: dict[str, Holder]) -> None:
    first = bench.turn()
    first.insert(people["good"].card)
    bench.watch.state("scanning")
    second = bench.turn()
    second.insert(people["RSA-2048 beyond 2030"].card)
    bench.refused("ambiguous-card", "scanning")
    second.remove()
    bench.nothing_begins(for_s=1.0)  # the first one's session is over, and it is still in
    first.remove()
    bench.watch.state("idle")


def test_a_second_card_beside_a_refused_one_does_not_get_in(
    bench: Bench, people: dict[str, Holder]
) -> None:
    refused, good = bench.turn(), bench.turn()
    refused.insert(people["expired"].card)
    bench.refused("card-expired", "checking")
    good.insert(people["good"].card)
    bench.watch.code("ambiguous-card")
    refused.remove()
    bench.nothing_begins(for_s=1.0)
    good.remove()
    bench.watch.state("idle")


@pytest.mark.parametrize("which", ALGORITHMS)
def test_other_keys_get_in_as_well(bench: Bench, people: dict[str, Holder], which: str) -> None:
    assert bench.enter(people[which]).state == "open"
    assert bench.leave().code == "card-removed"


def test_a_card_that_wants_a_pin_opens_nothing_where_no_pin_is_asked(
    bench: Bench, people: dict[str, Holder]
) -> None:
    bench.turn().insert(people["good"].card, [Refuse(0x6982, GENERAL_AUTHENTICATE, 0x9D)])
    bench.refused("reference-altered", "opening")  # the card's no is never told apart


def test_a_project_is_chosen_among_those_granted(bench: Bench, people: dict[str, Holder]) -> None:
    assert bench.rig.operator.choose("p-alpha") == view.NotTaken(code="not-allowed")
    assert bench.to_finger(people["good"]).state == "scanning"
    choosing = bench.touch(HERE)
    assert [one.project for one in choosing.projects] == ["p-alpha", "p-beta"]
    assert bench.rig.operator.choose("p-gamma") == view.NotTaken(code="project-not-granted")
    assert bench.rig.operator.choose("p-beta") == view.Taken()
    assert bench.watch.state("open", "spent").project == "p-beta"
    bench.leave()
