"""No frame twice: tags of the frames that this box has had since its core started.

A tag is a keyed digest of the pixels. The key is made when the core starts and never leaves the
memory of core and finger process; each finger process lives for one transaction, so the core keeps
the tags between them: to it, and to whoever reads its memory, they tell that two frames were the
same and nothing else. A near-identical frame has another tag: what could tell it apart would be
biometric data, and that stays in the finger process. Pure.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from sdbox_agent.errors import Refused
from sdbox_agent.ipc import FRAME_TAG_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy as np
    from numpy.typing import NDArray


class Replays:
    """What this process must not take again."""

    def __init__(self, key: bytes, seen: Iterable[bytes], told: Callable[[bytes], None]) -> None:
        """`seen`: tags by `key` of earlier processes; `told` is given each new one."""
        self._key = key
        self._seen = set(seen)
        self._told = told

    def take(self, pixels: NDArray[np.uint8]) -> None:
        """Note a frame, whatever comes of it. Raises Refused("replayed-sample")."""
        tag = tag_of(self._key, pixels)
        if tag in self._seen:
            raise Refused("replayed-sample")
        self._seen.add(tag)
        self._told(tag)


def tag_of(key: bytes, pixels: NDArray[np.uint8]) -> bytes:
    """HMAC-SHA-256 over the size and every pixel, its first 16 bytes."""
    height, width = pixels.shape
    size = height.to_bytes(4, "big") + width.to_bytes(4, "big")
    return hmac.digest(key, size + pixels.tobytes(), "sha256")[:FRAME_TAG_BYTES]
