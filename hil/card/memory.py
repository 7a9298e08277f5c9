"""What a card keeps without power: keys, data objects, PIN counter, the rule of use of its keys.

Does not know any command, nor whether the card is in a reader.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from hil.card.keys import KeyName, PrivateKey
    from hil.card.pin import Pin

# "once": 9A and 9D after one VERIFY since power-on, SP 800-73-5 part 1, table 5. "never": they
# answer without; outside PIV's access rules, a card profile of this project's.
PinPolicy: TypeAlias = Literal["never", "once"]


@dataclass(slots=True)
class Memory:
    """One card's; `objects` maps an object's tag to its content, without the outer 53."""

    pin: Pin
    pin_policy: PinPolicy
    keys: dict[KeyName, PrivateKey] = field(repr=False)
    objects: dict[int, bytes] = field(repr=False)
