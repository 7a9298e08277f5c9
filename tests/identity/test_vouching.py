"""A TLS key in memory: asked for when it is needed, replaced in time, and told why it is not."""

import contextlib
import fcntl
import os
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdbox_agent.centre import vouchwire, wire
from sdbox_agent.centre.https import CentreClient, Where
from sdbox_agent.errors import Fault, SdboxError
from sdbox_agent.identity import keys, tlspair, tpmkey
from sdbox_agent.identity.tpmkey import TpmKey
from sdbox_agent.identity.vouching import Vouching
from sdbox_centre import authority
from tests.centre import servers
from tests.identity.chip import Chip, chip, factory
from tests.sdbox_centre import ordering, tls
from tests.sdbox_centre.inmemory import InMemory
from tests.sdbox_centre.world import World
from tests.waiting import PATIENCE_S, until

__all__ = ["chip", "factory"]
HOUR_S = 3600.0


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    grown = World(tmp_path)
    yield grown
    grown.close()


@pytest.fixture
def port(world: World) -> Iterator[int]:
    with tls.served(world, est=ordering.est_of(world)) as port:
        yield port


class Clock:
    """Of boot: it stands until it is moved."""

    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@contextlib.contextmanager
def calling(own: Vouching, port: int) -> Iterator[CentreClient]:
    client = CentreClient(Where((("127.0.0.1", port),), tls.NAME), own.context)
    try:
        yield client
    finally:
        client.close()


def given(world: World) -> int:
    return world.trace().count(("vouch", "done"))


def test_one_key_serves_every_connection_until_it_is_old(world: World, port: int) -> None:
    clock = Clock()
    own = InMemory(world).vouching(port, clock_s=clock)
    assert not own.is_due()
    assert not own.freshen()  # nobody has needed one yet
    for _ in range(3):
        with calling(own, port) as client:
            assert client.crls().crls
    assert given(world) == 1
    clock.now_s += 15.9 * HOUR_S
    assert not own.is_due()
    clock.now_s += 0.4 * HOUR_S
    assert own.is_due()
    with calling(own, port) as client:
        assert client.crls().crls  # the old one serves meanwhile, and is not asked about
        assert given(world) == 1
        assert own.freshen()
        assert client.crls().crls  # on the connection that there is
    assert (given(world), own.is_due(), own.freshen()) == (2, False, False)
    with calling(own, port) as client:
        assert client.crls().crls
    clock.now_s += 23 * HOUR_S  # of which nobody took care
    with calling(own, port) as client:
        assert client.crls().crls
    assert given(world) == 3


def test_many_at_once_ask_once(world: World, port: int) -> None:
    own = InMemory(world).vouching(port)
    got: list[int] = []

    def call() -> None:
        with calling(own, port) as client:
            got.append(len(client.crls().crls))

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert (got, given(world)) == ([1] * 4, 1)


def test_a_centre_that_was_started_anew_asks_anew(world: World, port: int, monkeypatch) -> None:
    """What it asked of us went with it; so with one process of two that serve an address."""
    box = InMemory(world)
    own, vouch, said = box.vouching(port), keys.BoxIdentity.vouch, []

    def late(identity: keys.BoxIdentity, body):
        said.append(body)
        old = type(body)(box=body.box, challenge=bytes(32), key_sha256=body.key_sha256)
        return vouch(identity, old if len(said) == 1 else body)

    monkeypatch.setattr(keys.BoxIdentity, "vouch", late)
    with calling(own, port) as client:
        assert client.crls().crls
    assert len({body.challenge for body in said}) == 2
    assert len({body.key_sha256 for body in said}) == 1


@pytest.mark.parametrize("state", ["suspended", "retired"])
def test_what_bars_a_box_is_what_its_calls_are_told(world: World, port: int, state: str) -> None:
    box = InMemory(world)
    own = box.vouching(port)
    box.becomes(state)
    for _ in range(2):
        with calling(own, port) as client, pytest.raises(SdboxError, match=f"box-{state}"):
            client.crls()


def test_a_centre_away_is_said_and_asked_again(world: World) -> None:
    box = InMemory(world)
    own = box.vouching(1)  # where nobody answers
    with calling(own, 1) as client, pytest.raises(Fault, match="centre-unreachable"):
        client.crls()
    with tls.served(world, est=ordering.est_of(world)) as port:
        own._where = Where((("127.0.0.1", port),), tls.NAME)
        with calling(own, port) as client:
            assert client.crls().crls


def test_what_was_not_renewed_stays_as_it_was(world: World, port: int) -> None:
    clock, box = Clock(), InMemory(world)
    own = box.vouching(port, clock_s=clock)
    with calling(own, port) as client:
        client.crls()
    clock.now_s += 17 * HOUR_S
    there, own._where = own._where, Where((("127.0.0.1", 1),), tls.NAME)
    with pytest.raises(Fault, match="centre-unreachable"):
        own.freshen()
    own._where = there
    assert own.is_due()
    with calling(own, port) as client:
        assert client.crls().crls
    assert given(world) == 1


def test_one_that_the_centre_takes_no_more_is_forgotten(world: World, port: int) -> None:
    own = InMemory(world).vouching(port)
    with calling(own, port) as client:
        client.crls()
    own.forget()
    with calling(own, port) as client:
        assert client.crls().crls
    assert given(world) == 2


