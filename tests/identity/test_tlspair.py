"""A renewed certificate is taken by the next connection, and nothing else that lies there."""

import datetime as dt
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from sdbox_agent.centre.https import CentreClient, Where
from sdbox_agent.errors import Fault
from sdbox_agent.identity import keys
from sdbox_centre import authority
from tests.centre import servers
from tests.identity.test_renewal import BOX, DAY, Settled, world
from tests.sdbox_centre import tls
from tests.sdbox_centre.world import World

__all__ = ["world"]


@pytest.fixture
def old(world: World) -> Settled:
    return Settled(world, 300 * DAY)


class Asked:
    """A server that wants a certificate, and keeps those it was shown."""

    def __init__(self, hosts: servers.Hosts, boxes: Path) -> None:
        context = hosts.server_context()
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(boxes)
        self.shown: list[bytes | None] = []
        self.server = servers.Listening(context, self._answer)

    def _answer(self, sock: ssl.SSLSocket, _got: bytes) -> None:
        self.shown.append(sock.getpeercert(binary_form=True))
        sock.sendall(servers.http())

    def client(self, context: ssl.SSLContext) -> CentreClient:
        return CentreClient(Where((("127.0.0.1", self.server.port),), servers.NAME), context)


@pytest.fixture
def asked(old: Settled, tmp_path_factory) -> Iterator[Asked]:
    hosts = servers.Hosts(tmp_path_factory.mktemp("hosts"))
    (old.config / "anchors/centre.pem").write_bytes(Path(hosts.anchors).read_bytes())
    boxes = tls.authority_file(old.world, "boxes-authority", old.world.boxes)
    one = Asked(hosts, boxes)
    yield one
    one.server.close()


def other(old: Settled, key=None) -> x509.Certificate:
    public = old.first.public_key() if key is None else key.public_key()
    begin = dt.datetime.now(dt.UTC) - DAY
    return old.world.boxes.issue(authority.BOX_TLS, authority.box_subject(BOX), public, begin)


def lay(old: Settled, data: bytes) -> None:
    new = old.config / "identity/tls.pem.new"
    new.write_bytes(data)
    new.rename(old.config / "identity/tls.pem")


def test_an_open_connection_stays_and_the_next_one_shows_the_new(old, asked) -> None:
    context = keys.load(old.config).client_context()
    first = asked.client(context)
    first.hello(servers.HELLO)
    fresh = other(old)
    lay(old, authority.pem_of(fresh))
    first.hello(servers.HELLO)  # on the connection that there is
    second = asked.client(context)
    second.hello(servers.HELLO)
    for client in (first, second):
        client.close()
    before, after = authority.der_of(old.first), authority.der_of(fresh)
    assert asked.shown == [before, before, after]


@pytest.mark.parametrize("what", ["nonsense", "another key", "nothing"])
def test_what_is_not_on_its_key_is_not_taken(old, asked, what: str) -> None:
    context = keys.load(old.config).client_context()
    if what == "nothing":
        (old.config / "identity/tls.pem").unlink()
    else:
        stranger = authority.pem_of(other(old, authority.new_key()))
        lay(old, stranger if what == "another key" else b"nonsense")
    client = asked.client(context)
    client.hello(servers.HELLO)
    client.close()
    assert asked.shown == [authority.der_of(old.first)]


def test_its_key_signs_and_is_told_by_its_public_half(old: Settled) -> None:
    pair = keys.load(old.config).tls
    old.first.public_key().verify(pair.sign(b"said"), b"said", ec.ECDSA(hashes.SHA256()))
    assert pair.public_key_der == pair.under(other(old)).public_key_der
    with pytest.raises(Fault, match="config-invalid"):
        pair.context("no anchors")
