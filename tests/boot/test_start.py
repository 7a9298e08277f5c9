"""A box that has been booted: what stands, in which order, as whom."""

import json

import pytest

from hil.boot import probe
from hil.boot.box import DROP_INS
from sdbox_agent import screen
from sdbox_agent.provision.doctor.parts import STARTED_AT_BOOT
from tests.boot.bench import FIGURES, Bench
from tests.waiting import until

SERVICES = {
    "sdbox-agent": "sdbox",
    "sdbox-card": "sdbox-card",
    "sdbox-console": "sdbox-console",
    "sdbox-tunnel": "sdbox-tunnel",
    "sdbox-walls": "sdbox-walls",
    "pcscd": "sdbox-pcscd",
}
READY_S = 1.0
# systemd's catalogue: a start job begins, and is done
STARTING, STARTED = "7d4958e842da4a758f6c1cdc7b36dcc5", "39f53479d3a045ac8e11786248231fbf"
# What is the host's kernel's, or its disk's, and not this Debian's.
RIGS = {"rig-mark"}  # its mark is there, and says what it lets in
HOSTS = {"hibernation", "core-dumps", "freed-memory", "data-partition", "swap"}


def moment(bench: Bench, unit: str, what: str = "ActiveEnter") -> int:
    """Microseconds since the kernel started."""
    at = int(bench.machine.show(unit)[f"{what}TimestampMonotonic"])
    assert at, f"{unit}: never"
    return at


@pytest.mark.parametrize("unit", [*STARTED_AT_BOOT, "sdbox-netns.service", "pcscd.socket"])
def test_what_is_to_stand_stands(bench: Bench, unit: str) -> None:
    until(lambda: bench.active(unit))


def test_nothing_has_failed(bench: Bench) -> None:
    assert bench.machine.run("systemctl", "list-units", "--failed", "--no-legend", "--plain") == ""


def test_the_walls_stand_before_the_network_and_the_core_after(bench: Bench) -> None:
    walls = moment(bench, "sdbox-walls.service")
    assert walls <= moment(bench, "network-pre.target")
    networkd = moment(bench, "systemd-networkd.service", "InactiveExit")
    assert walls < networkd < moment(bench, "sdbox-agent.service")
    assert moment(bench, "sdbox-netns.service") < moment(bench, "sdbox-tunnel.service")
    for name in ("card", "finger", "tunnel"):
        socket = moment(bench, f"sdbox-{name}.socket")
        assert socket < moment(bench, "sdbox-agent.service", "InactiveExit")


def test_a_start_is_ready_within_a_second(bench: Bench) -> None:
    """By the journal: the best of three, for this machine may be at something else."""
    took_s = []
    for _ in range(3):
        bench.machine.run("systemctl", "restart", "sdbox-agent.service")
        entries = bench.machine.journal("UNIT=sdbox-agent.service")
        begun, done = (
            max(int(e["__MONOTONIC_TIMESTAMP"]) for e in entries if e.get("MESSAGE_ID") == kind)
            for kind in (STARTING, STARTED)
        )
        took_s.append((done - begun) / 1e6)
    FIGURES.append(f"start to READY: {', '.join(f'{each:.2f}' for each in took_s)} s")
    assert min(took_s) <= READY_S


@pytest.mark.parametrize(("unit", "user"), SERVICES.items())
def test_each_runs_as_its_own_user(bench: Bench, unit: str, user: str) -> None:
    pid = until(lambda: bench.machine.pid(f"{unit}.service"))
    number = bench.machine.run("id", "-u", user).strip()
    held = probe.held(f"/proc/{pid}")
    assert set(held["Uid"]) == {number}
    assert held["NoNewPrivs"] == ["1"]


@pytest.mark.parametrize(
    ("path", "mode", "owner"),
    [
        ("etc/sdbox", 0o755, 0),
        ("etc/sdbox/identity", 0o700, 61001),
        ("var/lib/sdbox", 0o700, 61001),
        ("run/sdbox/agent.sock", 0o666, 61001),
        ("run/sdbox-card/core.sock", 0o660, 0),
        ("run/sdbox-finger/core.sock", 0o600, 61001),
        ("run/sdbox-tunnel/core.sock", 0o600, 61001),
        ("run/sdbox-tunnel", 0o711, 61004),
        ("run/pcscd/pcscd.comm", 0o600, 61002),
    ],
)
def test_files_and_sockets_are_whose_they_should_be(
    bench: Bench, path: str, mode: int, owner: int
) -> None:
    seen = (bench.machine.root / path).stat()
    assert (oct(seen.st_mode & 0o777), seen.st_uid) == (oct(mode), owner)


def test_doctor_finds_a_fit_box(bench: Bench) -> None:
    """But for what is the host's: its kernel's command line, its disk."""
    status, said, errors = bench.machine.ask("sdbox-agent", "--language", "en", "doctor", "--json")
    findings = json.loads(said)["checks"]
    wrong = {one["check"]: one for one in findings if one["result"] in {"failed", "warn"}}
    assert wrong.keys() <= HOSTS | RIGS, (status, wrong, errors)
    seen = {one["check"] for one in findings if one["result"] == "ok"}
    assert {"files", "settings", "users", "units", "sockets", "walls", "wireguard"} <= seen


def test_the_first_screen_asks_for_a_card(bench: Bench) -> None:
    words = screen.words("state", "idle", "en")
    bench.glass.sees(words.replace("\u2019", "'").replace("\u2026", "..."))


def test_the_rigs_own_drop_ins_are_all_there_is(bench: Bench) -> None:
    """What is measured here is what the package brings, but for the named."""
    found = sorted((bench.machine.root / DROP_INS.lstrip("/")).glob("*.d/*"))
    names = {path.parent.name for path in found}
    assert names == {"sdbox-finger@.service.d", "pcscd.service.d"}


def test_the_cable_is_up_only_because_the_box_has_brought_it_up(bench: Bench) -> None:
    assert "192.0.2.2" in bench.rig.topology.box.show("addr show dev uplink")
    bench.machine.run("systemctl", "is-active", "systemd-networkd.service")
