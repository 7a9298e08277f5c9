"""The processes as they run at the centre: own uids, own network, a real WireGuard interface."""

from pathlib import Path

import msgspec
import pytest

from sdbox_agent.errors import Fault
from sdbox_centre import authority, processes
from sdbox_centre.book import ApiSettings, EstAt
from sdbox_centre.tomlfile import load
from tests.sdbox_centre.rig import in_own_network
from tests.sdbox_centre.settled import settings
from tests.sdbox_centre.world import World


@pytest.mark.rig
def test_a_session_through_both_processes() -> None:
    in_own_network("tests.sdbox_centre.rig_processes", timeout_s=120)


@pytest.mark.rig
def test_two_of_the_api_on_one_database() -> None:
    in_own_network("tests.sdbox_centre.rig_two", timeout_s=120)


def est_files(world: World, key: bytes, mode: int = 0o600) -> tuple[Path, ApiSettings]:
    """What api.toml names for the boxes' authority."""
    (world.root / "boxes-authority.pem").write_bytes(authority.pem_of(world.boxes.certificate))
    (world.root / "boxes.key").write_bytes(key)
    (world.root / "boxes.key").chmod(mode)
    api = Path(settings(world)[0])
    with api.open("a") as file:
        file.write('[est]\ncertificate = "boxes-authority.pem"\nkey = "boxes.key"\n')
    return api, load(api, ApiSettings)


def test_the_boxes_authority_is_read_from_its_files(world: World) -> None:
    api, read = est_files(world, authority.key_pem(world.boxes.key))
    assert read.est == EstAt(certificate="boxes-authority.pem", key="boxes.key")
    est = processes.est_of(api, read, world.acts)
    assert est is not None
    assert est.anchors == (world.boxes.certificate_der,)
    assert processes.est_of(api, msgspec.structs.replace(read, est=None), world.acts) is None


@pytest.mark.parametrize("what", ["open to others", "another's", "no key", "not there"])
def test_a_key_that_is_not_the_authoritys_alone_starts_nothing(world: World, what: str) -> None:
    key = authority.key_pem(world.cards.key if what == "another's" else world.boxes.key)
    mode = 0o644 if what == "open to others" else 0o600
    api, read = est_files(world, b"none" if what == "no key" else key, mode)
    if what == "not there":
        (world.root / "boxes.key").unlink()
    with pytest.raises(Fault, match="config-invalid"):
        processes.est_of(api, read, world.acts)
