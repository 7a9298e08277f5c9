"""The settings of a centre over a world's files, and files to hand to commands."""

from cryptography import x509

from sdbox_centre import authority
from tests.sdbox_centre.world import World

STAFF = """
[staff]
roster = "roster.toml"
anchors = "staff-anchors.pem"
crls = ["staff.crl"]
"""


def settings(world: World) -> tuple[str, str]:
    """api.toml and gateway.toml."""
    api, gateway = world.root / "api.toml", world.root / "gateway.toml"
    api.write_text(
        """address = "127.0.0.1"
port = 0
certificate = "server.pem"
key = "server.key"
box_anchors = "boxes-authority.pem"
card_anchors = "anchors.pem"
crls = ["cards.crl"]
database = "cli.db"
gateway_socket = "gateway.sock"
gateway_uid = 0
"""
        + STAFF
    )
    gateway.write_text(
        """socket = "gateway.sock"
api_uid = 0
card_anchors = "anchors.pem"
crls = ["cards.crl"]
acts = "acts"
projects = "projects"
runtime = "/run/wireguard"
"""
        + STAFF
    )
    return str(api), str(gateway)


def pem(world: World, name: str, certificate_der: bytes) -> str:
    path = world.root / f"{name}.pem"
    path.write_bytes(authority.pem_of(x509.load_der_x509_certificate(certificate_der)))
    return str(path)
