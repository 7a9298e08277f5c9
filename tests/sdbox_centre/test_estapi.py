"""EST over real TLS: the box's own client and openssl ask the real API; what else may be asked."""

import base64
import dataclasses
import datetime as dt
import json
import ssl
import subprocess
from collections.abc import Iterator

import pytest
from cryptography import x509

from sdbox_agent.centre.https import Where
from sdbox_agent.errors import Fault, SdboxError
from sdbox_agent.identity import est as client
from sdbox_agent.pki import boxcertificate, chain
from sdbox_centre import authority, connections, estapi, server
from tests.pki.boxed import Key
from tests.sdbox_centre import ordering, tls
from tests.sdbox_centre.ordering import DAY_S, Ordered
from tests.sdbox_centre.test_server import answer, connect
from tests.sdbox_centre.world import World
from tests.waiting import PATIENCE_S, until

BASIC = base64.b64encode(f"{ordering.NAME}:{'t' * 43}".encode()).decode()


@pytest.fixture
def port(world: World) -> Iterator[int]:
    with tls.served(world, est=ordering.est_of(world)) as port:
        yield port


@pytest.fixture
def given(world: World) -> chain.Authorities:
    return chain.authorities([world.boxes.certificate_der])


def anchors(world: World) -> str:
    return tls.authority_file(world, "server-authority", world.servers).read_text("ascii")


def nobody(world: World) -> ssl.SSLContext:
    return client.anonymous(anchors(world))


def est(world: World, port: int, context: ssl.SSLContext | None = None) -> client.Est:
    return client.Est(Where((("127.0.0.1", port),), tls.NAME), context or nobody(world))


def now(world: World) -> dt.datetime:
    return dt.datetime.fromtimestamp(world.clock.utc, dt.UTC)


def as_box(world: World, box: Ordered, certificate: x509.Certificate) -> ssl.SSLContext:
    der, key = authority.der_of(certificate), box.keys["tls"].private
    files = tls.write_identity(world.root, box.name, der, key)
    context = nobody(world)
    context.load_cert_chain(*files)
    return context


def test_a_box_comes_by_its_certificates_and_works(world: World, port: int) -> None:
    box = Ordered(world)
    asking = est(world, port)
    given = chain.authorities(asking.cacerts())
    got = {
        purpose: asking.simpleenroll(box.asks(purpose), box.token, given, now(world))
        for purpose in boxcertificate.KINDS
    }
    asking.close()
    box.activate()
    as_itself = est(world, port, as_box(world, box, got["tls"]))
    with pytest.raises(SdboxError, match="box-renewal-early"):
        as_itself.simplereenroll(box.asks(), given, now(world))
    world.clock.move(300 * DAY_S)
    fresh = as_itself.simplereenroll(box.asks(), given, now(world))
    as_itself.close()
    assert fresh.public_key() == got["tls"].public_key()
    assert fresh.not_valid_after_utc > got["tls"].not_valid_after_utc
    listed = [each for each in world.trace() if each[0].startswith("est")]
    assert listed == [
        *[("est-enroll", "done")] * 2,
        ("est-reenroll", "box-renewal-early"),
        ("est-reenroll", "done"),
    ]


def test_what_is_refused_is_said_as_itself(world: World, port: int, given) -> None:
    box, other = Ordered(world), Ordered(world, "test-box-10")
    asking = est(world, port)
    asking.simpleenroll(box.asks(), box.token, given, now(world))
    thief = box.asks(key=Key(authority.new_key()))
    for asked, token, code in (
        (box.asks(), other.token, "box-token-wrong"),
        (thief, box.token, "box-token-spent"),
    ):
        with pytest.raises(SdboxError) as refused:
            asking.simpleenroll(asked, token, given, now(world))
        assert refused.value.code == code
    world.clock.move(31 * DAY_S)
    with pytest.raises(SdboxError, match="box-token-ended"):
        asking.simpleenroll(box.asks(), box.token, given, now(world))
    asking.close()


