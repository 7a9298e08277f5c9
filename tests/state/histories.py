"""What a box writes in its life, under every cut of the power: the machinery of test_histories.

Both of the box's files lie on one disk, as they do. Each act makes one save or one line, so a cut
in the middle of it must leave the box exactly as before it or as after it: whatever else is found
is torn. `Life.play` is the same life without a cut, which says what before and after are.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from sdbox_agent.audit import hashchain
from sdbox_agent.audit.outbox import NAME as AUDIT
from sdbox_agent.audit.outbox import TORN, Outbox
from sdbox_agent.audit.record import decode
from sdbox_agent.state import store
from sdbox_agent.state.attempts import LIMIT, Attempts
from sdbox_agent.state.marks import Marks
from sdbox_agent.state.model import ModelFileSystem, PowerCut

CARD, OTHER, ISSUER = (bytes([n]) * 32 for n in (1, 2, 3))
HOUR_S = 3600


@dataclass
class Box:
    """What runs on a disk. Being made reads both files, and mends a torn last line."""

    disk: ModelFileSystem
    clock_s: int = 0
    compared: int = 0  # comparisons run for CARD since attempts were last given back

    def __post_init__(self) -> None:
        self.record = Outbox(self.disk, "boot")
        self.store = store.load(self.disk)
        self.marks, self.attempts = Marks(self.store), Attempts(self.store)

    def compare(self, card: bytes = CARD) -> None:
        """A comparison: it runs only after its attempt is counted."""
        self.clock_s += HOUR_S
        self.attempts.reserve(card, self.clock_s)
        self.compared += card == CARD

    def receipt(self) -> None:
        """The centre took it: the failures are forgotten, and so is how many there were."""
        self.compared = 0
        self.attempts.accepted(CARD)

    def unlock(self) -> None:
        """Staff's: the other thing that gives attempts back."""
        self.compared = 0
        self.attempts.unlocked(CARD, 1)

    def line(self, code: str) -> None:
        """One line of the record."""
        self.record.append(code, result="ok")


Act = Callable[[Box], object]
BOOT: Act = lambda box: box.marks.boot()  # noqa: E731

# One box, from its first start: what each act saves differs from what the one before it saved.
LIFE: tuple[Act, ...] = (
    BOOT,
    lambda box: box.line("started"),
    lambda box: box.marks.hello(utc_s=HOUR_S, wire=1, policy_version=1),
    lambda box: box.marks.crl(ISSUER, 7),
    lambda box: box.line("card-inserted"),
    lambda box: box.attempts.lower(CARD, LIMIT - 1),
    lambda box: box.compare(),
    lambda box: box.line("finger-rejected"),
    lambda box: box.compare(),
    lambda box: box.compare(OTHER),
    lambda box: box.line("session-open"),
    lambda box: box.receipt(),
    lambda box: box.marks.crl(ISSUER, 8),
    lambda box: box.compare(),
    lambda box: box.line("session-closed"),
    lambda box: box.unlock(),
    lambda box: box.marks.hello(utc_s=9 * HOUR_S, wire=2, policy_version=3),
    lambda box: box.line("stopped"),
)


@dataclass(frozen=True)
class Seen:
    """What a disk holds: the saved state without its generation, and the record's codes."""

    state: object
    codes: tuple[str, ...]

    @classmethod
    def on(cls, disk: ModelFileSystem) -> Seen:
        """Raises if either file is torn."""
        held = store.load(disk).state
        fields = {name: getattr(held, name) for name in held.__struct_fields__}
        del fields["generation"]
        data = disk.contents().get(AUDIT, b"")
        hashchain.verify(data)
        return cls(fields, tuple(decode(line).code for line in data.splitlines()))

    @property
    def left(self) -> int:
        """Attempts of CARD."""
        assert isinstance(self.state, dict)
        row = self.state["attempts"].get(CARD.hex())
        return row.left if row else LIMIT


def without_torn(codes: Sequence[str]) -> tuple[str, ...]:
    """A loss is recorded in the chain: nothing else may differ."""
    return tuple(code for code in codes if code != TORN)


@dataclass
class Life:
    """The life without a cut: `seen[n]` is the disk when `n` acts are done."""

    acts: tuple[Act, ...]
    seen: list[Seen] = field(default_factory=list)
    compared: list[int] = field(default_factory=list)

    @classmethod
    def play(cls, acts: tuple[Act, ...] = LIFE) -> Life:
        disk = ModelFileSystem()
        store.create(disk)
        box, life = Box(disk), cls(acts)
        life.note(box)
        for act in acts:
            act(box)
            life.note(box)
        return life

    def note(self, box: Box) -> None:
        self.seen.append(Seen.on(box.disk))
        self.compared.append(box.compared)

    def cuts(self) -> Iterator[tuple[int, ModelFileSystem]]:
        """Every disk that a cut in this life leaves, and how many acts were done before it."""
        for cut_at in itertools.count():
            disk = ModelFileSystem()
            store.create(disk)
            box, done = Box(disk), 0
            disk.cut_at = disk.calls + cut_at
            try:
                for act in self.acts:
                    act(box)
                    done += 1
            except PowerCut:
                for after in disk.after_cut():
                    yield done, after
            else:
                return

    def judge(self, done: int, disk: ModelFileSystem) -> Seen:
        """A start on that disk, after `done` acts: as before the next one, or as after it."""
        Box(disk)
        found = Seen.on(disk)
        before, after = self.seen[done : done + 2]
        assert found.state in (before.state, after.state)
        assert without_torn(found.codes) in (before.codes, after.codes)
        # No attempt gained: as many are gone as comparisons were run, or one more.
        given = after.left > before.left and found.state == after.state  # a receipt, an unlock
        assert given or found.left <= LIMIT - self.compared[done]
        return found


def restarts(disk: ModelFileSystem) -> Iterator[tuple[bool, ModelFileSystem]]:
    """A start on `disk` (reading, mending, counting the boot) cut at every call of it.

    Yields whether the boot had been counted, and each disk that is left.
    """
    for cut_at in itertools.count():
        fork = ModelFileSystem.of(disk.contents())
        fork.cut_at = cut_at
        counted = False
        try:
            box = Box(fork)
            BOOT(box)
            counted = True
            box.line("started")
        except PowerCut:
            for after in fork.after_cut():
                yield counted, after
        else:
            return
