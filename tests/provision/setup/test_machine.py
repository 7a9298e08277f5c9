"""The machine: what is told the kernel and systemd, and a disk that does not run."""

from pathlib import Path

import pytest

from sdbox_agent.errors import Fault
from sdbox_agent.paths import Paths
from sdbox_agent.provision.doctor.parts import STARTED_AT_BOOT
from sdbox_agent.provision.setup import command, machine
from sdbox_agent.provision.setup.machine import Machine, Models

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "firmware_profiles"
KEYS = "ABCDE-ABCDE-ABCDE-ABCDE"


class Running(Machine):
    """As if this root were the machine's own."""

    running = True  # type: ignore[assignment]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The commands; every one ends well."""
    heard: list[tuple[str, ...]] = []

    def hear(*argv: str) -> int:
        heard.append(argv)
        return 0

    monkeypatch.setattr(command, "said", hear)
    return heard


def write(path: Path, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def installed(root: Path) -> None:
    for unit in STARTED_AT_BOOT:
        write(root / "lib/systemd/system" / unit, (ROOT / "systemd" / unit).read_text())


def test_a_disk_that_does_not_run_is_settled_and_told_nothing(tmp_path: Path, said) -> None:
    one = Machine(tmp_path)
    assert not one.running
    assert one.settled()
    one.settle()
    assert said == []


def test_units_are_enabled_on_a_disk_and_disabled_again(tmp_path: Path) -> None:
    one = Machine(tmp_path)
    with pytest.raises(Fault, match="unit-missing"):
        one.enable(STARTED_AT_BOOT)
    installed(tmp_path)
    assert not one.enabled(STARTED_AT_BOOT)
    one.enable(STARTED_AT_BOOT)
    assert one.enabled(STARTED_AT_BOOT)
    assert not one.disabled(STARTED_AT_BOOT, ())
    one.disable(STARTED_AT_BOOT, ())
    assert one.disabled(STARTED_AT_BOOT, ())
    Machine(tmp_path / "empty").disable(STARTED_AT_BOOT, ())


SETTLED = {
    "proc/swaps": "Filename Type Size Used Priority\n",
    "proc/sys/kernel/core_pattern": "|/bin/false\n",
    "usr/sbin/update-grub": "",
    "boot/grub/grub.cfg": "linux /vmlinuz init_on_free=1 nohibernate\n",
}


@pytest.mark.parametrize(
    ("name", "text", "settled"),
    [
        ("proc/swaps", SETTLED["proc/swaps"], True),
        ("proc/swaps", SETTLED["proc/swaps"] + "/dev/b partition 1 0 -2\n", False),
        ("proc/sys/kernel/core_pattern", "core\n", False),
        ("boot/grub/grub.cfg", "linux /vmlinuz\n", False),
    ],
)
def test_a_running_machine_is_asked(tmp_path: Path, name: str, text: str, *, settled: bool) -> None:
    for each, fine in SETTLED.items():
        write(tmp_path / each, fine)
    write(tmp_path / name, text)
    assert Running(tmp_path).settled() is settled


def test_without_grub_nobody_is_asked_for_its_words(tmp_path: Path) -> None:
    for each in ("proc/swaps", "proc/sys/kernel/core_pattern"):
        write(tmp_path / each, SETTLED[each])
    assert Running(tmp_path).settled()


@pytest.mark.parametrize("grub", [True, False])
def test_a_running_machine_is_told(tmp_path: Path, said, *, grub: bool) -> None:
    for each in ("usr/sbin/update-grub", "boot/grub/grub.cfg") if grub else ():
        write(tmp_path / each)
    Running(tmp_path).settle()
    assert [Path(argv[0]).name for argv in said] == [
        "systemd-sysctl", "swapoff", "systemctl", *(["update-grub"] if grub else []),
    ]  # fmt: skip


def test_running_units_are_started_seen_and_stopped(tmp_path: Path, said) -> None:
    installed(tmp_path)
    one = Running(tmp_path)
    one.enable(STARTED_AT_BOOT)
    assert said[-1] == (machine.SYSTEMCTL, "start", *STARTED_AT_BOOT)
    for target in ("multi-user.target.wants",):
        for unit in STARTED_AT_BOOT:
            write(tmp_path / "etc/systemd/system" / target / unit)
    assert one.enabled(STARTED_AT_BOOT)
    asked = {argv[-1] for argv in said if "is-active" in argv}
    assert asked == set(STARTED_AT_BOOT) - {"sdbox-console.service"}
    one.disable(STARTED_AT_BOOT, ("sdbox-walls.service",))
    assert said[-1][:2] == (machine.SYSTEMCTL, "stop")
    assert "sdbox-walls.service" not in said[-1]
    assert "sdbox-finger@*" in said[-1]
    assert "sdbox-renew.service" in said[-1], "what a stopped timer has started goes on"


def test_one_unit_that_does_not_run_is_missed_among_those_that_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for unit in STARTED_AT_BOOT:
        write(tmp_path / "etc/systemd/system/multi-user.target.wants" / unit)
    down = "sdbox-agent.service"
    monkeypatch.setattr(command, "said", lambda *argv: 3 if argv[-1] == down else 0)
    assert not Running(tmp_path).enabled(STARTED_AT_BOOT)
    others = [unit for unit in STARTED_AT_BOOT if unit != down]
    assert Running(tmp_path).enabled(others)


def test_running_units_that_still_run_are_not_disabled(tmp_path: Path, said) -> None:
    one = Running(tmp_path)
    assert not one.disabled(STARTED_AT_BOOT, ())
    assert one.disabled(STARTED_AT_BOOT, STARTED_AT_BOOT)


def test_profiles_and_what_the_centre_is_told(tmp_path: Path) -> None:
    models = Models(Paths(tmp_path), SHIPPED)
    assert models.fitting() == ()
    report = models.report("box-07", "virtual", KEYS)
    assert (report.box, report.profile, report.keys) == ("box-07", "virtual", KEYS)
    assert report.machine == ""
