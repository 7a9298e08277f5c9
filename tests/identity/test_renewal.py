"""A box is renewed by the real centre, in one step, and its open connections stay."""

import contextlib
import datetime as dt
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from sdbox_agent.centre.https import CentreClient, Where
from sdbox_agent.errors import Fault, SdboxError
from sdbox_agent.identity import keys, renewal
from sdbox_agent.state.model import ModelFileSystem, PowerCut
from sdbox_agent.state.trusted import FileRefused
from sdbox_centre import authority
from sdbox_centre.staff import payload
from tests.sdbox_centre import ordering, tls
from tests.sdbox_centre.world import World

DAY = dt.timedelta(days=1)
BOX = "test-box-09"


class Settled:
    """A box in service, whose certificate began some days ago, and its directory."""

    def __init__(self, world: World, age: dt.timedelta) -> None:
        self.world = world
        self.config = world.root / "etc"
        for name in ("identity", "anchors"):
            (self.config / name).mkdir(parents=True, mode=0o700)
        begin = dt.datetime.now(dt.UTC).replace(microsecond=0) - age
        key, statement = authority.new_key(), authority.new_key()
        subject = authority.box_subject(BOX)
        self.first = world.boxes.issue(authority.BOX_TLS, subject, key.public_key(), begin)
        signs = world.boxes.issue(authority.BOX_STATEMENT, subject, statement.public_key(), begin)
        for name, pair in (("tls", (self.first, key)), ("statement", (signs, statement))):
            (self.config / f"identity/{name}.pem").write_bytes(authority.pem_of(pair[0]))
            secret = self.config / f"identity/{name}.key"
            secret.write_bytes(authority.key_pem(pair[1]))
            secret.chmod(0o600)
        anchors = authority.pem_of(world.servers.certificate)
        (self.config / "anchors/centre.pem").write_bytes(anchors)
        now_s = world.clock.utc
        said = {
            "tls_sha256": hashlib.sha256(ordering.Key(key).public_key_der).digest(),
            "statement_certificate": authority.der_of(signs),
            "country": "FR",
            "placed_s": now_s,
            "rental_from_s": now_s,
            "rental_until_s": now_s + 10**8,
        }
        act = world.office.draft(payload.Box, "test", box=BOX, state="active", **said)
        world.staff.enter(act)

    @property
    def kept(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate((self.config / "identity/tls.pem").read_bytes())

    def renew(self, port: int) -> renewal.Standing:
        where = Where((("127.0.0.1", port),), tls.NAME)
        return renewal.renew(self.config, where, BOX, dt.datetime.now(dt.UTC))

    def client(self, port: int) -> CentreClient:
        where = Where((("127.0.0.1", port),), tls.NAME)
        return CentreClient(where, keys.load(self.config).client_context())


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    grown = World(tmp_path)
    yield grown
    grown.close()


@pytest.fixture
def port(world: World) -> Iterator[int]:
    with tls.served(world, est=ordering.est_of(world)) as port:
        yield port


@pytest.fixture
def old(world: World) -> Settled:
    return Settled(world, 300 * DAY)


def test_a_certificate_is_renewed_once_two_thirds_of_it_are_over(old: Settled, port: int) -> None:
    standing = old.renew(port)
    assert standing == renewal.Standing(old.kept.not_valid_after_utc, renewed=True)
    assert old.kept.public_key() == old.first.public_key()
    assert old.kept.not_valid_after_utc - dt.datetime.now(dt.UTC) > 364 * DAY
    again = old.renew(port)
    assert again == renewal.Standing(standing.until, renewed=False)
    client = old.client(port)
    assert client.crls().crls
    client.close()
    assert sorted(path.name for path in (old.config / "identity").iterdir()) == [
        "statement.key", "statement.pem", "tls.key", "tls.pem",
    ]  # fmt: skip


def test_a_young_one_is_left_alone_and_a_centre_away_is_no_trouble(world: World) -> None:
    young = Settled(world, 200 * DAY)
    standing = young.renew(1)  # where nobody answers
    assert standing == renewal.Standing(young.first.not_valid_after_utc, renewed=False)


def test_one_that_has_not_served_does_not_take_its_place(old, port, monkeypatch) -> None:
    used: list[x509.Certificate] = []

    def refuse(identity: keys.BoxIdentity, _where: Where) -> None:
        used.append(identity.tls.certificate)
        raise Fault("centre-slow")

    monkeypatch.setattr(renewal, "_use", refuse)
    with pytest.raises(Fault, match="centre-slow"):
        old.renew(port)
    assert (old.kept, used[0] == old.first) == (old.first, False)
    monkeypatch.undo()
    assert old.renew(port).renewed  # another one, the next day


@pytest.mark.parametrize("state", ["suspended", "retired"])
def test_a_box_out_of_service_keeps_what_it_has(old: Settled, port: int, state: str) -> None:
    office = old.world.office
    old.world.staff.enter(office.change(payload.Box, "test", box=BOX, state=state))
    with pytest.raises(SdboxError, match=f"box-{state}"):
        old.renew(port)
    assert old.kept == old.first


def test_a_centre_that_is_away_is_said_so(old: Settled) -> None:
    with pytest.raises(Fault, match="centre-unreachable"):
        old.renew(1)
    assert old.kept == old.first


def test_a_directory_open_to_others_is_not_written(old: Settled, port: int) -> None:
    (old.config / "identity").chmod(0o722)
    with pytest.raises(FileRefused, match="config-invalid"):
        old.renew(port)
    assert old.kept == old.first


def test_a_full_disk_leaves_the_old_one(old, port, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(renewal.RealFileSystem, "sync", full)
    with pytest.raises(Fault, match="disk-failed"):
        old.renew(port)
    assert old.kept == old.first


def test_a_power_cut_leaves_the_old_or_the_new_whole() -> None:
    """At every call, before and after it, in every order a disk may have."""
    old, new = b"old" * 100, b"new" * 100
    seen = set()
    for cut_at in range(5):
        files = ModelFileSystem.of({renewal.TLS: old, renewal.NEW: b"left from before"})
        files.cut_at = cut_at
        with contextlib.suppress(PowerCut):
            renewal.put(files, renewal.TLS, new)
        seen |= {disk.contents()[renewal.TLS] for disk in files.after_cut()}
    assert files.calls == 4  # it was let through in the end
    assert seen == {old, new}