def test_the_wall_clock_has_no_say_in_its_age(world: World, port: int, monkeypatch) -> None:
    """A box whose clock is a year off, or set while it runs, takes what it is given."""
    own = InMemory(world).vouching(port)
    world.clock.move(-364 * 86400)  # what the centre gives began a year ago, by this clock
    with contextlib.suppress(SdboxError), calling(own, port) as client:
        client.crls()
    assert given(world) == 1
    assert own._life_s == pytest.approx(24 * HOUR_S + 300)


class Saying:
    """A server that answers each call as it is told, over real TLS."""

    def __init__(self, hosts: servers.Hosts, *answers: bytes) -> None:
        left = iter(answers)
        self.server = servers.Listening(
            hosts.server_context(), lambda sock, _: sock.sendall(servers.http(next(left)))
        )

    def asked_of(self, box: InMemory, hosts: servers.Hosts) -> Vouching:
        identity = box.identity
        anchors = Path(hosts.anchors).read_text("ascii")
        own = keys.BoxIdentity(None, identity._statement, identity._certificate, anchors, None)
        where = Where((("127.0.0.1", self.server.port),), servers.NAME)
        return Vouching(own, where, box.name)


CHALLENGED = wire.encode(vouchwire.ChallengeAnswer(challenge=bytes(32)))


@pytest.mark.parametrize("what", ["nonsense", "no challenge", "another key", "no certificate"])
def test_an_answer_that_is_not_for_it_is_not_taken(
    world: World, tmp_path_factory, what: str
) -> None:
    box, hosts = InMemory(world), servers.Hosts(tmp_path_factory.mktemp("hosts"))
    key, name = authority.new_key(), box.name
    issued = world.boxes.issue(
        authority.BOX_TLS, authority.box_subject(name), key.public_key(), world.now
    )
    wrong = wire.encode(vouchwire.VouchAnswer(certificate=authority.der_of(issued)))
    answers = {
        "nonsense": (CHALLENGED, b"{}"),
        "no challenge": (b'{"challenge":""}',),
        "another key": (CHALLENGED, wrong),
        "no certificate": (CHALLENGED, wire.encode(vouchwire.VouchAnswer(certificate=b"0"))),
    }[what]
    saying = Saying(hosts, *answers)
    try:
        own = saying.asked_of(box, hosts)
        with calling(own, saying.server.port) as client:
            client._transport._server_name = servers.NAME
            with pytest.raises(Fault, match="centre-answer-invalid"):
                client.crls()
    finally:
        saying.server.close()


def test_such_a_box_has_no_pair_to_make_a_connection_with(world: World) -> None:
    identity = InMemory(world).identity
    for call in (identity.client_context, lambda: identity.with_certificate(world.boxes)):  # type: ignore[arg-type]
        with pytest.raises(Fault, match="box-identity-missing"):
            call()


def test_anchors_that_are_none_are_told_at_once(world: World) -> None:
    identity = InMemory(world).identity
    bad = keys.BoxIdentity(None, identity._statement, identity._certificate, "no anchors", None)
    with pytest.raises(Fault, match="config-invalid"):
        Vouching(bad, Where((), tls.NAME), "test-box-09")


def test_the_key_is_in_no_file_and_no_descriptor_stays(
    world: World, port: int, monkeypatch
) -> None:
    """Sealed while `ssl` reads it, then gone."""
    seen: list[tuple[int, bytes]] = []
    load = ssl.SSLContext.load_cert_chain

    def looked(context: ssl.SSLContext, path: str) -> None:
        descriptor = int(path.rpartition("/")[2])
        seals = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
        seen.append((seals, os.pread(descriptor, 1 << 16, 0)))
        with pytest.raises(PermissionError):
            os.write(descriptor, b"x")
        load(context, path)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", looked)
    own = InMemory(world).vouching(port)
    with calling(own, port) as client:
        assert client.crls().crls
    ((seals, pem),) = seen
    assert seals == tlspair._SEALS
    secret = pem.split(b"-----BEGIN PRIVATE KEY-----")[1].split()[0]
    assert len(secret) == 64
    for path in filter(Path.is_file, world.root.rglob("*")):
        assert secret not in path.read_bytes()
    held = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert held
    assert not [target for target in held if "identity" in target]


@pytest.mark.slow
def test_a_chip_vouches_from_any_thread_while_it_signs_for_another(
    world: World, port: int, chip: Chip
) -> None:
    """The library is no thread's: a receipt in the loop, a vouching in a call."""
    box = InMemory(world, known=False)
    wrapped = tpmkey.create(chip.tpm)
    subject = authority.box_subject(box.name)
    issued = world.boxes.issue(authority.BOX_STATEMENT_KEPT, subject, wrapped.public_key, world.now)
    box.statement_der = authority.der_of(issued)
    box.enter()
    key = TpmKey(chip.tpm, wrapped)
    anchors = box.identity.centre_anchors_pem
    identity = keys.BoxIdentity(None, key, issued, anchors, chip.tpm)
    own = Vouching(identity, Where((("127.0.0.1", port),), tls.NAME), box.name)
    over, signed = threading.Event(), []

    def sign() -> None:
        while not over.is_set():
            signed.append(key.sign(b"said"))

    signing = threading.Thread(target=sign)
    signing.start()
    try:
        until(lambda: bool(signed))
        for _ in range(5):
            with calling(own, port) as client:
                assert client.crls().crls
            own.forget()
    finally:
        over.set()
        signing.join(PATIENCE_S)
    assert given(world) == 5
