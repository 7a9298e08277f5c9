"""References that must not be compared with, served by a real centre to a real box.

The centre keeps whatever it is given: it can open none of it. So all of this is the box's to find,
before anybody is asked for a finger, and before an attempt is spent.
"""

import dataclasses
import datetime as dt
import hashlib

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hil.issuing import Holder, reference_record
from sdbox_agent.pki import cms, reference
from sdbox_centre import authority, desk, sealing
from tests.hil.refusals import HERE, SOMEBODY_ELSE, Bench, now

pytestmark = pytest.mark.rig

DAY = dt.timedelta(days=1)
# The code of each, and whether the card is asked to open it: form and recipient are read before.
CODES = {
    "sealed to another card": ("reference-not-for-this-card", False),
    "signed for another card": ("reference-not-for-this-card", True),
    "signed for another enrolment": ("reference-not-for-this-card", True),
    "sealed to a key that the card has not": ("reference-altered", True),
    "unsigned": ("reference-malformed", True),
    "signed by no desk": ("reference-unsigned", True),
    "somebody else's finger put in": ("reference-unsigned", True),
    "one byte of the ciphertext changed": ("reference-altered", True),
    "one byte of the tag changed": ("reference-altered", True),
    "one byte of the point changed": ("reference-malformed", False),
    "another point": ("reference-altered", True),
    "one byte of the RSA block changed": ("reference-altered", True),
    "one byte of the form changed": ("reference-malformed", False),
    "cut short": ("reference-malformed", False),
    "over": ("reference-expired", True),
    "one finger where two are named": ("reference-malformed", True),
}
GENERAL_AUTHENTICATE, KEY_MANAGEMENT, CHAINED = 0x87, 0x9D, 0x10


def signer(issuer, moment: dt.datetime) -> desk.Signer:
    """A desk under that authority."""
    key = authority.new_key()
    subject = authority.Subject("Test desk")
    issued = issuer.issue(authority.DESK, subject, key.public_key(), moment)
    return desk.Signer(authority.der_of(issued), key)


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x01]) + data[at + 1 :]


def point_of(key) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def prepare(rig, people) -> dict[str, Holder]:
    """One holder a case. Each has a card of its own and a reference with its one mistake."""
    moment = now()
    ours = signer(rig.issuing.desks, moment)
    record = reference_record(HERE)
    _, others = rig.issuing.card()

    def holder(change, card=None) -> Holder:
        """`change(certificates, subject)` makes the sealed bytes."""
        card = card or rig.issuing.card()
        subject = desk.Subject(people.next_name, f"enrolment-{people.next_name}", HERE.positions)
        sealed = change(card[1], subject)
        return people.holder(card, sealed_der=sealed, sha256=hashlib.sha256(sealed).digest())

    def good(own, subject) -> bytes:
        return sealing.seal(desk.sign(record, own, subject, moment, ours), own.key_management)

    def by(desk_signer, own_record=record, when=moment):
        return lambda own, subject: sealing.seal(
            desk.sign(own_record, own, subject, when, desk_signer), own.key_management
        )

    def with_message(alter):
        return lambda own, subject: alter(good(own, subject))

    def with_part(**alter):
        def change(own, subject) -> bytes:
            sealed = cms.parse(good(own, subject))
            parts = {name: act(getattr(sealed, name)) for name, act in alter.items()}
            return cms.encode(dataclasses.replace(sealed, **parts))

        return change

    def swapped(own, subject) -> bytes:
        """Whoever may write to the centre's database has all it takes, but the desk's key."""
        message = reference.parse(desk.sign(record, own, subject, moment, ours))
        other = dataclasses.replace(message, record=reference_record(SOMEBODY_ELSE))
        return sealing.seal(reference.encode(other), own.key_management)

    def for_others(own, subject) -> bytes:
        return sealing.seal(desk.sign(record, others, subject, moment, ours), own.key_management)

    def other_enrolment(own, subject) -> bytes:
        other = dataclasses.replace(subject, enrolment="enrolment-test-holder-99")
        return good(own, other)

    def one_finger_named(own, subject) -> bytes:
        fewer = dataclasses.replace(subject, finger_positions=HERE.positions[:1])
        return good(own, fewer)

    year = moment + 365 * DAY
    years_ago = moment - dt.timedelta(days=4 * 365 + 2)
    stranger = authority.authority("Test enrolment authority", moment)
    cases = {
        "sealed to another card": holder(lambda _, subject: good(others, subject)),
        "signed for another card": holder(for_others),
        "signed for another enrolment": holder(other_enrolment),
        "unsigned": holder(lambda own, _: sealing.seal(record, own.key_management)),
        "signed by no desk": holder(by(signer(stranger, moment))),
        "somebody else's finger put in": holder(swapped),
        "one byte of the ciphertext changed": holder(
            with_part(ciphertext=lambda data: flipped(data, len(data) // 2))
        ),
        "one byte of the tag changed": holder(with_part(tag=lambda data: flipped(data, 0))),
        "one byte of the point changed": holder(with_part(blob=lambda data: flipped(data, 33))),
        "another point": holder(with_part(blob=lambda _: point_of(authority.new_key()))),
        "one byte of the RSA block changed": holder(
            with_part(blob=lambda data: flipped(data, 200)),
            rig.issuing.card({"9A": "P-256", "9D": "RSA-2048", "9E": "P-256"}, not_after=year),
        ),
        "one byte of the form changed": holder(with_message(lambda data: flipped(data, 1))),
        "cut short": holder(with_message(lambda data: data[:-1])),
        "over": holder(by(signer(rig.issuing.desks, years_ago), when=years_ago)),
        "one finger where two are named": holder(one_finger_named),
    }
    crossed = people.holder()
    cases["sealed to a key that the card has not"] = dataclasses.replace(
        crossed, card=crossed.card.crossed("9D", uses="9A")
    )
    cases["good"] = people.holder()
    cases["enrolment over at the centre"] = people.holder(not_after_s=int(moment.timestamp()))
    return cases


@pytest.mark.parametrize("which", CODES)
def test_a_reference_is_refused_before_a_finger_is_asked_for(
    bench: Bench, people: dict[str, Holder], which: str
) -> None:
    code, card_was_asked = CODES[which]
    stay = bench.turn().insert(people[which].card)
    bench.refused(code, "opening")
    asked = [one for one in stay.log if (one.ins, one.p2) == (GENERAL_AUTHENTICATE, KEY_MANAGEMENT)]
    whole = [one for one in asked if not one.cla & CHAINED]
    assert len(whole) == card_was_asked
    assert bench.centre_row(people[which]) == (0, 0)
    assert bench.box_row(people[which]) is None


def test_the_centre_serves_no_reference_whose_time_is_over(
    bench: Bench, people: dict[str, Holder]
) -> None:
    bench.turn().insert(people["enrolment over at the centre"].card)
    bench.refused("enrolment-expired", "proving")


def test_a_good_reference_opens_after_all_these(bench: Bench, people: dict[str, Holder]) -> None:
    assert bench.enter(people["good"]).state == "open"
    assert bench.leave().code == "card-removed"
