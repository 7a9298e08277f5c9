"""What `systemctl status` and the journal say of each state."""

import re
from typing import get_args

import pytest

from sdbox_agent import errors, notify
from sdbox_agent.daemon import told
from sdbox_agent.notify import Event
from sdbox_agent.session import machine
from sdbox_agent.session import states as at
from sdbox_agent.terms import Level
from tests.daemon.test_view import states

Sent = list[tuple[Event, str, int | None, Level | None]]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    events: Sent = []

    def event(
        kind: Event, code: str, *, session: int | None = None, level: Level | None = None
    ) -> None:
        events.append((kind, code, session, level))

    monkeypatch.setattr(notify, "event", event)
    return events


def test_every_state_is_told_in_plain_words() -> None:
    seen = {type(state): told.line(state) for state in states()}
    assert set(seen) == set(get_args(at.State))
    for line in seen.values():
        assert re.fullmatch(r"[A-Z][A-Za-z,;:' -]+\..*", line)
    assert len(set(seen.values())) == len(seen)


@pytest.mark.parametrize("code", errors.table())
def test_no_line_is_cut(code: str) -> None:
    for state in (at.Closing(3, code, frozenset(), 1), at.Spent(3, code, frozenset())):
        line = told.line(state)
        assert line.endswith(f"{errors.explain(code).sentence['en']} ({code})")
        assert len(line) <= notify.STATUS_CHARS


def test_a_code_that_no_table_has_is_not_shown() -> None:
    assert told.line(at.Spent(3, "Test Holder", frozenset())).endswith("(unknown-code)")


def test_what_is_made_sure_of_at_the_start_is_no_session_that_ended(sent: Sent) -> None:
    started, _ = machine.start()
    over = at.Spent(0, "started", frozenset())
    for state in (started, over):
        assert told.line(state).startswith("Starting")
        told.record(state)
    assert sent == []


def test_an_open_session_is_told_with_its_number_and_level(sent: Sent) -> None:
    for state in states():
        if isinstance(state, at.Open):
            told.record(state)
    assert sent == [(Event.SESSION_OPENED, "tunnel-up", 3, Level.HOST_MATCH)]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("card-removed", Event.SESSION_CLOSED),
        ("cancelled", Event.SESSION_CLOSED),
        ("shutdown", Event.SESSION_CLOSED),
        ("no-such-code", Event.SESSION_CLOSED),
        ("card-expired", Event.REFUSED),
        ("card-worker-died", Event.FAULT),
        ("unforeseen", Event.BUG),
    ],
)
def test_an_end_is_told_by_its_kind(sent: Sent, code: str, kind: Event) -> None:
    told.record(at.Spent(3, code, frozenset()))
    assert sent == [(kind, code, 3, None)]


def test_a_tunnel_that_may_be_up_is_an_event_of_its_own(sent: Sent) -> None:
    told.record(at.Broken(3, "card-removed", frozenset()))
    assert sent == [(Event.TUNNEL_NOT_DOWN, "tunnel-not-down", 3, None)]


def test_what_lies_between_is_no_event(sent: Sent) -> None:
    for state in states():
        if not isinstance(state, at.Open | at.Spent | at.Broken):
            told.record(state)
    assert sent == []
