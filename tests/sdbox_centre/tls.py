"""A real server on loopback, in a thread of the test, and what a box needs to reach it."""

import contextlib
import secrets
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from sdbox_agent.centre.https import CentreClient, Where, client_context
from sdbox_centre import api, authority, server
from sdbox_centre.est import Est
from tests.sdbox_centre.world import Box, World
from tests.waiting import PATIENCE_S

NAME = "centre.test"
Shown = tuple[x509.Certificate, x509.Certificate, ec.EllipticCurvePrivateKey]


def write_identity(directory: Path, name: str, certificate_der: bytes, key) -> tuple[str, str]:
    pem, key_pem = directory / f"{name}.pem", directory / f"{name}.key"
    pem.write_bytes(authority.pem_of(x509.load_der_x509_certificate(certificate_der)))
    key_pem.write_bytes(authority.key_pem(key))
    return str(pem), str(key_pem)


def server_identity(world: World, issuer: authority.Authority | None = None) -> tuple[str, str]:
    key = authority.new_key()
    subject = authority.server_subject("centre", [NAME, "127.0.0.1"])
    since = world.now - authority.BACKDATED
    issued = (issuer or world.servers).issue(authority.SERVER_TLS, subject, key.public_key(), since)
    name = f"server-{secrets.token_hex(4)}"
    return write_identity(world.root, name, authority.der_of(issued), key)


def authority_file(world: World, name: str, one: authority.Authority) -> Path:
    path = world.root / f"{name}.pem"
    path.write_bytes(authority.pem_of(one.certificate))
    return path


@contextlib.contextmanager
def served(
    world: World,
    *,
    est: Est | None = None,
    docs: bool = False,
    lax: bool = False,
    boxes_pem: bytes = b"",
    shown: Shown | None = None,
) -> Iterator[int]:
    """The port that the whole API answers on. `lax`: TLS itself asks nobody for a certificate.

    `boxes_pem`: other authorities of boxes; `shown`: another certificate, the one above, its key.
    """
    lists = world.centre.cards.crls
    app = api.make_app(world.centre, lambda: lists(world.clock.utc), est, docs=docs)
    certificate, key = server_identity(world)
    boxes = authority_file(world, "boxes-authority", world.boxes)
    if boxes_pem:
        boxes.write_bytes(boxes_pem)
    if shown is not None:
        Path(certificate).write_bytes(authority.pem_of(*shown[:2]))
        Path(key).write_bytes(authority.key_pem(shown[2]))
    anonymous = est is not None
    context = server.tls_context(Path(certificate), Path(key), boxes, anonymous=anonymous)
    if lax:
        context.verify_mode = ssl.CERT_NONE
    running = server.make_server(app, context)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not running.started and thread.is_alive():
            thread.join(0.005)
        yield listener.getsockname()[1]
    finally:
        running.should_exit = True
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def box_context(world: World, box: Box) -> ssl.SSLContext:
    anchors = authority_file(world, "server-authority", world.servers)
    identity = write_identity(world.root, box.name, box.tls_der, box.tls_key)
    return client_context(str(anchors), *identity)


def client(world: World, port: int, box: Box | None = None, **times) -> CentreClient:
    where = Where((("127.0.0.1", port),), NAME)
    return CentreClient(where, box_context(world, box or world.box), **times)
