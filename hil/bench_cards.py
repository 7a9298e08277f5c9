"""Cards that are not the ordinary one: other levels, a card that never answers, bad references."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hil.bench_entry import Spoilt, beginnings_ms, put_in
from hil.bench_processes import settle
from hil.card.faults import MuteAt, Refuse
from hil.centre import PROJECTS
from hil.scenarios import session
from sdbox_agent.pki import cms
from sdbox_agent.terms import Level
from sdbox_centre import authority

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hil.card.faults import Fault
    from hil.issuing import Holder
    from hil.operator import Watch
    from hil.rig import Rig

LEVELS: Final = {
    "card_match": (Level.CARD_MATCH, "scanning"),
    "card_pin": (Level.CARD_PIN, "pinentry"),
}
MUTE_AT: Final = (1, 6)  # at the first word to it, and in the middle of a certificate
_SPENT_S: Final = 15.0
_AUTHENTICATE, _KEY_MANAGEMENT, _WRONG_DATA = 0x87, 0x9D, 0x6A80


@dataclass
class Cards:
    """Made before the centre starts; measured when the box is at work."""

    rig: Rig
    ordinary: Holder
    figures: dict[str, list[float]] = field(default_factory=dict)  # by their names, of many

    def __post_init__(self) -> None:
        self._numbers = itertools.count(11)
        self._at_level = {
            name: self.rig.enrol(self._name(), seed=2, level=level)
            for name, (level, _) in LEVELS.items()
        }
        change = dataclasses.replace
        no = Refuse(_WRONG_DATA, _AUTHENTICATE, _KEY_MANAGEMENT)
        self._bad: dict[str, tuple[Holder, tuple[Fault, ...]]] = {
            "tag": (self._holder(lambda one: change(one, tag=_flipped(one.tag))), ()),
            "wrap": (
                self._holder(lambda one: change(one, wrapped_key=_flipped(one.wrapped_key))),
                (),
            ),
            "another_point": (self._holder(lambda one: change(one, blob=_other_point())), ()),
            "card_refuses": (self._holder(lambda one: one), (no,)),
        }

    def _name(self) -> str:
        return f"test-holder-{next(self._numbers)}"

    def _holder(self, change: Callable[[cms.SealedReference], cms.SealedReference]) -> Holder:
        """A person whose reference was changed by somebody who may write to the centre's store."""
        holder = self.rig.issuing.holder(self._name(), seed=3)
        assert holder.sealed is not None
        message = cms.parse(holder.sealed.sealed_der)
        changed = cms.encode(change(message))
        digest = hashlib.sha256(changed).digest()
        holder.sealed = dataclasses.replace(holder.sealed, sealed_der=changed, sha256=digest)
        self.rig.centre.add_holder(holder, (PROJECTS[0].name,))
        return holder

    # -- what is measured ------------------------------------------------------------------------

    def levels(self, watch: Watch, rounds: int) -> None:
        """card_in_to_prompt_<level>_ms, card_own_<level>_ms."""
        for (name, holder), _ in itertools.product(self._at_level.items(), range(rounds)):
            settle(self.rig.box)
            entry = put_in(self.rig, watch, holder, LEVELS[name][1])
            self._note(f"card_in_to_prompt_{name}_ms", entry.shares.wall_ms)
            self._note(f"card_own_{name}_ms", entry.shares.ours_ms)
            self._out(watch)

    def mute(self, watch: Watch, rounds: int) -> None:
        """mute_card_s, from card in to the refusal shown; then the next card, at once."""
        for n in itertools.islice(itertools.cycle(MUTE_AT), rounds):
            settle(self.rig.box)
            in_ms, spent_ms = self._refused(watch, self.ordinary, "card-mute", (MuteAt(n),))
            self._note("mute_card_s", (spent_ms - in_ms) / 1000)
            self._out(watch)
            entry = put_in(self.rig, watch, self.ordinary, "scanning")
            self._note("after_mute_card_in_to_prompt_ms", entry.shares.wall_ms)
            self._out(watch)

    def bad_references(self, watch: Watch, rounds: int) -> None:
        """unwrap_<kind>_ms: from the reference served to the refusal, or to a finger asked for."""
        for _ in range(rounds):
            settle(self.rig.box)
            before = len(watch.views)
            view = put_in(self.rig, watch, self.ordinary, "scanning").view
            self._note("unwrap_good_ms", view.mono_ms - self._served_ms(watch, before))
            self._out(watch)
            for name, (holder, faults) in self._bad.items():
                settle(self.rig.box)
                before = len(watch.views)
                self._refused(watch, holder, "reference-altered", faults)
                closing_ms = _first_ms(watch, before, "closing")
                self._note(f"unwrap_{name}_ms", closing_ms - self._served_ms(watch, before))
                self._out(watch)

    @staticmethod
    def _served_ms(watch: Watch, before: int) -> float:
        return _first_ms(watch, before, "opening")

    def _refused(
        self, watch: Watch, holder: Holder, code: str, faults: Iterable[Fault]
    ) -> tuple[float, float]:
        """When it came in and when it was shown to be refused. Raises Spoilt for another end."""
        self.rig.operator.insert(holder.card, faults)
        spent = watch.state("spent", "broken", within_s=_SPENT_S)
        if (spent.state, spent.code) != ("spent", code):
            raise Spoilt(f"{spent.state} {spent.code}")
        return beginnings_ms(self.rig, spent.n)["card-inserted"], spent.mono_ms

    def _out(self, watch: Watch) -> None:
        self.rig.operator.remove()
        session.wait_ready(watch)

    def _note(self, name: str, value: float) -> None:
        self.figures.setdefault(name, []).append(value)


def _first_ms(watch: Watch, before: int, state: str) -> float:
    return next(view.mono_ms for view in watch.views[before:] if view.state == state)


def _flipped(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


def _other_point() -> bytes:
    key = authority.new_key().public_key()
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