def said(world: World, port: int, request: bytes, context=None) -> tuple[int, bytes]:
    """Status and all of the answer to bytes of ours."""
    with connect(world, port, context or nobody(world)) as sock:
        sock.sendall(request)
        got = answer(sock)
    return int(got.split()[1]) if got else 0, got


def post(
    path: str = "simpleenroll",
    body: bytes = b"AAAA",
    *,
    kind: str = "application/pkcs10",
    basic: str | None = BASIC,
) -> bytes:
    head = f"POST /.well-known/est/{path} HTTP/1.1\r\nhost: c\r\ncontent-type: {kind}\r\n"
    if basic is not None:
        head += f"authorization: Basic {basic}\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


REFUSED = (
    (post(), 400, "box-request-invalid"),
    (post(body=b"no base64!"), 400, "box-request-invalid"),
    (post(body=b""), 400, "box-request-invalid"),
    (post(body=b"A" * 2049), 413, "request-too-large"),
    (post(kind="application/json"), 400, "request-invalid"),
    (post(basic=None), 401, "box-token-wrong"),
    (post(basic="="), 401, "box-token-wrong"),
    (post(basic=base64.b64encode(b"no colon").decode()), 401, "box-token-wrong"),
    (post(basic=base64.b64encode(b"box:").decode()), 401, "box-token-wrong"),
    (post(basic=base64.b64encode("bôx:t".encode()).decode()), 401, "box-token-wrong"),
    (post(basic="A" * 201), 401, "box-token-wrong"),
    (post("simplereenroll"), 403, "box-refused"),  # as nobody
    (post("statement/simplereenroll"), 404, "not-found"),
    (post("serverkeygen"), 404, "not-found"),
    (post("fullcmc"), 404, "not-found"),
    (b"GET /.well-known/est/simpleenroll HTTP/1.1\r\nhost: c\r\n\r\n", 405, "not-found"),
)


def test_what_is_no_request_is_refused(world: World, port: int) -> None:
    for request, status, code in REFUSED:
        got_status, got = said(world, port, request)
        head, _, body = got.partition(b"\r\n\r\n")
        assert (got_status, json.loads(body)) == (status, {"code": code}), request
        assert (b'www-authenticate: Basic realm="sdbox"' in head) is (status == 401)


def test_nobody_is_answered_nothing_else(world: World, port: int) -> None:
    for path in ("/v1/hello", "/v1/proof", "/v1/crls", "/v1/link"):
        method = "GET" if path in {"/v1/crls", "/v1/link"} else "POST"
        length = "content-length: 2\r\n" if method == "POST" else ""
        request = f"{method} {path} HTTP/1.1\r\nhost: c\r\n{length}\r\n" + ("{}" if length else "")
        status, got = said(world, port, request.encode())
        assert (status, got.rpartition(b"\r\n\r\n")[2]) == (403, b'{"code":"box-refused"}')


def test_a_certificate_of_another_authority_is_still_none(world: World, port: int) -> None:
    box = Ordered(world)
    foreign = authority.authority("Test Box Authority", world.now)
    theirs = foreign.issue(
        authority.BOX_TLS,
        authority.box_subject(box.name),
        box.keys["tls"].private.public_key(),
        world.now - authority.BACKDATED,
    )
    asking = est(world, port, as_box(world, box, theirs))
    with pytest.raises(SdboxError, match="box-refused"):
        asking.cacerts()
    asking.close()


def test_without_an_authority_nobody_comes_in_and_boxes_get_nothing(world: World) -> None:
    with tls.served(world) as port:
        for asking in (est(world, port), est(world, port, tls.box_context(world, world.box))):
            with pytest.raises(SdboxError) as refused:
                asking.cacerts()
            asking.close()
        assert refused.value.code == "not-found"


