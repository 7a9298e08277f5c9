"""Mutations that know tag, length and value: bytes stay BER-TLV or DER, their lengths put right.

Plain mutations break a length first and get no further. Here a tree is read, loosely, something in
it is changed, and it is written anew; sometimes a length is spoilt on purpose. Knows no format, and
decides nothing: whatever comes out is only another input. The caller's seed decides it all.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

MAX_DEPTH = 24
MAX_NODES = 400
CONSTRUCTED = 0x20
OPAQUE = {0x04: b"", 0x03: b"\0", 0x53: b"", 0x70: b""}  # tags whose value may hold more, after…
BYTES = (0x00, 0x01, 0x1F, 0x30, 0x7F, 0x80, 0x81, 0x82, 0x84, 0xA0, 0xFE, 0xFF)
STATUS_WORDS = (0x9000, 0x6982, 0x6983, 0x6A80, 0x6A82, 0x6A88, 0x63C0, 0x6100, 0x61FF, 0x6C10)


@dataclass
class Node:
    """One data object; `inner` where its value is read further, after `prefix`."""

    tag: bytes
    value: bytes
    inner: "list[Node] | None" = None
    prefix: bytes = b""
    head: bytes | None = field(default=None)  # instead of tag and length, when spoilt


def read(data: bytes, depth: int = 0) -> list[Node] | None:
    """The objects side by side in `data`; None if it is not such."""
    nodes: list[Node] = []
    at = 0
    while at < len(data):
        start, at = at, at + 1
        if data[start] & 0x1F == 0x1F:
            while at < len(data) and data[at] & 0x80:
                at += 1
            at += 1
        tag = data[start:at]
        if at >= len(data):
            return None
        size, at = data[at], at + 1
        if size >= 0x80:
            count = size & 0x7F
            if not 1 <= count <= 4 or at + count > len(data):
                return None
            size, at = int.from_bytes(data[at : at + count]), at + count
        if size > len(data) - at or len(nodes) > MAX_NODES:
            return None
        nodes.append(_node(tag, data[at : at + size], depth))
        at += size
    return nodes


def _node(tag: bytes, value: bytes, depth: int) -> Node:
    prefix = OPAQUE.get(tag[0], b"")
    deeper = tag[0] & CONSTRUCTED or (tag[0] in OPAQUE and value.startswith(prefix))
    inner = read(value[len(prefix) :], depth + 1) if deeper and depth < MAX_DEPTH else None
    if not tag[0] & CONSTRUCTED and not inner:
        return Node(tag, value)
    return Node(tag, value, inner, prefix)


def written(nodes: list[Node]) -> bytes:
    """The bytes of a tree, lengths as short as they can be where none is spoilt."""
    out = bytearray()
    for node in nodes:
        value = node.value if node.inner is None else node.prefix + written(node.inner)
        out += (node.tag + length(len(value)) if node.head is None else node.head) + value
    return bytes(out)


def length(size: int) -> bytes:
    """A length in its shortest form."""
    if size < 0x80:
        return bytes([size])
    octets = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([0x80 | len(octets)]) + octets


def swapped(data: bytes, old: bytes, new: bytes) -> bytes:
    """The first whole element (or run of elements) `old` in a tree replaced, lengths put right.

    Raises ValueError if there is none.
    """
    nodes = read(data) or []
    if not _swap(nodes, old, new):
        raise ValueError("not there")
    return written(nodes)


def _swap(nodes: list[Node], old: bytes, new: bytes) -> bool:
    for at, node in enumerate(nodes):
        if written([node]) == old:
            nodes[at] = Node(b"", new, head=b"")
            return True
        if node.inner is not None and _swap(node.inner, old, new):
            return True
    return False


def mutate(data: bytes, max_size: int, seed: int) -> bytes | None:
    """Another tree, from one to four changes away; None where `data` is no tree."""
    nodes = read(data)
    if not nodes:
        return None
    rng = random.Random(seed)
    for _ in range(rng.randint(1, 4)):
        places = _places(nodes)
        if not places:
            break
        siblings, at = places[rng.randrange(len(places))]
        rng.choice(CHANGES)(rng, siblings, at, places)
    return written(nodes)[:max_size]


Places = list[tuple[list[Node], int]]


def _places(nodes: list[Node]) -> Places:
    found: Places = []
    stack = [nodes]
    while stack and len(found) < MAX_NODES:
        siblings = stack.pop()
        for at, node in enumerate(siblings):
            found.append((siblings, at))
            if node.inner is not None:
                stack.append(node.inner)
    return found


def _drop(rng: random.Random, siblings: list[Node], at: int, places: Places) -> None:
    del siblings[at]


def _again(rng: random.Random, siblings: list[Node], at: int, places: Places) -> None:
    siblings.insert(at, _copy(siblings[at]))


def _exchange(rng: random.Random, siblings: list[Node], at: int, places: Places) -> None:
    other = rng.randrange(len(siblings))
    siblings[at], siblings[other] = siblings[other], siblings[at]


def _transplant(rng: random.Random, siblings: list[Node], at: int, places: Places) -> None:
    others, other = places[rng.randrange(len(places))]
    siblings[at] = _copy(others[other])


def _retag(rng: random.Random, siblings: list[Node], at: int, places: Places) -> None:
    siblings[at].tag = bytes([rng.choice((*BYTES, siblings[at].tag[0] ^ 1 << rng.randrange(8)))])


def _revalue(rng: random.Random, siblings: list[Node], at: int, places: Places) -> None:
    node = siblings[at]
    value = bytearray(node.value if node.inner is None else written(node.inner))
    where = rng.randrange(len(value) + 1)
    match rng.randrange(5):
        case 0:
            del value[where:]
        case 1:
            value[where:where] = bytes([rng.choice(BYTES)])
        case 2 if where < len(value):
            value[where] ^= 1 << rng.randrange(8)
        case 3 if where < len(value):
            value[where] = rng.choice(BYTES)
        case _:
            value += bytes([rng.choice(BYTES)]) * rng.choice((1, 2, 16, 128, 256))
    siblings[at] = Node(node.tag, bytes(value))


def _wrap(rng: random.Random, siblings: list[Node], at: int, places: Places) -> None:
    for _ in range(rng.choice((1, 1, 1, 17))):
        siblings[at] = Node(siblings[at].tag, b"", [siblings[at]])


def _spoil(rng: random.Random, siblings: list[Node], at: int, places: Places) -> None:
    node = siblings[at]
    size = len(node.value)
    forms = (
        b"\x80",
        b"\x81" + bytes([size & 0xFF]),
        b"\x82" + (size & 0xFFFF).to_bytes(2),
        b"\x84" + size.to_bytes(4),
        length(size + 1),
        length(max(0, size - 1)),
    )
    siblings[at] = Node(node.tag, node.value, head=node.tag + rng.choice(forms))


CHANGES = (_drop, _again, _exchange, _transplant, _retag, _revalue, _revalue, _wrap, _spoil)


def _copy(node: Node) -> Node:
    inner = None if node.inner is None else [_copy(one) for one in node.inner]
    return Node(node.tag, node.value, inner, node.prefix, node.head)


def cut(data: bytes, width: int) -> list[bytes]:
    """The frames in `data`, each after its length in `width` bytes; the last may be short."""
    frames, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + width])
        frames.append(data[at + width : at + width + size])
        at += width + size
    return frames


def joined(frames: list[bytes], width: int) -> bytes:
    """The other way round; a frame too long for its length is cut."""
    most = (1 << 8 * width) - 1
    return b"".join(len(one[:most]).to_bytes(width) + one[:most] for one in frames)


def framed(width: int, tail: int, skipped: int = 0) -> Callable[[bytes, int, int], bytes | None]:
    """Mutates one frame's tree, before its last `tail` bytes; or the frames' order, or a tail.

    The first `skipped` bytes of an input are no frame.
    """

    def change(data: bytes, max_size: int, seed: int) -> bytes | None:
        rng = random.Random(seed)
        frames = cut(data[skipped:], width)
        if not frames:
            return None
        at = rng.randrange(len(frames))
        end = max(0, len(frames[at]) - tail)
        match rng.randrange(8):
            case 0:
                del frames[at]
            case 1:
                frames.insert(rng.randrange(len(frames)), frames[at])
            case 2 if tail == 2:
                frames[at] = frames[at][:end] + rng.choice(STATUS_WORDS).to_bytes(2)
            case _:
                changed = mutate(frames[at][:end], max_size, seed)
                if changed is None:
                    return None
                frames[at] = changed + frames[at][end:]
        return (data[:skipped] + joined(frames, width))[:max_size]

    return change
