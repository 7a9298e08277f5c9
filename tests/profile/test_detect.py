"""The profile of a machine is found by its own names and by what is plugged in."""

from pathlib import Path

import msgspec
import pytest

from sdbox_agent.profile import detect, load
from sdbox_agent.profile.machine import Machine

SHIPPED = Path(__file__).parents[2] / "firmware_profiles"
NAMES = [name for name in load.names([SHIPPED]) if name != "virtual"]
ALL = [
    (profile, load.find_sensor(profile, [SHIPPED]))
    for profile in (load.load_profile(name, [SHIPPED]) for name in NAMES)
]


def machine_of(name: str) -> Machine:
    """As the profile describes it, with one of each of its devices."""
    profile, sensor = next(pair for pair in ALL if pair[0].name == name)
    dmi = profile.board.dmi
    return Machine(
        vendor=dmi[0].vendor if dmi else "",
        product=dmi[0].product if dmi else "",
        compatible=(*profile.board.device_tree, "brcm,soc"),
        usb=(profile.reader.usb[0], sensor.usb[0]),
    )


@pytest.mark.parametrize("name", NAMES)
def test_each_machine_is_told_by_its_own_profile_first(name: str) -> None:
    first, second, *_ = detect.fits(ALL, machine_of(name))
    assert first.profile == name
    assert (first.board, bool(first.reader), bool(first.sensor)) == (True, True, True)
    assert first.fits == first.usable
    assert not second.fits, "two profiles can't be told apart"


def test_a_profile_fits_only_with_board_reader_and_sensor() -> None:
    whole = machine_of("wyse-5070-scr3310-u4000")
    assert detect.fits(ALL, whole)[0].fits
    for less in (
        Machine(usb=whole.usb),
        Machine(vendor=whole.vendor, product=whole.product, usb=whole.usb[:1]),
        Machine(vendor=whole.vendor, product=whole.product, usb=whole.usb[1:]),
        Machine(vendor=whole.vendor, product="Wyse 5070", usb=whole.usb),
        Machine(),
    ):
        assert not any(fit.fits for fit in detect.fits(ALL, less))


def test_what_it_does_not_let_in_is_named() -> None:
    whole = machine_of("wyse-5070-scr3310-u4000")
    more = Machine(vendor=whole.vendor, product=whole.product, usb=(*whole.usb, "0781:5567"))
    assert detect.fits(ALL, more)[0].foreign == ("0781:5567",)


@pytest.mark.parametrize(
    ("facts", "here", "word"),
    [
        ({"tpm": {"version": "2.0"}}, {}, "tpm-missing"),
        ({"tpm": {"version": "none"}}, {"tpm": True}, "tpm-there"),
        ({"clock": {"battery": True}}, {}, "clock-missing"),
        ({"panel": {"screen": True}}, {}, "screen-missing"),
        ({"tpm": {"version": "2.0"}}, {"tpm": True}, None),
        ({"clock": {"battery": True}}, {"clock": True}, None),
        ({"panel": {"screen": True}}, {"screen": True}, None),
        ({}, {"tpm": True, "clock": True, "screen": True}, None),
    ],
)
def test_what_the_machine_has_otherwise_is_told(
    facts: dict[str, object], here: dict[str, bool], word: str | None
) -> None:
    profile, sensor = next(pair for pair in ALL if pair[0].name == "wyse-5070-scr3310-u4000")
    told = msgspec.convert(msgspec.to_builtins(profile) | facts, type(profile))
    (fit,) = detect.fits([(told, sensor)], Machine(**here))
    assert fit.differs == (() if word is None else (word,))
