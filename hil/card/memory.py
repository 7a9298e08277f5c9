"""What a card keeps without power: keys, data objects, PIN, PUK, fingers, the rule of its keys.

Each change is one assignment of something made whole beforehand: a card torn in a write has the old
or the new, never half. Does not know any command, nor whether the card is in a reader.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from hil.card import objects

if TYPE_CHECKING:
    from hil.card.finger import Finger
    from hil.card.keys import KeyName, PrivateKey
    from hil.card.pin import Pin, Puk

# "once": 9A and 9D after one VERIFY since power-on, SP 800-73-5 part 1, table 5. "never": they
# answer without; outside PIV's access rules, a card profile of this project's.
PinPolicy: TypeAlias = Literal["never", "once"]
# How a probe is wrapped: SP 800-73-5 part 2, 3.2.1, or as ISO/IEC 7816-11 writes it (INS 21).
VerifyForm: TypeAlias = Literal["raw", "7f2e"]

# Ours: tries in a row for a finger, as for the PIN.
TRIES: Final = 5


@dataclass(slots=True)
class Memory:
    """One card's; `objects` maps an object's tag to its content, without the outer 53."""

    pin: Pin
    puk: Puk
    pin_policy: PinPolicy
    keys: dict[KeyName, PrivateKey] = field(repr=False)
    objects: dict[int, bytes] = field(repr=False)
    admin_key: bytes | None = field(default=None, repr=False)
    fingers: dict[int, Finger] = field(default_factory=dict)  # by key reference: 96, 97
    match_tries: int = TRIES
    verify_form: VerifyForm = "raw"

    @property
    def compares(self) -> bool:
        """Whether the Discovery object says that a finger opens what the PIN opens."""
        return objects.comparison_satisfies(self.objects.get(objects.Tag.DISCOVERY))