def test_few_come_in_without_a_certificate_and_boxes_always(world, port, monkeypatch) -> None:
    monkeypatch.setattr(connections, "MAX_ANONYMOUS", 3)
    held = [connect(world, port, nobody(world)) for _ in range(3)]
    until(lambda: said_or_cut(world, port) == 0)
    box = tls.client(world, port)
    box.hello(world.box.hello(None))
    box.close()
    held.pop().close()
    until(lambda: said_or_cut(world, port) == 200)
    for sock in held:
        sock.close()


def said_or_cut(world: World, port: int) -> int:
    try:
        return said(world, port, b"GET /.well-known/est/cacerts HTTP/1.1\r\nhost: c\r\n\r\n")[0]
    except OSError:
        return 0


def has_ended(sock: ssl.SSLSocket) -> bool:
    try:
        return sock.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_somebody_without_a_certificate_does_not_stay(world, monkeypatch) -> None:
    monkeypatch.setattr(server, "ANONYMOUS_S", 0.5)
    asked = b"GET /.well-known/est/cacerts HTTP/1.1\r\nhost: c\r\n\r\n"
    with (
        tls.served(world, est=ordering.est_of(world)) as port,
        connect(world, port, nobody(world)) as sock,
    ):
        sock.sendall(asked)
        assert answer(sock).startswith(b"HTTP/1.1 200")
        sock.settimeout(1)
        until(lambda: has_ended(sock))


def test_an_address_tries_so_often_a_minute() -> None:
    tries = estapi.Tries()
    for _ in range(estapi.TRIES):
        tries.one("192.0.2.1", 1000)
    with pytest.raises(Fault, match="centre-busy"):
        tries.one("192.0.2.1", 1059)
    tries.one("192.0.2.2", 1059)
    tries.one("192.0.2.1", 1060)
    tries.one("192.0.2.1", 0)  # a clock put back


def test_addresses_beyond_those_remembered_wait() -> None:
    tries = estapi.Tries()
    for at in range(estapi.MAX_ADDRESSES):
        tries.one(str(at), 1000)
    with pytest.raises(Fault, match="centre-busy"):
        tries.one("one more", 1000)
    tries.one("0", 1000)


def test_too_many_tries_are_told_to_come_later(world, port, given, monkeypatch) -> None:
    monkeypatch.setattr(estapi, "TRIES", 1)
    statuses = [said(world, port, post())[0] for _ in range(2)]
    assert statuses == [400, 503]
    world.clock.move(60)
    assert said(world, port, post())[0] == 400


def test_strangers_keep_no_box_from_renewing(world, port, given, monkeypatch) -> None:
    box, asking = Ordered(world), est(world, port)
    certificate = asking.simpleenroll(box.asks(), box.token, given, now(world))
    asking.simpleenroll(box.asks("statement"), box.token, given, now(world))
    asking.close()
    box.activate()
    monkeypatch.setattr(estapi, "MAX_ADDRESSES", 1)  # and one has been heard of
    as_itself = est(world, port, as_box(world, box, certificate))
    with pytest.raises(SdboxError, match="box-renewal-early"):
        as_itself.simplereenroll(box.asks(), given, now(world))
    as_itself.close()


