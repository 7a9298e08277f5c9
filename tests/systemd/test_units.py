"""The units: systemd takes them, they stay closed, and they agree with each other."""

import configparser
import json
import re
import shutil
import subprocess
import sys
from ipaddress import collapse_addresses, ip_address, ip_network
from pathlib import Path

import pytest

from sdbox_agent.paths import Paths
from sdbox_agent.tunnel.config import CARRIER_UID

ROOT = Path(__file__).parents[2]
UNITS = sorted(
    path for kind in ("service", "socket", "timer") for path in ROOT.glob(f"systemd/*.{kind}")
)
PYTHON = "/usr/lib/sdbox-agent/bin/python"
# Exposure as `systemd-analyze security` counts it, times ten.
EXPOSURE = {
    "sdbox-agent.service": 12,
    "sdbox-card.service": 5,
    "sdbox-carrier@.service": 12,
    "sdbox-console.service": 5,
    "sdbox-finger@.service": 6,
    "sdbox-netns.service": 35,  # root's, and without a mount namespace: the unit says why
    "sdbox-renew.service": 12,
    "sdbox-tunnel.service": 18,
    "sdbox-walls.service": 13,
}
UIDS = {
    "sdbox": 61001,
    "sdbox-card": 61002,
    "sdbox-finger": 61003,
    "sdbox-tunnel": 61004,
    "sdbox-prompt": 61006,
    "sdbox-walls": 61008,
    "sdbox-console": 61009,
    "sdbox-carrier": CARRIER_UID,
    "sdbox-pcscd": 61010,
}
systemd_analyze = pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed"
)


class _Many(dict[str, object]):
    """Unit files repeat keys: keep every value."""

    def __setitem__(self, key: str, value: object) -> None:
        if isinstance(value, list) and isinstance(self.get(key), list):
            value = [*self[key], *value]  # type: ignore[misc]
        super().__setitem__(key, value)


