"""What a box may claim of a level, and what centre and gateway believe: a hostile box, a real card.

Every claim is posted as its owner would: signed by the card, as far as the card signs, and by a box
the centre knows.
"""

from collections.abc import Iterator

import pytest

from hil.issuing import Holder
from hil.rig import Rig
from sdbox_agent.errors import Fault, Refused, SdboxError
from sdbox_agent.terms import Level
from tests.hil.hostile_box import HostileBox, HostileSession
from tests.hil.refusals import HERE, People

pytestmark = pytest.mark.rig


class Centre:
    """A rig without a box of its own, and the people its centre knows."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self.box = HostileBox(rig)
        self.by_pin = rig.enrol("test-holder-pin", seed=1, level=Level.CARD_PIN)
        self.by_match = rig.enrol("test-holder-match", seed=1, level=Level.CARD_MATCH)
        self.by_host = People(rig).holder(rig.issuing.card(pin_policy="once"), person=HERE)
        self.by_host.pin = "123456"  # as such a card is made
        rig.start_centre()

    def peers(self) -> list[str]:
        """Whom the gateway has let in, ever."""
        log = (self._rig.centre.root / "gateway.log").read_text()
        return [line for line in log.splitlines() if "peer in" in line]


@pytest.fixture(scope="module")
def centre() -> Iterator[Centre]:
    with Rig() as rig:
        yield Centre(rig)


def refused(code: str, call, *args: object) -> None:
    with pytest.raises(SdboxError) as told:
        call(*args)
    assert told.value.code == code


def with_code(session: HostileSession, holder: Holder) -> None:
    assert session.attempt(holder.device.code()).code_right


def test_what_is_true_is_believed(centre: Centre) -> None:
    """Or the refusals below would prove nothing."""
    with centre.box.session(centre.by_pin, "piv-pin") as session:
        assert session.admitted.level is Level.CARD_PIN
        session.give_pin()
        with_code(session, centre.by_pin)
        assert session.post(session.receipt(Level.CARD_PIN)).lease_s > 0
    assert len(centre.peers()) == 1


def test_a_pin_opened_9a_is_no_match_on_card(centre: Centre) -> None:
    """PIV lets a PIN open what a match opens: only the certificate says that there is no PIN."""
    before = centre.peers()
    with centre.box.session(centre.by_pin, "piv-pin") as session:
        session.give_pin()
        receipt = session.receipt(Level.CARD_MATCH, attempt=1)
        refused("card-not-match-bound", session.post, receipt)
        refused("card-not-match-bound", session.to_the_gateway, receipt)
    assert centre.peers() == before


def test_nor_is_one_of_a_person_enrolled_with_a_finger(centre: Centre) -> None:
    before = centre.peers()
    with centre.box.session(centre.by_host, "piv-pin") as session:
        assert session.admitted.level is Level.HOST_MATCH
        session.give_pin()
        session.attempt()
        receipt = session.receipt(Level.CARD_MATCH)
        refused("card-not-match-bound", session.post, receipt)
        refused("card-not-match-bound", session.to_the_gateway, receipt)
        weaker = session.receipt(Level.CARD_PIN)
        refused("statement-invalid", session.post, weaker)
        refused("level-not-accepted", session.to_the_gateway, weaker)
    assert centre.peers() == before


def test_a_match_bound_card_signs_nothing_before_a_match(centre: Centre) -> None:
    with centre.box.session(centre.by_match, "piv-match") as session:
        session.attempt()
        refused("card-key-refused", session.receipt, Level.CARD_MATCH)
        with pytest.raises(Refused, match="statement-invalid"):
            session.post(session.receipt(Level.CARD_MATCH, "9E"))  # the one key that is free


def test_a_right_code_without_the_pin_opens_nothing(centre: Centre) -> None:
    before = centre.peers()
    with centre.box.session(centre.by_pin, "piv-pin") as session:
        with_code(session, centre.by_pin)
        with pytest.raises(Fault, match="card-key-refused"):
            session.receipt(Level.CARD_PIN)
        forged = session.receipt(Level.CARD_PIN, "9E")
        refused("statement-invalid", session.post, forged)
        refused("statement-invalid", session.to_the_gateway, forged)
    assert centre.peers() == before


def test_a_pin_without_a_code_opens_nothing(centre: Centre) -> None:
    before = centre.peers()
    with centre.box.session(centre.by_pin, "piv-pin") as session:
        session.give_pin()
        refused("statement-invalid", session.post, session.receipt(Level.CARD_PIN, attempt=1))
        assert session.attempt("000000").code_right is False
        refused("statement-invalid", session.post, session.receipt(Level.CARD_PIN))
    assert centre.peers() == before


def test_an_attempt_at_card_pin_wants_a_code_and_at_no_other_level(centre: Centre) -> None:
    with centre.box.session(centre.by_pin, "piv-pin") as session:
        refused("request-invalid", session.attempt)
    with centre.box.session(centre.by_host, "piv-pin") as session:
        refused("request-invalid", session.attempt, "123456")
