"""Every path is under the one root, and is where the units and the rig expect it."""

from pathlib import Path

from sdbox_agent.paths import Paths

ROOT = Path(__file__).parents[1]


def every(paths: Paths) -> dict[str, Path]:
    named = [name for name, value in vars(Paths).items() if isinstance(value, property)]
    return {name: getattr(paths, name) for name in named}


def test_nothing_leaves_the_root(tmp_path: Path) -> None:
    paths = every(Paths(tmp_path))
    assert len(set(paths.values())) == len(paths)
    assert all(path.is_relative_to(tmp_path) for path in paths.values())


def test_the_sockets_are_those_the_units_listen_at() -> None:
    units = "".join(path.read_text() for path in ROOT.glob("systemd/*.socket"))
    for name, path in every(Paths(Path("/"))).items():
        if name.endswith("_socket") and name != "agent_socket":
            assert f"ListenSequentialPacket={path}\n" in units, name


def test_the_core_s_own_directories_are_made_by_its_unit() -> None:
    unit = (ROOT / "systemd/sdbox-agent.service").read_text()
    box = Paths(Path("/"))
    assert f"StateDirectory={box.state.relative_to('/var/lib')}\n" in unit
    assert f"RuntimeDirectory={box.agent_socket.parent.relative_to('/run')}\n" in unit
