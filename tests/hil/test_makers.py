"""One sealed reference, one set of keys, three ways to the card: PC/SC, OpenSC, another maker.

Each is a whole session through the real worker: card in, PIN where the way asks for one, finger,
tunnel, a renewed lease, card out.
"""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.box import CARD_UID, REPOSITORY
from hil.card import keys
from hil.card.card import OtherCard, PivCard, answer_to_reset
from hil.finger import Person
from hil.issuing import PIN, Holder, now
from hil.operator import Watch
from hil.rig import Rig
from hil.scenarios import session
from hil.softhsm import MODULE, soft_token
from sdbox_agent.audit import hashchain, record
from sdbox_centre import authority
from tests.waiting import until

pytestmark = pytest.mark.rig

LEASE_S = 4
ALGORITHMS: tuple[keys.Algorithm, ...] = ("P-256", "RSA-3072")
WAYS = ("pcsc", "opensc", "softhsm")
OPENSC = next(Path("/usr/lib").glob("*/pkcs11/opensc-pkcs11.so"), Path("opensc-pkcs11.so"))


class MakersCard(OtherCard):
    """A card that nobody but its maker's library can speak to; told by its answer to reset."""

    def __init__(self, name: bytes) -> None:
        self.atr = answer_to_reset(b"\x80" + name)


@dataclasses.dataclass(frozen=True)
class Bench:
    rig: Rig
    watch: Watch
    cards: dict[tuple[str, str], object]
    holders: dict[str, Holder]

    def codes(self, n: int) -> list[str]:
        lines, _ = hashchain.split((self.rig.box.paths.state / "audit.jsonl").read_bytes())
        entries = [record.decode(line) for line in lines]
        return [entry.code for entry in entries if (entry.session or "").endswith(f"-{n}")]


def kind(name: str, **values: str) -> str:
    lines = {"pin_policy": "once", "comparison": "host", "access": "pkcs11", **values}
    said = "".join(f'{key} = "{value}"\n' for key, value in lines.items())
    return f'v = 1\nname = "{name}"\nmodel = "Test"\nalgorithms = ["P-256", "RSA-3072"]\n{said}'


def three_cards(
    rig: Rig, algorithm: keys.Algorithm, directory: Path
) -> tuple[Holder, dict[str, object], str, dict[str, str]]:
    """A person whose keys are in three pieces of plastic, and one enrolment."""
    name, person = f"test-holder-{algorithm}".lower(), Person(7)
    names: tuple[keys.KeyName, ...] = ("9A", "9D", "9E")
    own = {one: keys.generate(algorithm if one != "9E" else "P-256") for one in names}
    free = PivCard.create(ready_keys=own)
    guarded = PivCard.create(ready_keys=own, guid=free.guid, pin_policy="once", pin=PIN)
    public = authority.CardKeys(*(own[one].public_key() for one in names))
    issued = rig.issuing.cards.card(public, free.guid.bytes, "Test holder", now())
    shown = dict(zip(names, (issued.auth, issued.key_management, issued.card_auth), strict=True))
    for card in (free, guarded):
        card.install(shown)
    token = soft_token(directory, own, shown, pin=PIN, label=name)
    other = MakersCard(algorithm.encode())
    holder = Holder(name, person, free, issued, rig.issuing.enrol(name, person, issued))
    cards = {"pcsc": free, "opensc": guarded, "softhsm": other}
    return holder, cards, token.serial, token.environment


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with Rig(lease_s=LEASE_S) as rig:
        store = rig.root / "softhsm"
        store.mkdir()
        profiles = rig.box.paths.config / "profiles"
        (profiles / "cards").mkdir()
        cards, holders, kinds = {}, {}, []
        for algorithm in ALGORITHMS:
            holder, three, serial, environment = three_cards(rig, algorithm, store)
            rig.centre.add_holder(holder, ("p-alpha",))
            holders[algorithm] = holder
            cards |= {(way, algorithm): card for way, card in three.items()}
            rig.box.card_environment = environment
            kinds.append(f"soft-{algorithm}".lower())
            atr = three["softhsm"].atr.hex().upper()
            said = kind(kinds[-1], module=MODULE, token_serial=serial, atr=atr)
            (profiles / f"cards/{kinds[-1]}.toml").write_text(said)
        guarded = cards["opensc", "P-256"].atr.hex().upper()
        said = kind("opensc", module=str(OPENSC), atr=guarded)
        (profiles / "cards/opensc.toml").write_text(said)
        kinds += ["opensc", "piv-free"]
        virtual = (REPOSITORY / "firmware_profiles/virtual.toml").read_text()
        old = next(line for line in virtual.splitlines() if line.startswith("kinds"))
        listed = ", ".join(f'"{one}"' for one in kinds)
        (profiles / "virtual.toml").write_text(virtual.replace(old, f"kinds = [{listed}]"))
        for path in (store, *store.rglob("*")):
            os.chown(path, CARD_UID, CARD_UID)
        rig.start()
        watch = rig.watch()
        watch.state("idle")
        yield Bench(rig, watch, cards, holders)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("way", WAYS)
def test_the_same_reference_opens_each_way_and_the_lease_renews(
    bench: Bench, way: str, algorithm: str
) -> None:
    holder = dataclasses.replace(bench.holders[algorithm], card=bench.cards[way, algorithm])
    seen = session.enter(bench.rig, bench.watch, holder)
    assert (seen.state, seen.code) == ("open", None), bench.rig.box.log("sdbox-card")
    until(lambda: "lease-renewed" in bench.codes(seen.n))
    ended = session.leave(bench.rig, bench.watch)
    assert (ended.state, ended.code) == ("spent", "card-removed")
    codes = bench.codes(seen.n)
    assert ("pin-accepted" in codes) == (way != "pcsc")
    assert "reference-opened" in codes
    assert session.residue(bench.rig) == []