def test_openssl_alone_comes_by_a_certificate(world: World, port: int) -> None:
    """Another maker's key, request, TLS and reader of the answer; RFC 7030 between them."""
    box, root = Ordered(world), world.root

    def openssl(*words: str, given: bytes = b"") -> bytes:
        return subprocess.run(
            ["openssl", *words], input=given, capture_output=True, check=True, timeout=PATIENCE_S
        ).stdout

    (root / "conf").write_text("[req]\ndistinguished_name = dn\n[dn]\n")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    files = ("-keyout", str(root / "k"), "-config", str(root / "conf"))
    csr = openssl("req", "-new", *curve, *files, "-subj", f"/CN={box.name}", "-outform", "DER")
    basic = base64.b64encode(f"{box.name}:{box.token}".encode()).decode()
    request = post(body=base64.encodebytes(csr), basic=basic).replace(
        b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n", 1
    )
    authorities = tls.authority_file(world, "server-authority", world.servers)
    at = ("-connect", f"127.0.0.1:{port}", "-CAfile", str(authorities), "-verify_return_error")
    got = openssl("s_client", *at, "-quiet", "-no_ign_eof", "-ign_eof", given=request)
    body = got.partition(b"\r\n\r\n")[2]
    (root / "issued").write_bytes(base64.b64decode(body))
    pem = openssl("pkcs7", "-inform", "DER", "-in", str(root / "issued"), "-print_certs")
    boxes = tls.authority_file(world, "boxes-authority", world.boxes)
    strict = ("-x509_strict", "-purpose", "sslclient", "-CAfile", str(boxes))
    assert openssl("verify", *strict, given=pem) == b"stdin: OK\n"
    text = openssl("x509", "-noout", "-text", given=pem).decode()
    assert f"DNS:{box.name}" in text
    assert "TLS Web Client Authentication" in text


# -- authorities are replaced without a visit ------------------------------------------------------


def test_a_successor_of_the_boxes_authority_takes_over_by_renewals(world: World) -> None:
    box = Ordered(world)
    with tls.served(world, est=ordering.est_of(world)) as port:
        asking = est(world, port)
        given = chain.authorities(asking.cacerts())
        first = asking.simpleenroll(box.asks(), box.token, given, now(world))
        asking.simpleenroll(box.asks("statement"), box.token, given, now(world))
        asking.close()
    box.activate()
    successor = authority.authority("Test Box Authority", world.now)  # the same name, even
    both = (world.boxes.certificate_der, successor.certificate_der)
    world.clock.move(300 * DAY_S)
    old = world.boxes
    world.boxes = successor  # whose boxes the server is to take, too: below
    changed = dataclasses.replace(ordering.est_of(world), anchors=both)
    pem = authority.pem_of(old.certificate, successor.certificate)
    with tls.served(world, est=changed, boxes_pem=pem) as port:
        as_itself = est(world, port, as_box(world, box, first))
        given = chain.authorities(as_itself.cacerts())
        fresh = as_itself.simplereenroll(box.asks(), given, now(world))
        as_itself.close()
    fresh.verify_directly_issued_by(successor.certificate)
    assert fresh.public_key() == first.public_key()


def test_a_successor_of_the_centres_authority_is_believed_by_the_old_ones_word(world) -> None:
    """The server shows its successor's certificate by the old key (RFC 4210 section 4.4)."""
    old = authority.authority("Test Server Authority", world.now, path_length=1)
    new = authority.authority("Test Server Authority 2", world.now)
    crossed = old.subordinate("Test Server Authority 2", world.now, key=new.key)
    key = authority.new_key()
    subject = authority.server_subject("centre", [tls.NAME])
    since = world.now - authority.BACKDATED
    shown = new.issue(authority.SERVER_TLS, subject, key.public_key(), since)
    with tls.served(
        world, est=ordering.est_of(world), shown=(shown, crossed.certificate, key)
    ) as port:
        for pinned in (old, new):
            context = client.anonymous(authority.pem_of(pinned.certificate).decode())
            asking = est(world, port, context)
            assert asking.cacerts() == (world.boxes.certificate_der,)
            asking.close()
        stranger = authority.authority("Test Server Authority", world.now, path_length=1)
        asking = est(world, port, client.anonymous(authority.pem_of(stranger.certificate).decode()))
        with pytest.raises(SdboxError, match="centre-unreachable"):
            asking.cacerts()
        asking.close()


def test_a_box_that_asks_without_end_is_told_to_come_later(world, port, monkeypatch) -> None:
    monkeypatch.setattr(estapi, "TRIES", 1)
    context = tls.box_context(world, world.box)
    statuses = [said(world, port, post("simplereenroll"), context)[0] for _ in range(2)]
    assert statuses == [400, 503]
