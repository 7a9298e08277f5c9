"""What the launcher reads of unit files: all that it plays, and nothing that it does not know."""

from pathlib import Path

import pytest

from hil.launch import units

ROOT = Path(__file__).parents[3] / "systemd"
SERVICES = sorted(ROOT.glob("*.service"))
SOCKETS = sorted(ROOT.glob("*.socket"))


def written(directory: Path, name: str, *lines: str) -> Path:
    path = directory / name
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_every_service_of_ours_is_understood_whole(path: Path) -> None:
    service = units.service(path)
    assert service.start
    assert service.start[0][0].startswith("/")


@pytest.mark.parametrize("path", SOCKETS, ids=lambda path: path.name)
def test_every_socket_of_ours_leads_to_a_service_of_ours(path: Path) -> None:
    one = units.socket(path)
    assert one.paths
    assert ROOT / f"{one.service}.service" in SERVICES
    users = units.users(ROOT / "sdbox.sysusers")
    assert {one.user, one.group} <= set(users)


def test_the_core_is_what_the_launcher_takes_it_for() -> None:
    core = units.service(ROOT / "sdbox-agent.service")
    assert (core.kind, core.user, core.restart_s, core.watchdog_s) == ("notify", "sdbox", 2, 30)
    assert core.capabilities == ()
    assert ("/var/lib/sdbox", 0o700) in core.directories
    assert ("/run/sdbox", 0o755) in core.directories


def test_the_helper_alone_has_a_capability_and_the_finger_process_no_network() -> None:
    played = {path.stem: units.service(path) for path in SERVICES}
    users = {name for name, one in played.items() if one.capabilities and one.user}
    assert users == {"sdbox-tunnel", "sdbox-walls"} & users
    assert "sdbox-tunnel" in users
    assert played["sdbox-finger@"].private_network
    assert played["sdbox-finger@"].lock_memory
    assert units.socket(ROOT / "sdbox-finger.socket").accept


def test_what_ends_a_tunnel_runs_before_the_desktop() -> None:
    played = {path.stem: units.service(path).realtime for path in SERVICES}
    assert {name for name, priority in played.items() if priority} == {
        "sdbox-agent", "sdbox-card", "sdbox-tunnel",
    }  # fmt: skip


@pytest.mark.parametrize("said", [["fifo"], ["rr"], ["rr", "CPUSchedulingResetOnFork=no"]])
def test_a_way_of_scheduling_that_is_not_played_is_refused(tmp_path: Path, said: list[str]) -> None:
    lines = ["[Service]", "ExecStart=/bin/true", f"CPUSchedulingPolicy={said[0]}", *said[1:]]
    with pytest.raises(units.UnitError, match="scheduling"):
        units.service(written(tmp_path, "x.service", *lines))


def test_an_assignment_nobody_knows_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "x.service", "[Service]", "ExecStart=/bin/true", "Frobnicate=yes")
    with pytest.raises(units.UnitError, match="Frobnicate"):
        units.service(path)


def test_a_line_that_is_no_assignment_is_refused(tmp_path: Path) -> None:
    with pytest.raises(units.UnitError, match=r"x\.service:2"):
        units.read(written(tmp_path, "x.service", "[Service]", "ExecStart"))


def test_comments_order_and_clearing_are_systemds(tmp_path: Path) -> None:
    path = written(
        tmp_path, "x.service", "# a", "; b", "[Service]", "A=1", "A= 2 ", "B=1", "B=", "B=3"
    )
    assert units.read(path) == {"A": ["1", "2"], "B": ["3"]}


def test_commands_environment_and_binds_are_split_as_systemd_splits_them(tmp_path: Path) -> None:
    path = written(
        tmp_path, "x.service", "[Service]",
        "ExecStartPre=+/bin/echo 'a b'", "ExecStart=/bin/cat", "Restart=on-failure",
        "RestartSec=250ms", 'Environment=A=1 "B=2 3"', "BindPaths=/run/a:/run/b",
    )  # fmt: skip
    service = units.service(path)
    assert service.before == (("/bin/echo", "a b"),)
    assert service.environment == {"A": "1", "B": "2 3"}
    assert service.binds == {"/run/b": "/run/a"}
    assert service.restart_s == 0.25
    assert service.kind == "simple"
    assert service.user is None


@pytest.mark.parametrize(("text", "seconds"), [("5", 5), ("2s", 2), ("100ms", 0.1), ("1min", 60)])
def test_times_are_systemds(text: str, seconds: float) -> None:
    assert units._seconds(text) == seconds


def test_only_directories_are_made(tmp_path: Path) -> None:
    path = written(tmp_path, "x.tmpfiles", "# c", "d /run/x 0750 root root -")
    assert units.directories(path) == [("/run/x", 0o750, "root", "root")]
    path = written(tmp_path, "x.tmpfiles", "L /run/x - - - - /etc")
    with pytest.raises(units.UnitError, match="only directories"):
        units.directories(path)


def test_users_have_the_numbers_the_units_name() -> None:
    users = units.users(ROOT / "sdbox.sysusers")
    assert (users["root"], users["sdbox"], users["sdbox-card"]) == (0, 61001, 61002)