def read(name: str) -> dict[str, dict[str, list[str]]]:
    parser = configparser.RawConfigParser(
        strict=False, dict_type=_Many, interpolation=None, delimiters=("=",)
    )
    parser.optionxform = str  # type: ignore[method-assign, assignment]
    parser.read(ROOT / "systemd" / name, encoding="utf-8")
    return {s: {k: v.split("\n") for k, v in parser[s].items()} for s in parser.sections()}


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Copies whose interpreter exists here."""
    for unit in UNITS:
        text = unit.read_text("utf-8").replace(PYTHON, "/usr/bin/python3")
        (tmp_path / unit.name).write_text(text, "utf-8")
    return tmp_path


def verify(directory: Path) -> subprocess.CompletedProcess[str]:
    names = sorted(path.name for path in directory.iterdir())
    return subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *names],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
        cwd=directory,
    )


@systemd_analyze
def test_systemd_takes_every_unit_without_a_word(installed: Path) -> None:
    done = verify(installed)
    assert (done.returncode, done.stderr) == (0, "")


@systemd_analyze
def test_that_check_bites(installed: Path) -> None:
    unit = installed / "sdbox-card.service"
    unit.write_text(unit.read_text("utf-8").replace("PrivateNetwork=", "PrivateNetwrok="), "utf-8")
    done = verify(installed)
    assert "PrivateNetwrok" in done.stderr


@systemd_analyze
@pytest.mark.parametrize("name", EXPOSURE)
def test_the_exposure_of_a_unit_stays_below_its_bound(installed: Path, name: str) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--json=short",
         f"--threshold={EXPOSURE[name]}", name],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
        cwd=installed,
    )  # fmt: skip
    wrong = [row["name"] for row in json.loads(done.stdout) if row.get("exposure")]
    assert done.returncode == 0, (done.stderr, wrong)


def test_every_service_is_measured() -> None:
    assert set(EXPOSURE) == {unit.name for unit in UNITS if unit.suffix == ".service"}


def test_the_kernels_own_tunnels_stay_out_of_the_session_namespace() -> None:
    lines = (ROOT / "systemd/sdbox.sysctl").read_text("utf-8").splitlines()
    settings = dict(line.split(" = ") for line in lines if not line.startswith("#"))
    assert settings == {"net.core.fb_tunnels_only_for_init_net": "1", "kernel.sysrq": "0"}
    assert "systemd-sysctl.service" in read("sdbox-netns.service")["Unit"]["After"][0].split()


def test_no_key_starts_a_log_in_behind_the_console() -> None:
    """logind.conf(5): with no screens of its own, and none kept, it starts no getty by itself."""
    text = (ROOT / "systemd/logind.conf.d/sdbox.conf").read_text("utf-8")
    login = configparser.ConfigParser()
    login.read_string(text)
    assert dict(login["Login"]) == {"nautovts": "0", "reservevt": "0"}
    assert read("sdbox-console.service")["Unit"]["Conflicts"] == ["getty@tty1.service"]


def test_units_users_and_peer_numbers_agree() -> None:
    text = (ROOT / "systemd/sdbox.sysusers").read_text("utf-8")
    assert dict(re.findall(r"^u (\S+)\s+(\d+)", text, re.MULTILINE)) == {
        name: str(uid) for name, uid in UIDS.items()
    }
    for worker, peers in (
        ("card", "core finger prompt"),
        ("finger@", "core card"),
        ("tunnel", "core"),
        ("carrier@", "tunnel"),
    ):
        (command,) = read(f"sdbox-{worker}.service")["Service"]["ExecStart"]
        for peer in peers.split():
            user = "sdbox" if peer == "core" else f"sdbox-{peer}"
            assert f"--{peer}-uid {UIDS[user]}" in command, worker


@pytest.mark.parametrize(
    "name", ["sdbox-card", "sdbox-carrier@", "sdbox-finger@", "sdbox-tunnel", "sdbox-agent"]
)
def test_no_unit_hides_the_uids_of_its_peers(name: str) -> None:
    """With PrivateUsers= the kernel would name every other end 65534, and we refuse that."""
    assert "PrivateUsers" not in read(f"{name}.service")["Service"]


@pytest.mark.parametrize("name", ["sdbox-card", "sdbox-carrier", "sdbox-finger", "sdbox-tunnel"])
def test_every_socket_names_its_senders_and_is_for_its_peers_alone(name: str) -> None:
    section = read(f"{name}.socket")["Socket"]
    assert section["PassCredentials"] == ["yes"]
    assert section["SocketMode"] in (["0600"], ["0660"])
    assert "SocketUser" in section or "SocketGroup" in section


def test_the_core_has_the_security_chip_and_no_other_device() -> None:
    section = read("sdbox-agent.service")["Service"]
    assert section["DeviceAllow"] == [f"{Paths(Path('/')).tpm} rw"]
    assert section["BindPaths"] == [f"-{Paths(Path('/')).tpm}"]  # a box without one starts too
    assert section["PrivateDevices"] == ["yes"]
    assert section["SupplementaryGroups"] == ["tss"]


def test_the_console_may_watch_and_has_nothing_but_its_terminal() -> None:
    (command,) = read("sdbox-agent.service")["Service"]["ExecStart"]
    watchers = {int(uid) for uid in re.findall(r"--watcher (\d+)", command)}
    assert watchers == {UIDS["sdbox-prompt"], UIDS["sdbox-console"]}
    unit = read("sdbox-console.service")
    section = unit["Service"]
    assert section["DeviceAllow"] == [f"{section['TTYPath'][0]} rw"]
    assert section["PrivateNetwork"] == ["yes"]
    assert section["RestrictAddressFamilies"] == ["AF_UNIX"]
    assert section["CapabilityBoundingSet"] == [""]
    assert unit["Unit"]["Conflicts"] == ["getty@tty1.service"]


def test_sockets_lie_where_the_agent_looks_for_them_and_in_the_workers_order() -> None:
    paths = Paths(Path("/"))
    listens = {
        name: read(f"sdbox-{name}.socket")["Socket"]["ListenSequentialPacket"]
        for name in ("card", "carrier", "finger", "tunnel")
    }
    assert listens == {
        "card": [str(paths.card_socket), str(paths.unwrap_socket), str(paths.pin_socket)],
        "carrier": [str(paths.carrier_socket)],
        "finger": [str(paths.finger_socket)],
        "tunnel": [str(paths.tunnel_socket)],
    }


def test_who_holds_key_material_is_never_swapped_or_dumped() -> None:
    for name in ("sdbox-card", "sdbox-finger@", "sdbox-tunnel"):
        section = read(f"{name}.service")["Service"]
        assert section["LimitCORE"] == ["0"]
        assert section["LimitMEMLOCK"] == ["infinity"]
        assert section["MemorySwapMax"] == ["0"]
    core = read("sdbox-agent.service")["Service"]  # its TLS key, where that is in no file
    assert (core["LimitCORE"], core["MemorySwapMax"]) == (["0"], ["0"])


FREED = {
    "by C code": "f = c.CDLL(None); f.malloc.restype = c.c_void_p; p = c.c_void_p(f.malloc(64)); "
    "c.memmove(p, b'k' * 64, 64); f.free(p); print(c.string_at(p, 64).count(b'k'))",
    "by Python": "s = b'k' * int(64); p = id(s) + 32; del s; print(c.string_at(p, 64).count(b'k'))",
}


@pytest.mark.parametrize("whose", FREED)
def test_what_is_freed_in_the_card_worker_is_filled(whose: str) -> None:
    """By the interpreter that the unit starts, with its options and its environment."""
    unit = read("sdbox-card.service")["Service"]
    python, *words = unit["ExecStart"][0].split()
    options = words[: words.index("-m")]
    assert python == PYTHON
    assert options == ["-P", "-s"], "of -I all but -E, which would not see PYTHONMALLOC"
    environment = dict(line.split("=", 1) for line in unit["Environment"])

    def left(environment: dict[str, str]) -> int:
        command = [sys.executable, *options, "-c", "import ctypes as c; " + FREED[whose]]
        return int(subprocess.check_output(command, env=environment))

    assert left(environment) == 0
    assert left({}) > 32, "or this could not fail"


def test_only_the_tunnel_helper_has_a_capability_and_card_and_finger_have_no_network() -> None:
    for name in ("sdbox-agent", "sdbox-card", "sdbox-carrier@", "sdbox-finger@"):
        section = read(f"{name}.service")["Service"]
        assert section["CapabilityBoundingSet"] == [""]
        assert "AmbientCapabilities" not in section
    for name in ("sdbox-card", "sdbox-finger@"):
        section = read(f"{name}.service")["Service"]
        assert section["PrivateNetwork"] == ["yes"]
        assert not any("AF_INET" in families for families in section["RestrictAddressFamilies"])
    tunnel = read("sdbox-tunnel.service")["Service"]
    assert tunnel["AmbientCapabilities"] == tunnel["CapabilityBoundingSet"] == ["CAP_NET_ADMIN"]


@pytest.mark.parametrize("name", ["sdbox-agent", "sdbox-carrier@"])
def test_who_talks_to_the_internet_may_talk_to_all_of_it_and_not_to_this_box(name: str) -> None:
    section = read(f"{name}.service")["Service"]
    assert section["IPAddressDeny"] == ["any"]
    allowed = [ip_network(word) for line in section["IPAddressAllow"] for word in line.split()]
    four = collapse_addresses(net for net in allowed if net.version == 4)
    every = ip_network("0.0.0.0/0")
    refused = [ip_network("0.0.0.0/8"), ip_network("127.0.0.0/8"), ip_network("224.0.0.0/3")]
    assert sum(net.num_addresses for net in [*four, *refused]) == every.num_addresses
    assert not any(net.overlaps(other) for net in allowed if net.version == 4 for other in refused)
    six = [net for net in allowed if net.version == 6]
    for address, is_allowed in (
        ("2001:db8::1", True), ("fd00::1", True), ("::1", False), ("fe80::1", False),
        ("ff02::1", False), ("::ffff:127.0.0.1", False),
    ):  # fmt: skip
        assert any(ip_address(address) in net for net in six) == is_allowed, address


def test_who_is_watched_says_when_it_is_ready_and_is_started_again() -> None:
    """And nobody else's word counts; what is not watched has nothing that could hang unseen."""
    watched = {unit.name: read(unit.name)["Service"] for unit in UNITS if unit.suffix == ".service"}
    limits = {name: one["WatchdogSec"] for name, one in watched.items() if "WatchdogSec" in one}
    assert limits == {"sdbox-agent.service": ["30"], "sdbox-tunnel.service": ["15"]}
    for name in limits:
        assert watched[name]["Type"] == ["notify"]
        assert watched[name]["Restart"] == ["always"]
        assert watched[name].get("NotifyAccess", ["main"])[0] in {"main", "exec"}
    tellers = {name for name, one in watched.items() if one["Type"] == ["notify"]}
    assert tellers == {*limits, "sdbox-walls.service"}


