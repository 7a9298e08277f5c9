"""Settings are read whole, or the box does not start."""

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from sdbox_agent.daemon import settings
from sdbox_agent.errors import Fault
from sdbox_agent.paths import Paths
from sdbox_agent.state.trusted import FileRefused
from tests.daemon import cards
from tests.sdbox_centre.world import authority

PROFILES = Path(__file__).parents[2] / "firmware_profiles"


@pytest.fixture
def box(tmp_path: Path) -> Paths:
    """A provisioned box: fresh keys, all anchors the same authority."""
    config = Paths(tmp_path).config
    for name in ("anchors", "identity"):
        (config / name).mkdir(parents=True)
    (config / "box.toml").write_text(
        'v = 1\nbox = "box-01"\nprofile = "virtual"\nlanguage = "fr"\n'
        '[centre]\nhost = "centre.test"\nport = 443\naddresses = ["192.0.2.1"]\n'
    )
    issuer = cards.issuer()
    for name in ("cards", "desk", "centre"):
        (config / f"anchors/{name}.pem").write_bytes(authority.pem_of(issuer.certificate))
    for name, profile in (("tls", authority.BOX_TLS), ("statement", authority.BOX_STATEMENT)):
        key = authority.new_key()
        subject = authority.box_subject("box-01")
        certificate = issuer.issue(profile, subject, key.public_key(), cards.NOW)
        (config / f"identity/{name}.pem").write_bytes(authority.pem_of(certificate))
        (config / f"identity/{name}.key").write_bytes(authority.key_pem(key))
        (config / f"identity/{name}.key").chmod(0o600)
    return Paths(tmp_path)


def test_a_provisioned_box_has_its_settings_and_a_way_to_the_centre(box: Paths) -> None:
    read = settings.read(box, PROFILES)
    assert read.box.box == "box-01"
    assert read.card_anchors == read.desk_anchors
    assert read.card_anchors == (cards.issuer().certificate.public_bytes(Encoding.DER),)
    read.client().close()


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("box.toml", "config-invalid"),
        ("anchors/cards.pem", "config-invalid"),
        ("anchors/desk.pem", "config-invalid"),
        ("anchors/centre.pem", "box-identity-missing"),
        ("identity/tls.key", "box-identity-missing"),
        ("identity/statement.pem", "box-identity-missing"),
    ],
)
def test_without_any_one_of_them_it_does_not_start(box: Paths, name: str, code: str) -> None:
    (box.config / name).unlink()
    with pytest.raises(FileRefused, match=code) as refused:
        settings.read(box, PROFILES)
    assert refused.value.file == str(box.config / name)


@pytest.mark.parametrize("name", ["anchors/cards.pem", "anchors/desk.pem", "anchors/centre.pem"])
@pytest.mark.parametrize("content", [b"", b"nonsense", b"\xff\xfe"])
def test_an_anchor_that_is_none_is_refused(box: Paths, name: str, content: bytes) -> None:
    (box.config / name).write_bytes(content)
    with pytest.raises(FileRefused, match="config-invalid") as refused:
        settings.read(box, PROFILES)
    assert refused.value.file == str(box.config / name)


@pytest.mark.parametrize("name", ["anchors/cards.pem", "anchors/desk.pem", "box.toml"])
def test_what_others_may_write_is_not_believed(box: Paths, name: str) -> None:
    """Fault 61."""
    (box.config / name).chmod(0o666)
    with pytest.raises(Fault, match="config-invalid"):
        settings.read(box, PROFILES)
    (box.config / name).chmod(0o644)
    real = box.config / "elsewhere"
    os.rename(box.config / name, real)
    (box.config / name).symlink_to(real)
    with pytest.raises(Fault, match="config-invalid"):
        settings.read(box, PROFILES)
