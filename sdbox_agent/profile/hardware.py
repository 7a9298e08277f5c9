"""What a profile may say of the machine around reader and sensor: each a table of its own.

A key that is left out is *not known*; nothing here has a guess for a default. Pure.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

UsbId = Annotated[str, Meta(pattern=r"^[0-9a-f]{4}:[0-9a-f]{4}\Z")]
# Printed on terminals: no control character, line separator, or mark that turns the writing.
ONE_LINE: Final = r"^[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]*\Z"
Label = Annotated[str, Meta(min_length=1, max_length=100, pattern=ONE_LINE)]
Fact = Annotated[str, Meta(min_length=1, max_length=300, pattern=ONE_LINE)]
Facts = Annotated[tuple[Fact, ...], Meta(max_length=8)]
# Devicetree Specification v0.4 section 2.3.1: "manufacturer,model"
Compatible = Annotated[
    str, Meta(max_length=100, pattern=r"^[a-z0-9][a-z0-9.+_-]*,[a-z0-9][a-z0-9.+_-]*\Z")
]


class Closed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """No unknown key is let in."""


class Dmi(Closed, frozen=True, kw_only=True):
    """A machine as its firmware names it: SMBIOS 3.x section 7.2, Manufacturer and Product Name."""

    vendor: Label
    product: Label


class Board(Closed, frozen=True, kw_only=True):
    """The machine a box is built on. It is this model if any of the names is the machine's own."""

    dmi: Annotated[tuple[Dmi, ...], Meta(max_length=8)] = ()
    device_tree: Annotated[tuple[Compatible, ...], Meta(max_length=8)] = ()
    sources: Facts = ()


class Clock(Closed, frozen=True, kw_only=True):
    """Whether the machine knows the time when it starts without a network."""

    battery: bool | None = None


class Tpm(Closed, frozen=True, kw_only=True):
    """The chip that could hold the box's key."""

    version: Literal["none", "2.0"] | None = None


class Panel(Closed, frozen=True, kw_only=True):
    """What people at the box look at."""

    screen: bool | None = None


class Usb(Closed, frozen=True, kw_only=True):
    """What else may be plugged in, or is soldered to the board: ids beyond reader and sensor."""

    allow: Annotated[tuple[UsbId, ...], Meta(max_length=16)] = ()
