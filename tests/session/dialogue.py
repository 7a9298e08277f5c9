"""A dialogue with the machine, read from top to bottom: `>>` an event in, `<<` the effects out."""

from __future__ import annotations

from sdbox_agent.session import effects as do
from sdbox_agent.session import events as on
from sdbox_agent.session import states as at
from sdbox_agent.session.machine import step
from tests.session.explore import POLICY
from tests.session.golden import effect_text

BOOKKEEPING = ("SetTimer", "ClearTimer", "Record")


class Dialogue:
    """Starts in `state`. Effects are named as in the golden table; timers and records apart."""

    def __init__(self, state: at.State) -> None:
        self.state = state
        self.effects: tuple[do.Effect, ...] = ()

    def __rshift__(self, event: on.Event) -> Dialogue:
        self.state, self.effects = step(self.state, event, POLICY)
        return self

    def __lshift__(self, expected: str) -> Dialogue:
        said = [effect_text(effect) for effect in self.effects]
        said = [text for text in said if not text.startswith(BOOKKEEPING)]
        assert " ".join(said) == expected
        return self

    def records(self, *codes: str) -> Dialogue:
        """The audit records of the last step."""
        assert tuple(e.code for e in self.effects if isinstance(e, do.Record)) == codes
        return self

    def now(self, state: type) -> Dialogue:
        """The state the dialogue has reached."""
        assert isinstance(self.state, state), self.state
        return self
