"""USB devices: the profile's let in and no other, but nothing taken away that somebody uses."""

from dataclasses import replace

import pytest

from sdbox_agent.errors import Fault
from sdbox_agent.paths import Paths
from sdbox_agent.profile.schema import parse_profile
from sdbox_agent.profile.usbdevices import UsbDevice
from sdbox_agent.profile.usbrules import UsbRules
from sdbox_agent.provision.setup import step
from sdbox_agent.provision.setup.step import NOTHING, Result
from sdbox_agent.provision.setup.tree import put
from sdbox_agent.provision.setup.usbruling import DIRECTORY, FILE, Ruled, Unruled, UsbInUse
from tests.provision.setup.disk import ModelTree
from tests.provision.setup.machine_double import (
    KEYBOARD,
    PLACES,
    READER,
    RULES,
    SHIPPED,
    STICK,
    Bench,
    FakeUsb,
)


def ruled(usb: FakeUsb, rules: UsbRules = RULES) -> tuple[ModelTree, Ruled]:
    tree = ModelTree()
    usb.read, usb.rules = (lambda: Bench.written(tree)), rules
    return tree, Ruled(tree, PLACES, lambda: rules, usb)


def test_the_file_is_where_udev_and_the_profile_command_look(tmp_path) -> None:
    assert tmp_path / DIRECTORY / FILE == Paths(tmp_path).usb_rules


def test_the_rules_are_written_and_obeyed_and_then_it_is_so() -> None:
    usb = FakeUsb([READER, STICK])
    _, made = ruled(usb)
    assert not made.holds()
    assert made.act() == NOTHING
    assert made.holds()
    assert usb.devices == [READER, replace(STICK, let_in=False)]


def test_where_udev_does_not_rule_the_file_is_all() -> None:
    usb = FakeUsb([STICK], {"1-2": ("disk sda1",)}, governed=False)
    usb.devices = []  # as the real one says
    tree, made = ruled(usb)
    made.act()
    assert made.holds()
    assert Bench.written(tree) == RULES.text.encode()
    assert not usb.shut


@pytest.mark.parametrize(
    ("device", "use"),
    [(KEYBOARD, "keyboard"), (STICK, "disk sda1"), (replace(STICK, port="2-1"), "network eth0")],
    ids=["keyboard", "disk", "network"],
)
def test_what_somebody_depends_on_is_not_taken_away(device, use: str) -> None:
    usb = FakeUsb([READER, device], {device.port: (use,), "1-1": ("nothing",)})
    tree, made = ruled(usb)
    for ask in (made.holds, made.act):
        with pytest.raises(UsbInUse, match="usb-in-use") as caught:
            ask()
        lines = caught.value.diagnosis.splitlines()
        assert lines[0] == f"{device.port} {device.usb_id}: {use}"
        assert lines[-1] == f'allow = ["{device.usb_id}"]'
    assert (Bench.written(tree), usb.shut, usb.devices[-1].let_in) == (None, False, True)


def test_a_hub_that_is_refused_takes_what_hangs_on_it() -> None:
    """One that has a disk in its belly is no hub to the rules."""
    odd = UsbDevice("1-3", "05e3:0608", hub=True, interfaces=("090000", "080650"))
    usb = FakeUsb([odd, KEYBOARD], {"1-3": ("keyboard",), "1-3.1": ("keyboard",)})
    allows = UsbRules(
        parse_profile(
            (SHIPPED / "wyse-5070-scr3310-u4500.toml").read_bytes()
            + b'\n[usb]\nallow = ["046d:c31c"]\n'
        ),
        RULES.sensor,
    )
    _, made = ruled(usb, allows)
    with pytest.raises(UsbInUse) as caught:
        made.holds()
    assert caught.value.diagnosis.splitlines()[0].startswith("1-3 ")


def test_what_the_remedy_says_lets_it_in() -> None:
    usb = FakeUsb([KEYBOARD], {"1-3.1": ("keyboard",)})
    with pytest.raises(UsbInUse) as caught:
        ruled(usb)[1].holds()
    file, *drop_in = caught.value.diagnosis.splitlines()[1:]
    assert file == "/etc/sdbox/profile.d/50-usb.toml:"
    base = (SHIPPED / "wyse-5070-scr3310-u4500.toml").read_text()
    more = UsbRules(parse_profile("\n".join((base, *drop_in)).encode()), RULES.sensor)
    _, made = ruled(usb, more)
    made.act()
    assert made.holds()
    assert usb.devices == [KEYBOARD]


def test_what_is_plugged_in_later_and_refused_leaves_it_so() -> None:
    usb = FakeUsb([READER])
    _, made = ruled(usb)
    made.act()
    usb.devices.append(replace(KEYBOARD, let_in=False))
    assert made.holds()
    usb.devices[-1] = KEYBOARD  # somebody has let it in by hand
    assert not made.holds()


def test_what_the_kernel_does_not_do_is_told() -> None:
    usb = FakeUsb([STICK], deaf=True)
    _, made = ruled(usb)
    with pytest.raises(Fault, match="usb-rules-idle"):
        made.act()
    assert not made.holds(), "and the next run goes on with it"
    usb.deaf = False
    made.act()
    assert made.holds()


def test_another_profiles_rules_are_replaced() -> None:
    usb = FakeUsb()
    tree, made = ruled(usb)
    put(tree, PLACES.system(DIRECTORY), FILE, b"# of another profile")
    assert not made.holds()
    made.act()
    assert Bench.written(tree) == RULES.text.encode()


@pytest.mark.parametrize("governed", [True, False])
def test_a_machine_that_is_no_box_any_more_lets_all_in(*, governed: bool) -> None:
    usb = FakeUsb([READER, STICK])
    tree, made = ruled(usb)
    made.act()
    usb.governed = governed
    freed = Unruled(tree, PLACES, usb)
    assert not freed.holds()
    freed.act()
    assert freed.holds()
    assert Bench.written(tree) is None
    assert all(each.let_in for each in usb.devices) is governed


def test_a_cut_between_file_and_kernel_is_gone_on_with() -> None:
    usb = FakeUsb([STICK])
    tree, made = ruled(usb)
    made.act()
    tree.remove(PLACES.system(DIRECTORY), FILE)
    freed = Unruled(tree, PLACES, usb)
    assert not freed.holds()
    freed.act()
    assert usb.devices == [STICK]


def test_in_a_run_it_comes_before_the_units_and_a_dry_run_tells_what_it_would_refuse() -> None:
    bench, tree = Bench(), ModelTree()
    names = [one.name for one in bench.setup(tree)]
    assert names.index("usb") == names.index("units") - 1
    bench.usb = FakeUsb([KEYBOARD], {"1-3.1": ("keyboard",)})
    told = {one.step: one for one in step.run(bench.setup(tree), dry=True)}
    assert (told["usb"].result, told["usb"].code) == (Result.FAILED, "usb-in-use")
    assert tree.contents() == {}
    *_, last = step.run(bench.setup(tree), dry=False)
    assert (last.step, last.code, bench.system.on) == ("usb", "usb-in-use", set())
