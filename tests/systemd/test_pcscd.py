"""Our drop-ins for Debian's pcscd, on the unit files of its package."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hil.launch import units

ROOT = Path(__file__).parents[2]
DEBIAN = Path("/lib/systemd/system")
UNITS = ("pcscd.service", "pcscd.socket")
EXPOSURE = 7  # times ten
BARE = 90  # Debian's own is above that: 9.6
pytestmark = pytest.mark.skipif(
    not shutil.which("systemd-analyze") or not (DEBIAN / "pcscd.service").exists(),
    reason="systemd-analyze and pcscd are not installed",
)


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """Debian's units with our drop-ins."""
    for name in UNITS:
        shutil.copy(DEBIAN / name, tmp_path)
        shutil.copytree(ROOT / f"systemd/{name}.d", tmp_path / f"{name}.d")
    return tmp_path


def analyze(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *words], check=False, capture_output=True, text=True, timeout=30,
        cwd=directory,
    )  # fmt: skip


def threshold(directory: Path, tenths: int) -> subprocess.CompletedProcess[str]:
    words = ("security", "--offline=true", "--json=short", f"--threshold={tenths}")
    return analyze(directory, *words, "pcscd.service")


def dropped(name: str) -> dict[str, list[str]]:
    return units.read(ROOT / f"systemd/{name}.d/sdbox.conf")


def test_systemd_takes_both_without_a_word(box: Path) -> None:
    done = analyze(box, "verify", "--man=no", "--recursive-errors=no", *UNITS)
    assert (done.returncode, done.stderr) == (0, "")


def test_that_check_bites(box: Path) -> None:
    with (box / "pcscd.service.d/sdbox.conf").open("a") as file:
        file.write("PrivateNetwrok=yes\n")
    done = analyze(box, "verify", "--man=no", "--recursive-errors=no", *UNITS)
    assert "PrivateNetwrok" in done.stderr


def test_its_exposure_stays_below_its_bound_by_our_doing(box: Path) -> None:
    done = threshold(box, EXPOSURE)
    wrong = [row["name"] for row in json.loads(done.stdout) if row.get("exposure")]
    assert done.returncode == 0, (done.stderr, wrong)
    shutil.rmtree(box / "pcscd.service.d")
    assert threshold(box, BARE).returncode != 0


def test_debians_unit_says_nothing_that_ours_would_have_to_take_back() -> None:
    """Lists add up over drop-ins: what a later package allowed would stay allowed."""
    theirs = units.read(DEBIAN / "pcscd.service")
    ours = dropped("pcscd.service")
    assert not set(theirs) & set(ours)
    (start,) = theirs["ExecStart"]
    assert start.split()[0] == "/usr/sbin/pcscd"
    assert set(theirs) <= {
        "Description", "Requires", "Documentation", "ExecStart", "ExecReload", "EnvironmentFile",
        "Also",
    }  # fmt: skip


def test_it_is_not_root_and_has_no_capability_and_no_internet() -> None:
    ours = dropped("pcscd.service")
    assert ours["User"] == ["sdbox-pcscd"]
    assert ours["CapabilityBoundingSet"] == []
    assert ours["RestrictAddressFamilies"] == ["AF_UNIX AF_NETLINK"]
    assert ours["DeviceAllow"] == ["char-usb_device rw"]


def test_it_hears_of_readers_that_are_plugged_in_later() -> None:
    """udevd tells by netlink multicast, which stays within its network namespace."""
    assert "PrivateNetwork" not in dropped("pcscd.service")


# In a network namespace of the test's: a word to udev's group, and who hears it.
TOLD = """
import socket, subprocess, sys
LISTEN = '''
import socket
with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, {netlink}) as listener:
    listener.bind((0, {group}))
    listener.settimeout(1)
    print("listening", flush=True)
    try:
        print(listener.recv(100).decode())
    except TimeoutError:
        print("nothing")
'''
command = [*sys.argv[1:], sys.executable, "-c", LISTEN]
with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as listener:
    assert listener.stdout.readline() == "listening\\n"
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, {netlink}) as udevd:
        udevd.sendto(b"a reader", (0, {group}))
    print(listener.stdout.readline(), end="")
"""
KOBJECT_UEVENT, UDEVS_GROUP = 15, 2  # linux/netlink.h; systemd's device-monitor


@pytest.mark.rig
@pytest.mark.parametrize(("prefix", "heard"), [((), "a reader"), (("unshare", "-n"), "nothing")])
def test_for_in_a_network_namespace_of_its_own_it_would_not(
    prefix: tuple[str, ...], heard: str
) -> None:
    script = TOLD.format(netlink=KOBJECT_UEVENT, group=UDEVS_GROUP)
    command = ["unshare", "-n", sys.executable, "-c", script, *prefix]
    assert subprocess.check_output(command, text=True, timeout=60) == f"{heard}\n"


def test_its_own_directory_is_its_users() -> None:
    uid = units.users(ROOT / "systemd/sdbox.sysusers")["sdbox-pcscd"]
    every = dropped("pcscd.service")["TemporaryFileSystem"]
    (private,) = (one for one in every if one.startswith("/run/pcscd:"))
    path, _, options = private.partition(":")
    assert path == str(Path(units.read(DEBIAN / "pcscd.socket")["ListenStream"][0]).parent)
    assert {f"uid={uid}", f"gid={uid}"} <= set(options.split(","))


def test_the_card_worker_alone_may_speak_to_it() -> None:
    assert dropped("pcscd.socket") == {"SocketUser": ["sdbox-card"], "SocketMode": ["0600"]}
