"""The centre's units: systemd takes them, they stay closed, and agree with examples and code."""

import json
import os
import re
import shutil
import stat
import subprocess
import tomllib
from pathlib import Path

import pytest

from hil.launch import units
from hil.package import contents

ROOT = Path(__file__).parents[2]
HERE = ROOT / "systemd/centre"
SERVICES = sorted(HERE.glob("*.service"))
PYTHON = "/usr/lib/sdbox-centre/bin/python"
# Exposure as `systemd-analyze security` counts it, times ten. None shuts itself off from the
# network (0.5), from addresses (0.2) or from other uids, by which each end of a socket is known.
EXPOSURE = {
    "sdbox-centre-api.service": 14,
    "sdbox-centre-carrier.service": 14,
    "sdbox-centre-gateway.service": 17,
}
PROGRAMS = ["/usr/bin/wireguard-go", "/usr/bin/kill"]  # that a gateway starts, or its reload
USERS = units.users(HERE / "sdbox-centre.sysusers")
EXAMPLES = {
    str(path).partition("examples/")[2]: tomllib.loads(text)
    for path, text in contents.examples((ROOT / "docs/centre.md").read_text()).items()
}
analyze = pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed"
)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other users")


def read(name: str) -> dict[str, list[str]]:
    return units.read(HERE / f"sdbox-centre-{name}.service")


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Copies whose interpreter exists here."""
    for unit in SERVICES:
        text = unit.read_text().replace(PYTHON, "/usr/bin/python3")
        (tmp_path / unit.name).write_text(text)
    return tmp_path


def verify(directory: Path) -> str:
    names = sorted(path.name for path in directory.iterdir())
    words = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *names]
    done = subprocess.run(words, check=False, capture_output=True, text=True, cwd=directory)
    return done.stderr if done.stderr or not done.returncode else f"status {done.returncode}"


@analyze
def test_systemd_takes_every_unit_without_a_word(installed: Path) -> None:
    assert verify(installed) == ""


@analyze
def test_that_check_bites(installed: Path) -> None:
    unit = installed / "sdbox-centre-api.service"
    unit.write_text(unit.read_text().replace("PrivateTmp=", "PrivateTpm="))
    assert "PrivateTpm" in verify(installed)


@analyze
@pytest.mark.parametrize("name", EXPOSURE)
def test_the_exposure_of_a_unit_stays_below_its_bound(installed: Path, name: str) -> None:
    words = ["systemd-analyze", "security", "--offline=true", "--json=short"]
    done = subprocess.run(
        [*words, f"--threshold={EXPOSURE[name]}", name],
        check=False, capture_output=True, text=True, cwd=installed,
    )  # fmt: skip
    wrong = [row["name"] for row in json.loads(done.stdout) if row.get("exposure")]
    assert done.returncode == 0, (done.stderr, wrong)


def test_every_service_is_measured() -> None:
    assert set(EXPOSURE) == {unit.name for unit in SERVICES}


def test_each_is_its_own_user_and_none_is_a_boxs() -> None:
    named = {read(name)["User"][0] for name in ("api", "gateway", "carrier")}
    assert named == USERS.keys() - {"root", "sdbox-centre-peers"}
    boxes = units.users(ROOT / "systemd/sdbox.sysusers")
    assert not set(boxes.values()) & (set(USERS.values()) - {0})
    for name in ("api", "gateway", "carrier"):
        assert read(name)["Group"] == ["sdbox-centre-peers"]


def test_the_examples_name_the_packages_own_users() -> None:
    api, gateway, carrier = (
        USERS[f"sdbox-centre-{name}"] for name in ("api", "gateway", "carrier")
    )
    assert EXAMPLES["api.toml"]["gateway_uid"] == gateway
    assert EXAMPLES["carrier.toml"]["gateway_uid"] == gateway
    assert EXAMPLES["gateway.toml"]["api_uid"] == api
    assert EXAMPLES["gateway.toml"]["api_gid"] == USERS["sdbox-centre-peers"]
    text = (ROOT / "docs/centre.md").read_text()
    assert re.search(rf"^# uid = {carrier}$", text, re.MULTILINE)


def test_one_socket_lies_where_all_look_for_it_and_the_gateway_makes_it() -> None:
    (socket,) = {
        EXAMPLES["gateway.toml"]["socket"],
        EXAMPLES["api.toml"]["gateway_socket"],
        EXAMPLES["carrier.toml"]["gateway_socket"],
    }
    section = read("gateway")
    made = [f"/run/{name}" for name in section["RuntimeDirectory"][0].split()]
    assert str(Path(socket).parent) in made
    assert section["RuntimeDirectoryMode"] == ["0750"], "for the group, to pass through"
    assert section["BindPaths"] == [f"{made[1]}:{EXAMPLES['gateway.toml']['runtime']}"]


def test_what_the_examples_write_is_in_a_directory_of_its_writer() -> None:
    states = {
        name: read(name).get("StateDirectory", [""])[0].split() for name in ("api", "gateway")
    }
    for name, keys in {"api": ("database", "remembered"), "gateway": ("acts",)}.items():
        for key in keys:
            directory = Path(EXAMPLES[f"{name}.toml"][key]).parent
            assert directory.parent == Path("/var/lib")
            assert directory.name in states[name]
    database, remembered = (Path(EXAMPLES["api.toml"][key]) for key in ("database", "remembered"))
    assert database.parent != remembered.parent, "a back-up put back would take it along"


def test_one_capability_each_and_the_gateway_alone_changes_the_network() -> None:
    wanted = {"api": "CAP_NET_BIND_SERVICE", "carrier": "CAP_NET_BIND_SERVICE"}
    for name, capability in {**wanted, "gateway": "CAP_NET_ADMIN"}.items():
        section = read(name)
        assert section["CapabilityBoundingSet"] == [capability]
        assert section["AmbientCapabilities"] == [capability]
        assert ("AF_NETLINK" in section["RestrictAddressFamilies"][0]) == (name == "gateway")


@pytest.mark.parametrize("name", ["api", "gateway", "carrier"])
def test_no_unit_sees_a_shell_or_runs_what_it_has_written(name: str) -> None:
    section = read(name)
    assert section["TemporaryFileSystem"] == ["/usr/bin:ro /usr/sbin:ro"]
    shown = section["BindReadOnlyPaths"][0].split()
    assert shown[0] == "/usr/bin/python3.11:/usr/bin/python3"
    assert shown[1:] == (PROGRAMS if name == "gateway" else [])
    written = {"/tmp", "/var/tmp", "/dev/shm"}
    for key, parent in (("StateDirectory", "/var/lib"), ("RuntimeDirectory", "/run")):
        for directories in section.get(key, []):
            written |= {f"{parent}/{own}" for own in directories.split()}
    written |= {pair.split(":")[1] for pair in section.get("BindPaths", [])}
    assert set(section["NoExecPaths"][0].split()) == written
    assert "PrivateUsers" not in section, "each end of a socket is known by its uid"
    assert section["LimitCORE"] == ["0"]
    assert section["MemorySwapMax"] == ["0"]


def test_a_gateway_is_reloaded_only_after_a_good_check() -> None:
    start, (check, told) = read("gateway")["ExecStart"][0], read("gateway")["ExecReload"]
    assert check == start.replace(" gateway --", " gateway-check --")
    assert told == "/usr/bin/kill -HUP $MAINPID"
    assert "/usr/bin/kill" in read("gateway")["BindReadOnlyPaths"][0].split(), "or it is not seen"


def test_nothing_starts_before_it_has_settings() -> None:
    for name in ("api", "gateway", "carrier"):
        section = read(name)
        (settings,) = section["AssertPathExists"]
        assert section["ExecStart"][0].endswith(f" {name} --config {settings}")
        assert settings == f"/etc/sdbox-centre/{name}.toml"


def test_descriptors_are_enough_for_every_connection() -> None:
    from sdbox_centre.server import MAX_CONNECTIONS  # noqa: PLC0415

    assert int(read("api")["LimitNOFILE"][0]) >= 2 * MAX_CONNECTIONS


@as_root
@pytest.mark.skipif(not shutil.which("systemd-sysusers"), reason="systemd is not installed")
def test_users_and_directories_are_made_as_they_say(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    for name, text in {
        "passwd": "root:x:0:0:root:/root:/bin/bash\n",
        "group": "root:x:0:\n",
        "shadow": "root:*:19000::::::\n",
        "gshadow": "root:*::\n",
    }.items():
        (tmp_path / "etc" / name).write_text(text)
    for program, file in (("sysusers", "sysusers"), ("tmpfiles", "tmpfiles")):
        words = [f"systemd-{program}", f"--root={tmp_path}"]
        words += ["--create"] if program == "tmpfiles" else []
        subprocess.run([*words, HERE / f"sdbox-centre.{file}"], check=True, capture_output=True)
    rows = units.directories(HERE / "sdbox-centre.tmpfiles")
    assert len(rows) == 6
    for path, mode, user, group in rows:
        seen = (tmp_path / path.lstrip("/")).lstat()
        assert stat.S_ISDIR(seen.st_mode)
        assert (stat.S_IMODE(seen.st_mode), seen.st_uid, seen.st_gid) == (
            mode, USERS[user], USERS[group],
        )  # fmt: skip
    for name in ("api", "gateway"):
        for own in read(name)["StateDirectory"][0].split():
            (row,) = (row for row in rows if row[0] == f"/var/lib/{own}")
            assert row[1:] == (0o700, read(name)["User"][0], read(name)["Group"][0]), (
                "or systemd gives it another owner at each start"
            )
