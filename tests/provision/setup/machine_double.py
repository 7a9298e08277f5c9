"""The double of ports.System and ports.Profiles, and a whole run of setup over the model's disk."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from sdbox_agent.centre import wire
from sdbox_agent.centre.reported import Measured
from sdbox_agent.errors import Fault
from sdbox_agent.identity import place
from sdbox_agent.profile import schema
from sdbox_agent.profile.usbdevices import UsbDevice
from sdbox_agent.profile.usbrules import REFUSED, UsbRules
from sdbox_agent.provision.doctor import finding
from sdbox_agent.provision.doctor.finding import ACTIVATION, Finding
from sdbox_agent.provision.setup import answers as answering
from sdbox_agent.provision.setup import ports
from sdbox_agent.provision.setup.answers import Answers
from sdbox_agent.provision.setup.enrolling import Certified, Keyed
from sdbox_agent.provision.setup.fitness import Fit, Hardened
from sdbox_agent.provision.setup.keymaking import FileKeys
from sdbox_agent.provision.setup.places import Places
from sdbox_agent.provision.setup.retiring import Destroyed, Said, Stopped
from sdbox_agent.provision.setup.service import (
    Activated,
    Remembering,
    Reported,
    Started,
    Waiting,
)
from sdbox_agent.provision.setup.settling import Believed, Chosen, Given, Settled, held
from sdbox_agent.provision.setup.step import Step
from sdbox_agent.provision.setup.tree import Tree, read
from sdbox_agent.provision.setup.usbruling import DIRECTORY, FILE, Ruled, Unruled
from sdbox_centre import authority
from tests.provision.setup.people import ANCHOR, NOW, IssuingCentre, Member, answers

SHIPPED = Path(__file__).parents[3] / "firmware_profiles"
RULES = UsbRules(
    schema.parse_profile((SHIPPED / "wyse-5070-scr3310-u4500.toml").read_bytes()),
    schema.parse_sensor((SHIPPED / "sensors/uareu-4500.toml").read_bytes()),
)
READER = UsbDevice("1-1", "04e6:5116", interfaces=("0b0000",))
STICK = UsbDevice("1-2", "0781:5567", interfaces=("080650",))
KEYBOARD = UsbDevice("1-3.1", "046d:c31c", interfaces=("030101",))

MEASURED = [
    Measured(what="portal", result="failed", code="portal"),
    Measured(what="portal", result="ok"),
    *(Measured(what="names", result="warn", code=f"name-{n}") for n in range(3)),
]

FIT = tuple(finding.ok(name) for name in sorted(ACTIVATION))
RAW = answering.encode(answers())
MEMBER = Member()
PLACES = Places()
KEYS = [authority.new_key() for _ in range(8)]  # made once: a run takes two


@dataclass
class FakeSystem(ports.System):
    """Obeys, and remembers."""

    running: bool = True
    on: set[str] = field(default_factory=set)
    settlements: int = 0
    fails: bool = False

    def settled(self) -> bool:
        return self.settlements > 0

    def settle(self) -> None:
        self.settlements += 1

    def enabled(self, units: Sequence[str]) -> bool:
        return self.on.issuperset(units)

    def enable(self, units: Sequence[str]) -> None:
        if self.fails:
            raise Fault("unit-failed")
        self.on |= set(units)

    def disabled(self, units: Sequence[str], keep: Sequence[str]) -> bool:
        return self.on.isdisjoint(units)

    def disable(self, units: Sequence[str], keep: Sequence[str]) -> None:
        self.on -= set(units)


@dataclass
class FakeUsb(ports.Usb):
    """What is plugged in, under a kernel and a udev that obey at once, unless they are `deaf`."""

    devices: list[UsbDevice] = field(default_factory=list)
    used: dict[str, tuple[str, ...]] = field(default_factory=dict)
    governed: bool = True
    shut: bool = False
    deaf: bool = False
    read: Callable[[], bytes | None] = lambda: None  # the file of rules, as udev reads it
    rules: UsbRules = RULES

    def plugged(self) -> tuple[UsbDevice, ...]:
        return tuple(self.devices)

    def closed(self) -> bool:
        return self.shut

    def uses(self) -> dict[str, tuple[str, ...]]:
        return self.used

    def obey(self) -> None:
        assert self.read() == self.rules.text.encode()
        if not self.deaf:
            self.shut = True
            self._let(lambda each: self.rules.part(each) != REFUSED)

    def held_back(self) -> bool:
        return self.shut

    def open(self) -> None:
        assert self.read() is None
        self._let(lambda _: True)
        self.shut = False

    def _let(self, whom: Callable[[UsbDevice], bool]) -> None:
        self.devices = [replace(each, let_in=whom(each)) for each in self.devices]


@dataclass
class FakeProfiles(ports.Profiles):
    """Knows names."""

    fits: tuple[str, ...] = ("virtual",)
    known: frozenset[str] = frozenset({"virtual"})

    def fitting(self) -> tuple[str, ...]:
        return self.fits

    def whole(self, name: str) -> object:
        if name not in self.known:
            raise Fault("profile-invalid")
        return object()

    def usb(self, name: str) -> UsbRules:
        self.whole(name)
        return RULES


@dataclass
class Bench:
    """What stays while the machine's disk is cut and started again."""

    centre: IssuingCentre = field(default_factory=IssuingCentre)
    system: FakeSystem = field(default_factory=FakeSystem)
    usb: FakeUsb = field(default_factory=lambda: FakeUsb([READER, STICK]))
    profiles: FakeProfiles = field(default_factory=FakeProfiles)
    findings: tuple[Finding, ...] = FIT
    made_keys: int = 0
    waits: int = 0
    told: list[str] = field(default_factory=list)
    measured: list[Measured] = field(default_factory=lambda: [*MEASURED])

    def given(self, one: Answers | None = None, typed: bytes | None = ANCHOR) -> Given:
        raw = RAW if one is None else answering.encode(one)
        return Given(raw, answering.parse(raw), MEMBER.sign(raw), typed)

    def setup(self, tree: Tree, given: Given | None = None, rig: bool = True) -> list[Step]:
        given = given or GIVEN
        one = given.answers
        chosen = Chosen(tree, PLACES, one, self.profiles)  # type: ignore[arg-type]
        hardened = Hardened(tree, PLACES, self.system)
        fit = Fit(lambda: self.findings, hardened, "en")
        keyed = Keyed(tree, PLACES, FileKeys(self._key))
        made = lambda: self.report(one, chosen, keyed)  # noqa: E731
        self.usb.read = lambda: self.written(tree)
        reported = Reported(tree, PLACES, self.centre, made, self._measure)
        waiting = Waiting(60, lambda: self.waits, self._wait, self.told.append)
        return [
            Believed(tree, PLACES, given, NOW, rig),
            hardened,
            fit,
            chosen,
            Settled(tree, PLACES, one, chosen),
            keyed,
            Certified(tree, PLACES, keyed, one, self.centre, NOW),
            reported,
            Remembering(tree, PLACES, lambda: (None, place.remember({}, bytes(32)))),
            Ruled(tree, PLACES, lambda: self.profiles.usb(chosen.profile()), self.usb),
            Started(self.system),
            Activated(tree, PLACES, one, self.centre, reported.whole, fit, waiting),
        ]

    def retire(self, tree: Tree) -> list[Step]:
        box = held(tree, PLACES)
        self.usb.read = lambda: self.written(tree)
        return [
            Stopped(self.system),
            Said(tree, PLACES, box, self.centre),
            Destroyed(tree, PLACES, "identity"),
            Destroyed(tree, PLACES, "state"),
            Unruled(tree, PLACES, self.usb),
            Destroyed(tree, PLACES, "config"),
        ]

    @staticmethod
    def written(tree: Tree) -> bytes | None:
        return read(tree, PLACES.system(DIRECTORY), FILE)

    @staticmethod
    def report(one: Answers, chosen: Chosen, keyed: Keyed) -> wire.ReportRequest:
        return wire.ReportRequest(
            box=one.box, agent_version="0.1.0", profile=chosen.profile(), revision=1,
            machine="a machine", usb=(), tpm=False, keys=keyed.shown(),
        )  # fmt: skip

    def _measure(self) -> tuple[Measured, ...]:
        """One line a time: no two measurements are the same."""
        return (self.measured.pop(0),)

    def _key(self):
        self.made_keys += 1
        return KEYS[self.made_keys % len(KEYS)]

    def _wait(self, seconds: float) -> None:
        self.waits += int(seconds)


GIVEN = Bench().given()
