"""Every effect has somebody who does it, and the record comes with its class."""

import typing
from unittest.mock import Mock

import pytest

from sdbox_agent.daemon.perform import Performer
from sdbox_agent.errors import Bug, Fault
from sdbox_agent.session import effects as do
from tests.daemon.parts import UTC_S, Bench, N
from tests.session.explore import CHALLENGE, FREE_CARD, LEASE

BY_SHELL = {do.SetTimer, do.ClearTimer, do.ClearTimers}
EFFECTS = (
    (do.OpenCard(N, 1), "card.open"),
    (do.SayHello(N), "centre.hello"),
    (do.Sign(N, None), "card.sign"),  # type: ignore[arg-type]
    (do.SendProof(N, FREE_CARD, b"", ()), "centre.send_proof"),
    (do.AskPin(N), "card.ask_pin"),
    (do.PrepareFinger(N, FREE_CARD, "e", b"", 3, 3), "finger.prepare"),
    (do.ScanFinger(N), "finger.scan"),
    (do.ReserveAttempt(N, FREE_CARD, CHALLENGE), "centre.reserve"),
    (do.CompareFinger(N, 1), "finger.compare"),
    (do.WarmTunnel(N), "tunnel.warm"),
    (do.PrepareTunnel(N), "tunnel.prepare"),
    (do.SendReceipt(N, FREE_CARD, b"", b""), "centre.send_receipt"),
    (do.OpenTunnel(N, LEASE, b""), "tunnel.open"),
    (do.SendRenewal(N, b""), "centre.send_renewal"),
    (do.ExtendLease(N, 60), "tunnel.extend"),
    (do.TakeTunnelDown(N), "tunnel.take_down"),
    (do.EndFinger(N), "finger.end"),
    (do.CloseCard(N), "card.close"),
    (do.TellCentre(N, "card-removed"), "centre.tell_end"),
    (do.Record(N, "card-valid"), "outbox.append"),
)


def performer(bench: Bench) -> tuple[Performer, Mock]:
    parts = Mock()
    names = ("outbox", "card", "centre", "finger", "tunnel", "greeting")
    return Performer(bench.context, *(getattr(parts, name) for name in names)), parts


def done(parts: Mock) -> list[str]:
    return [call[0] for call in parts.mock_calls]


def test_no_effect_is_left_out() -> None:
    every = {
        kind for kind in vars(do).values() if isinstance(kind, type) and issubclass(kind, do.Effect)
    } - {do.Effect}
    assert {type(effect) for effect, _ in EFFECTS} == every - BY_SHELL
    assert typing.get_type_hints(Performer.perform)


@pytest.mark.parametrize(("effect", "by"), EFFECTS, ids=[by for _, by in EFFECTS])
def test_each_effect_has_one_who_does_it(effect: do.Effect, by: str) -> None:
    one, parts = performer(Bench())
    one.perform(effect)
    assert done(parts)[-1] == by


def test_no_log_no_access() -> None:
    one, parts = performer(Bench())
    parts.outbox.check_room.side_effect = Fault("audit-full")
    with pytest.raises(Fault, match="audit-full"):
        one.perform(do.OpenCard(N, 1))
    assert done(parts) == ["outbox.check_room"]


def test_a_card_has_the_hello_said_first_and_a_finger_process_started() -> None:
    one, parts = performer(Bench())
    one.perform(do.OpenCard(N, 1))
    assert done(parts) == ["outbox.check_room", "greeting.hurry", "finger.warm", "card.open"]


def test_the_card_is_let_unwrap_before_the_finger_process_asks_it_to() -> None:
    one, parts = performer(Bench())
    one.perform(do.PrepareFinger(N, FREE_CARD, "e", b"", 3, 3))
    assert done(parts) == ["card.grant_unwrap", "finger.prepare"]


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("card-valid", "ok"),
        ("card-revoked", "refused"),
        ("no-match", "ask-again"),
        ("tunnel-not-down", "fault"),
        ("unforeseen", "bug"),
    ],
)
def test_a_record_says_how_it_ended(code: str, result: str) -> None:
    one, parts = performer(Bench())
    one.perform(do.Record(N, code))
    assert parts.outbox.append.call_args.args == (code,)
    said = parts.outbox.append.call_args.kwargs
    assert (said["result"], said["session"]) == (result, "boot-7")
    assert said["utc_s"] >= UTC_S


def test_a_record_before_the_first_hello_has_no_time() -> None:
    one, parts = performer(Bench(clock_set=False))
    one.perform(do.Record(N, "card-inserted"))
    assert parts.outbox.append.call_args.kwargs["utc_s"] is None


def test_what_nobody_does_is_a_bug() -> None:
    with pytest.raises(Bug):
        performer(Bench())[0].perform(do.Effect(N))
