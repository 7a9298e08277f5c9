"""The test card is made by the desk's own code, and two fingers are enrolled to it.

Everything the person's card held is lost, so it is asked for twice. Fingers are taken by libfprint
in this process, before the box starts, and never leave it but sealed to the card.
"""

from __future__ import annotations

import os
import secrets
import time
from typing import TYPE_CHECKING, Final, cast
from uuid import uuid4

from hil.desk import kind
from hil.finger import Person as Nobody
from hil.issuing import ENROLLED_TOUCHES, Holder, now
from hil.real.person import Skip
from hil.real.stage import Skipped
from sdbox_agent.biometrics.iso19794_2_2005 import encode, record_of
from sdbox_agent.card import pcsc
from sdbox_agent.errors import AskAgain
from sdbox_agent.sensor import intake
from sdbox_agent.sensor.libfprint import LibfprintSensor
from sdbox_centre.authority import BACKDATED, CARD_LIFE
from sdbox_centre.cardorder import Order
from sdbox_centre.issuercard import PivIssuer
from sdbox_centre.personalise import Desk

if TYPE_CHECKING:
    from hil.card.card import PivCard
    from hil.issuing import Issuing
    from hil.real.hardware import Hardware
    from hil.real.person import Person
    from hil.real.stage import Robot
    from sdbox_agent.biometrics.minutia import Template
    from sdbox_agent.pki.holder import CardCertificates

NAME: Final = "test-holder-01"
KIND: Final = "piv-free"  # 9A and 9D answer without a PIN; the box compares
FINGERS: Final = {"first": 2, "second": 7}  # ISO/IEC 19794-2:2005: right and left index finger
_LOOK_S: Final = 0.2
_TOUCHES: Final = 12  # of one finger, before the person is sent away


def enrol(
    hardware: Hardware,
    issuing: Issuing,
    person: Person,
    robot: Robot | None,
    management_key: bytes,
    patience_s: float,
) -> Holder:
    """A holder whose card and fingers are real. Raises Skipped, and whatever the desk raises."""
    person.tell("insert-blank")
    if robot is not None:
        robot.perform("insert-blank")
    reader, events = _card_in(hardware, person, patience_s)
    if robot is None and not person.agrees_to_erase(patience_s):
        raise Skipped("the card may not be erased")
    certificates = _personalised(issuing, reader, events, management_key)
    templates, size = _fingers(hardware, person, robot, patience_s)
    record = encode(record_of(templates, *size))
    sealed = issuing.seal(NAME, record, tuple(FINGERS.values()), certificates)
    # Whoever really holds it is nobody the rig knows.
    return Holder(NAME, Nobody(0), cast("PivCard", None), certificates, sealed)


def _card_in(hardware: Hardware, person: Person, patience_s: float) -> tuple[str, int]:
    """A reader of the profile's, with one card in. Raises Skipped."""
    end_s = time.monotonic() + patience_s
    while time.monotonic() < end_s:
        looks = [
            look
            for look, _ in pcsc.look_now()
            if look.present and look.reader.startswith(hardware.profile.reader.names)
        ]
        if len(looks) == 1:
            return looks[0].reader, looks[0].events
        answer = person.said(_LOOK_S)
        if isinstance(answer, Skip):
            raise Skipped(answer.reason)
        time.sleep(_LOOK_S)
    raise Skipped("no card came")


def _personalised(
    issuing: Issuing, reader: str, events: int, management_key: bytes
) -> CardCertificates:
    moment = now()
    order = Order(
        kind=kind(KIND),
        guid=uuid4().bytes,
        common_name="Test holder",
        end=moment - BACKDATED + CARD_LIFE,
    )
    desk = Desk(
        connect=lambda: pcsc.Connection(reader, events),
        issuer=PivIssuer,
        management_key=management_key,
        authority=issuing.cards,
        rng=secrets.token_bytes,
    )
    return desk.personalise(order, moment).certificates


def _fingers(
    hardware: Hardware, person: Person, robot: Robot | None, patience_s: float
) -> tuple[dict[int, list[Template]], tuple[int, int]]:
    """Some impressions of each, and the images' size. Raises Skipped, Fault."""
    templates: dict[int, list[Template]] = {position: [] for position in FINGERS.values()}
    size = (0, 0)
    sensor = LibfprintSensor()
    sensor.open()
    never, kept_open = os.pipe()
    try:
        for finger, position in FINGERS.items():
            for number in range(1, ENROLLED_TOUCHES + 1):
                person.tell(
                    "enrol-finger",
                    finger=person.phrase(f"finger-{finger}"),
                    number=number,
                    count=ENROLLED_TOUCHES,
                )
                template, size = _touch(hardware, sensor, robot, finger, (patience_s, never))
                templates[position].append(template)
    finally:
        sensor.close()
        os.close(never)
        os.close(kept_open)
    return templates, size


def _touch(
    hardware: Hardware,
    sensor: LibfprintSensor,
    robot: Robot | None,
    finger: str,
    waits: tuple[float, int],
) -> tuple[Template, tuple[int, int]]:
    """One impression worth keeping. `waits`: so long, and what would interrupt it."""
    for _ in range(_TOUCHES):
        try:
            frame = sensor.capture(
                *waits, waiting=lambda: None if robot is None else robot.touch(finger)
            )
            height, width = frame.pixels.shape
            return intake.impression(frame.pixels, hardware.sensor.kind), (width, height)
        except AskAgain as again:
            if again.code == "finger-timeout":
                break
    raise Skipped("no finger good enough to enrol")
