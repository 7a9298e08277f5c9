"""What lies in the memory of the box's processes, state by state.

The test made the reference and holds the card's keys, so it knows every secret of the session
beforehand. It looks for each in the core at every state, and in the workers after the end.
"""

import base64
import contextlib
import hashlib
import os
import re
import signal
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap

from hil.card import keys
from hil.card.faults import SlowBy
from hil.issuing import Holder, reference_record
from hil.scenarios import session
from sdbox_agent.biometrics import iso19794_2_2005 as iso
from sdbox_agent.biometrics.comparison import prepare
from sdbox_agent.pki import cms
from tests.hil.fault_bench import Bench, alive, opened, stopped, until

pytestmark = pytest.mark.rig

FINGER = "sdbox-finger@"
CHUNK_BYTES = 64 * 1024
ZEROS = bytes(CHUNK_BYTES)
LONGEST_BYTES = 96  # of any form of any secret
STATES = {
    "idle", "checking", "proving", "opening", "scanning", "reserving", "comparing", "choosing",
    "signing", "tunnelling", "open", "closing", "spent",
}  # fmt: skip


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with opened(one=0, both=2) as one:
        yield one


def dump(pid: int) -> list[bytes]:
    """What that process can write to, in chunks, in order; those of zeros left out."""
    chunks = []
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            low, high, rights = re.match(r"(\w+)-(\w+) (\S+)", line).groups()
            if rights.startswith("rw") and "[v" not in line:
                memory.seek(int(low, 16))
                left = int(high, 16) - int(low, 16)
                with contextlib.suppress(OSError):  # a hole: nothing is mapped behind it
                    while left > 0 and (part := memory.read(min(left, CHUNK_BYTES))):
                        left -= len(part)
                        if part != ZEROS[: len(part)]:
                            chunks.append(part)
    assert sum(map(len, chunks)) > 4_000_000, "a Python process is larger than this"
    return chunks


def forms(secret: bytes) -> list[bytes]:
    """As it is, in hex, in base64 at each of its three phases (ends that vary cut off)."""
    coded = [base64.b64encode(bytes(phase) + secret)[4:-4] for phase in range(3)]
    return [secret, secret.hex().encode(), *coded]


def secrets_of(holder: Holder) -> dict[str, list[bytes]]:
    """Shared secret, key-encryption key, content key, and pieces of the reference."""
    sealed = cms.parse(holder.sealed.sealed_der)
    shared = keys.agree(holder.card._memory.keys["9D"], sealed.blob)
    wrapping = cms.key_encryption_key(shared, sealed.blob)
    content = aes_key_unwrap(wrapping, sealed.wrapped_key)
    record = reference_record(holder.person)
    decoded = iso.decode(record)
    ready = [prepare(decoded.template(view)).points.xy_px for view in decoded.views]
    signed = cms.decrypt(sealed, shared, holder.certificates.key_management)
    assert record in signed
    pieces = [record[at : at + 24] for at in range(30, len(record) - 24, 240)]  # four minutiae each
    return {
        "shared secret": forms(shared),
        "wrapping key": forms(wrapping),
        "content key": forms(content),
        "prepared": [xy_px[:4].tobytes() for xy_px in ready],  # as the comparison keeps them
        "minutiae": [form for piece in pieces for form in forms(piece)],
        "sealed": forms(sealed.ciphertext[:48]),  # no secret: it shows that looking finds
    }


class Finder:
    """Looks for secrets in memory; what it has looked at once it knows."""

    def __init__(self, secrets: dict[str, list[bytes]]) -> None:
        self._secrets = secrets
        self._known: dict[tuple[bytes, bytes], frozenset[str]] = {}

    def held(self, memory: list[bytes]) -> set[str]:
        found: set[str] = set()
        end = b""
        for chunk in memory:
            key = (end, hashlib.blake2b(chunk, digest_size=16).digest())
            if key not in self._known:
                self._known[key] = self._search(end + chunk)
            found |= self._known[key]
            end = chunk[-LONGEST_BYTES:]
        return found

    def _search(self, text: bytes) -> frozenset[str]:
        return frozenset(
            name for name, shapes in self._secrets.items() if any(shape in text for shape in shapes)
        )


class Looks:
    """Stops the core at each new view, and looks into it before it goes on."""

    def __init__(self, bench: Bench, finder: Finder) -> None:
        self._core = bench.rig.box.pid("sdbox-agent")
        self._watch = bench.watch
        self._finder = finder
        self.found: dict[str, set[str]] = {}

    def until(self, *states: str) -> None:
        while True:
            view = self._watch.until(lambda _: True, "view")
            with stopped(self._core):
                try:  # the newest it has shown is what it is in
                    view = self._watch.until(lambda _: False, "more", within_s=0.02)
                except TimeoutError:
                    view = self._watch.views[-1]
                self.look(view.state)
            if view.state in states:
                return

    def look(self, state: str) -> None:
        self.found.setdefault(state, set()).update(self._finder.held(dump(self._core)))


def test_the_core_never_holds_what_opens_a_reference(bench: Bench) -> None:
    holder = bench.holder("both")
    finder = Finder(secrets_of(holder))
    looks = Looks(bench, finder)
    looks.look("idle")
    finger, card = bench.rig.box.pid(FINGER), bench.rig.box.pid("sdbox-card")
    helper = bench.rig.box.pid("sdbox-tunnel")
    bench.rig.operator.insert(holder.card, [SlowBy(40)])
    looks.until("scanning")
    assert "prepared" in finder.held(dump(finger)), "where they are, they are found"
    with stopped(bench.rig.centre.api.pid):
        bench.rig.operator.place(holder.person)
        looks.until("reserving")
        os.kill(finger, signal.SIGSTOP)
    looks.until("comparing")
    os.kill(finger, signal.SIGCONT)
    looks.until("choosing")
    until("the finger process's end", lambda: not alive(finger), 1)
    with stopped(bench.rig.centre.api.pid):
        bench.rig.operator.choose("p-beta")
        looks.until("tunnelling")
    looks.until("open")
    bench.rig.operator.remove()
    with stopped(helper):
        looks.until("closing")
    looks.until("spent")
    assert set(looks.found) >= STATES, STATES - set(looks.found)
    assert {state: names - {"sealed"} for state, names in looks.found.items()} == {
        state: set() for state in looks.found
    }
    assert "sealed" in looks.found["opening"], "what may be there, is found there"
    # After the end: the workers live on, and hold nothing of it.
    assert session.residue(bench.rig) == []
    left = {pid: finder.held(dump(pid)) for pid in (card, helper, bench.rig.box.pid(FINGER))}
    assert not any(left.values()), (card, helper, left)
