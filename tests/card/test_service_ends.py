"""How a session with the card ends, and what each side hears of it."""

from sdbox_agent import ipc
from sdbox_agent.card.looks import Look
from tests.card.test_service import KINDS, OUT, Desk, failed, statement


def test_the_end_of_what_speaks_to_the_card_is_the_session_s() -> None:
    desk = Desk().opened()
    desk.core.clear()
    desk.service.token_ended(2)  # another card's
    assert desk.core == []
    desk.service.token_ended(1)
    assert desk.core == failed(7, "card-failed")
    desk.run()
    assert desk.links[0].resets == 1
    desk.service.token_ended(1)
    assert desk.core == failed(7, "card-failed")


def test_a_removal_is_told_first_and_ends_the_session() -> None:
    desk = Desk().opened()
    desk.tell(statement(), run=False)
    desk.service.readers(OUT)
    assert desk.core == [ipc.Removed(reader="reader", insertion=1)], "while the card still works"
    assert desk.links[0]._stopped
    desk.run()
    assert desk.core == [ipc.Removed(reader="reader", insertion=1)], "the late answer is dropped"
    assert desk.links[0].resets == 1


def test_another_readers_removal_ends_nothing() -> None:
    desk = Desk()
    desk.service.readers((Look("reader", True, 1), Look("other", True, 1)))
    desk.tell(ipc.OpenCard(n=7, insertion=1, kinds=KINDS))
    desk.service.readers((Look("reader", True, 1), Look("other", False, 2)))
    assert not desk.links[0]._stopped
    assert isinstance(desk.tell(statement())[0], ipc.Signed)


def test_an_answer_never_enters_the_next_session() -> None:
    desk = Desk().opened()
    desk.tell(statement(), run=False)
    desk.service.readers((Look("reader", True, 3),))  # out and in again
    told = desk.tell(ipc.OpenCard(n=8, insertion=2, kinds=KINDS))
    assert [type(message) for message in told] == [ipc.Opened]
    assert told[0].n == 8


def test_a_finger_that_waits_hears_of_the_end() -> None:
    desk = Desk().opened()
    desk.tell(ipc.GrantUnwrap(n=7))
    assert desk.unwrap(run=False) == []
    desk.service.readers(OUT)
    assert desk.finger == failed(7, "card-removed")
    desk.run()
    assert desk.finger == failed(7, "card-removed"), "and hears it once"


def test_closing_is_answered_when_the_reset_is_done() -> None:
    desk = Desk().opened()
    assert desk.tell(ipc.CloseCard(n=7), run=False) == []
    desk.run()
    assert desk.core == [ipc.CardClosed(n=7)]
    assert desk.links[0].resets == 1
    assert desk.tell(ipc.CloseCard(n=7)) == [ipc.CardClosed(n=7)], "and again, if asked"


def test_closing_another_session_closes_nothing() -> None:
    desk = Desk().opened()
    assert desk.tell(ipc.CloseCard(n=6)) == [ipc.CardClosed(n=6)]
    assert isinstance(desk.tell(statement())[0], ipc.Signed)


def test_a_core_that_goes_closes_the_card() -> None:
    desk = Desk().opened()
    desk.service.core_went()
    assert desk.links[0]._stopped
    desk.run()
    assert desk.links[0].resets == 1


def test_a_new_core_takes_over_nothing() -> None:
    desk = Desk().opened()
    desk.tell(ipc.GrantUnwrap(n=7))
    desk.tell(ipc.CloseCard(n=7), run=False)
    new: list[ipc.Message] = []
    desk.service.core_came(new.append)
    desk.run()
    assert (desk.core, new) == ([], []), "the old core's answers are nobody's"
    desk.service.readers(OUT)
    assert new == [], "it has not asked yet"
    assert desk.unwrap() == failed(7, "not-allowed")


def test_a_mute_card_is_told_to_everyone() -> None:
    desk = Desk().opened()
    desk.tell(ipc.GrantUnwrap(n=7))
    desk.unwrap(run=False)
    desk.service.card_is_mute()
    assert desk.core == failed(7, "card-mute")
    assert desk.finger == failed(7, "card-removed")