def test_who_hangs_is_killed_and_not_asked_first() -> None:
    """SIGABRT would wait TimeoutStopSec= for a process that answers nobody."""
    for name in ("sdbox-agent", "sdbox-tunnel"):
        assert read(f"{name}.service")["Service"]["WatchdogSignal"] == ["SIGKILL"]


@pytest.mark.parametrize("name", sorted(EXPOSURE.keys() - {"sdbox-netns.service"}))
def test_a_unit_sees_the_programs_it_runs_and_no_other(name: str) -> None:
    """And nothing runs from where it may write. What that comes to: tests/boot/test_denials.py."""
    section = read(name)["Service"]
    assert section["TemporaryFileSystem"] == ["/usr/bin:ro /usr/sbin:ro"]
    shown = section["BindReadOnlyPaths"][0].split()
    assert shown[0] == "/usr/bin/python3.11:/usr/bin/python3"
    assert set(shown[1:]) <= {"/usr/bin/wireguard-go", "/usr/sbin/ldconfig", "/usr/sbin/nft"}
    written = {"/tmp", "/var/tmp", "/dev/shm", *section.get("ReadWritePaths", [])}
    pairs = (pair.split(":") for pair in section.get("BindPaths", []) if "/dev/" not in pair)
    written |= {pair[1] for pair in pairs}
    for key, parent in (("StateDirectory", "/var/lib"), ("RuntimeDirectory", "/run")):
        written |= {f"{parent}/{own}" for own in section.get(key, [])}
    assert set(section["NoExecPaths"][0].split()) == written


def test_nothing_starts_without_its_walls() -> None:
    for name in ("sdbox-agent", "sdbox-carrier@", "sdbox-tunnel"):
        unit = read(f"{name}.service")["Unit"]
        for key in ("Requires", "After"):
            assert "sdbox-walls.service" in " ".join(unit[key])
    assert "network-pre.target" in read("sdbox-walls.service")["Unit"]["Before"][0]
