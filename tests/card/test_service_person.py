"""Who may have the card compare a finger or take a PIN, and how often."""

import pytest

from sdbox_agent import ipc
from sdbox_agent.card.pinframe import Status
from tests import kinds
from tests.card.test_conversation_person import OTHER, PROBE, Pad, pin_field
from tests.card.test_occ import GROUP
from tests.card.test_service import OUT, POINT, Desk, failed, statement

# -- comparing -----------------------------------------------------------------------------------


def compare(desk: Desk, probe: bytes, n: int = 7, *, run: bool = True) -> list[ipc.Message]:
    del desk.finger[:]
    request = ipc.OnCardCompare(n=n, key="96", minutiae=probe)
    desk.service.from_finger(request, desk.finger.append)
    if run:
        desk.run()
    return desk.finger


def matching() -> Desk:
    desk = Desk()
    desk.piv.hold(GROUP.hex(), PROBE)
    desk.kinds = (kinds.MATCH,)
    return desk.opened()


def test_comparisons_are_done_as_granted_and_the_receipt_rests_on_them() -> None:
    desk = matching()
    assert compare(desk, PROBE) == failed(7, "not-allowed")
    assert desk.tell(ipc.GrantCompare(n=7, comparisons=2)) == []
    claim = statement("receipt", "9A", level="card-match")
    assert desk.tell(claim) == failed(7, "not-allowed"), "nothing has matched yet"
    assert compare(desk, OTHER) == [ipc.Compared(n=7, match=False, left=4)]
    assert desk.tell(claim) == failed(7, "not-allowed")
    assert compare(desk, PROBE) == [ipc.Compared(n=7, match=True)]
    assert compare(desk, PROBE) == failed(7, "not-allowed")
    assert isinstance(desk.tell(claim)[0], ipc.Signed)
    assert desk.tell(ipc.GrantCompare(n=7, comparisons=2)) == failed(7, "not-allowed")
    assert desk.piv.left[0x96] == 5


def test_a_finger_that_waits_for_a_comparison_hears_of_the_end() -> None:
    """Fault 4: the card may have counted; nobody is told that it matched."""
    desk = matching()
    desk.tell(ipc.GrantCompare(n=7, comparisons=1))
    compare(desk, PROBE, run=False)
    desk.service.readers(OUT)
    desk.run()
    assert desk.finger == failed(7, "card-removed")


def test_a_probe_out_of_bounds_is_the_finger_process_fault() -> None:
    desk = matching()
    desk.tell(ipc.GrantCompare(n=7, comparisons=1))
    assert compare(desk, PROBE[:3]) == failed(7, "worker-protocol")
    assert desk.piv.left[0x96] == 5


# -- PINs ----------------------------------------------------------------------------------------


def give(desk: Desk, digits: bytes = b"123456", n: int = 7, *, last: bool = False) -> list[tuple]:
    told: list[tuple] = []
    field = bytearray(digits.ljust(8, b"\xff"))
    desk.service.from_prompt(n, field, lambda *answer: told.append(answer), last=last)
    desk.run()
    assert field == bytes(8), "overwritten, whatever came of it"
    return told


def test_a_pin_is_taken_once_a_grant() -> None:
    desk = Desk().opened()
    assert give(desk) == [(Status.NOT_NOW, None)]
    assert desk.tell(ipc.GrantPin(n=7)) == []
    assert give(desk, n=8) == [(Status.NOT_NOW, None)]
    assert give(desk, b"000000") == [(Status.WRONG, 2)]
    assert desk.core == [ipc.PinRefused(n=7, left=2)]
    assert give(desk) == [(Status.NOT_NOW, None)], "it has been used"
    desk.tell(ipc.GrantPin(n=7))
    assert give(desk) == [(Status.ACCEPTED, None)]
    assert desk.core == [ipc.PinEntered(n=7)]
    assert desk.tell(ipc.GrantPin(n=7)) == failed(7, "not-allowed")
    assert isinstance(desk.tell(statement("receipt", "9A", level="card-pin"))[0], ipc.Signed)


def test_the_last_try_wants_the_flag_and_keeps_the_grant() -> None:
    desk = Desk().opened()
    desk.piv.left[0x80] = 1
    desk.tell(ipc.GrantPin(n=7))
    assert give(desk, b"000000") == [(Status.LAST_TRY, 1)]
    assert (desk.core, desk.piv.left[0x80]) == ([], 1)
    assert give(desk, b"000000", last=True) == [(Status.BLOCKED, 0)]
    assert desk.core == [ipc.PinRefused(n=7, left=0)]


def test_a_card_that_goes_meanwhile_takes_no_pin() -> None:
    desk = Desk().opened()
    desk.tell(ipc.GrantPin(n=7))
    told: list[tuple] = []
    field = bytearray(b"123456\xff\xff")
    desk.service.from_prompt(7, field, lambda *answer: told.append(answer), last=False)
    desk.service.readers(OUT)
    desk.run()
    assert told == [(Status.NOT_NOW, None)]
    assert (field, desk.piv.left[0x80]) == (bytes(8), 3)


def test_a_fault_of_the_card_at_its_pin_ends_the_session() -> None:
    desk = Desk().opened()
    desk.tell(ipc.GrantPin(n=7))
    del desk.piv.left[0x80]
    assert give(desk) == [(Status.NOT_NOW, None)]
    assert desk.core == failed(7, "card-data-invalid")
    assert desk.links[0].resets == 1


def test_a_pad_is_asked_at_once() -> None:
    desk = Desk()
    desk.reader = Pad(desk.piv, b"000000", b"123456")
    desk.opened()
    assert desk.tell(ipc.GrantPin(n=7), run=False) == []
    told: list[tuple] = []
    desk.service.from_prompt(7, pin_field(), lambda *answer: told.append(answer), last=False)
    assert told == [(Status.NOT_NOW, None)], "the pad has the grant"
    desk.run()
    assert desk.core == [ipc.PinRefused(n=7, left=2)]
    assert desk.tell(ipc.GrantPin(n=7)) == [ipc.PinEntered(n=7)]


# -- what stays ----------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["key", "finger"])
def test_what_went_through_is_overwritten_when_nobody_holds_it_any_more(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at the session's end alone: that may be hours away."""
    done: list[str] = []
    monkeypatch.setattr("sdbox_agent.card.service.overwrite_freed", lambda: done.append("freed"))
    desk = matching() if what == "finger" else Desk().opened()
    reply: list[ipc.Message] = []
    request: ipc.ToCardFromFinger
    if what == "finger":
        desk.tell(ipc.GrantCompare(n=7, comparisons=1))
        request = ipc.OnCardCompare(n=7, key="96", minutiae=PROBE)
    else:
        desk.tell(ipc.GrantUnwrap(n=7))
        request = ipc.Unwrap(n=7, algorithm="ecdh", blob=POINT)
    desk.service.from_finger(request, reply.append)
    work, deliver = desk.work.pop()
    deliver(work())
    assert [type(one) for one in reply] in ([ipc.Unwrapped], [ipc.Compared])
    assert done == [], "the answer is still in the hands that deliver it"
    desk.run()
    assert done == ["freed"]
