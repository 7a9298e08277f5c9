"""A newer package on a box that runs, and a purge of it. The last of the booted tests."""

import shutil
import subprocess
from pathlib import Path

from hil.package import trial
from sdbox_agent.provision.doctor.parts import STARTED_AT_BOOT
from tests.boot.bench import Bench
from tests.waiting import until

NEWER = "root/newer.deb"
KEPT = ("etc/sdbox", "var/lib/sdbox")
# Written by what runs, whether or not there is a package of ours: systemd, its journal, apt.
RUNNING = ("run/", "var/lib/systemd/", "var/lib/apt/", "var/tmp/", "root/", "home/")
RIGS = {
    "etc/systemd/network/uplink.network",
    "etc/systemd/journald.conf.d",
    "etc/systemd/journald.conf.d/bound.conf",
    "etc/tmpfiles.d/rig.conf",
    "etc/systemd/system/pcscd.service.d",
    "etc/systemd/system/pcscd.service.d/rig.conf",
}
NETWORKD = "network"  # what enabling systemd-networkd has made


def digests(root: Path) -> dict[str, bytes]:
    """Settings, keys and state; not the record, which grows with each start."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for top in KEPT
        for path in sorted((root / top).rglob("*"))
        if path.is_file() and "audit" not in path.name
    }


def test_an_upgrade_keeps_settings_and_state_and_the_box_goes_on(
    bench: Bench, tmp_path: Path
) -> None:
    bench.whole()
    root = bench.machine.root
    (old,) = (root / "root").glob("*.deb")
    trial.newer(old, tmp_path / "newer.deb")
    shutil.copyfile(tmp_path / "newer.deb", root / NEWER)
    settings = {name: data for name, data in digests(root).items() if name.startswith("etc/")}
    pid = bench.machine.pid("sdbox-agent.service")
    bench.machine.run("apt-get", "install", "-qq", f"/{NEWER}", within_s=300)
    said = bench.machine.run("dpkg-query", "-W", "-f", "${Version}", "sdbox-agent")
    assert said.endswith(trial.UPGRADED)
    after = digests(root)
    assert {name: after.get(name) for name in settings} == settings
    assert [name for name in after if name.startswith("var/")]
    until(lambda: bench.machine.pid("sdbox-agent.service") not in {0, pid})
    for unit in STARTED_AT_BOOT:
        until(lambda unit=unit: bench.active(unit))
    bench.whole()


def test_a_purge_leaves_nothing(bench: Bench) -> None:
    bench.machine.run("sdbox-agent", "profile", "rules", "--install")
    bench.machine.run("apt-get", "purge", "-qq", "sdbox-agent", within_s=300)
    left = {
        name
        for name in trial.files(bench.machine.root) - bench.debian - RIGS
        if not name.startswith(RUNNING) and NETWORKD not in name
    }
    assert left == set()
    ours = {name for name in trial.files(bench.machine.root) if "sdbox" in name}
    assert {name for name in ours if not name.startswith("root/")} == set(), "but the packages"
    now = trial.accounts(bench.machine.root)
    assert {name: now[name] ^ before for name, before in bench.accounts.items()} == {
        name: set() for name in now
    }
    units = bench.machine.run("systemctl", "list-units", "--all", "--no-legend", "sdbox-*")
    assert "loaded active running" not in units
    remaining = subprocess.run(
        ["ps", "-o", "pid=", "-u", ",".join(str(uid) for uid in range(61001, 61011))],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    mine = [pid for pid in remaining.stdout.split() if bench.machine.holds(Path(f"/proc/{pid}"))]
    assert mine == []
