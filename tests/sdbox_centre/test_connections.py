import asyncio

from sdbox_centre.connections import (
    MAX_ANONYMOUS,
    MAX_ANONYMOUS_OF_ADDRESS,
    MAX_OF_BOX,
    Connections,
    end,
)


class Transport:
    aborted = False

    def abort(self) -> None:
        self.aborted = True


def test_every_connection_of_a_box_is_cut_and_of_no_other() -> None:
    connections, (one, two, other) = Connections(), (Transport() for _ in range(3))
    connections.add(b"box", one)
    connections.add(b"box", two)
    connections.add(b"other", other)
    connections.cut(b"box")
    connections.cut(b"unknown")
    assert (one.aborted, two.aborted, other.aborted) == (True, True, False)


def test_a_box_that_comes_once_more_loses_its_oldest_connection_and_nobody_else_one() -> None:
    connections, other = Connections(), Transport()
    many = [Transport() for _ in range(MAX_OF_BOX + 2)]
    connections.add(b"other", other)
    for transport in many:
        connections.add(b"box", transport)
    assert [each.aborted for each in many] == [True] * 2 + [False] * MAX_OF_BOX
    assert not other.aborted
    connections.discard(b"box", many[0])  # the loop says so later
    connections.cut(b"box")
    assert all(each.aborted for each in many)


def test_who_has_none_left_is_among_nobody() -> None:
    connections, (one, two) = Connections(), (Transport() for _ in range(2))
    connections.add(b"box", one)
    connections.add(b"box", two)
    connections.discard(b"box", one)
    connections.discard(b"box", one)
    assert connections.among([b"box", b"other"]) == {b"box"}
    connections.discard(b"box", two)
    connections.discard(b"other", two)
    assert connections.among([b"box", b"other"]) == frozenset()


def test_a_connection_that_has_ended_is_ended_again() -> None:
    """asyncio's own: closed twice, it has let go of what it would abort."""
    protocol = asyncio.sslproto.SSLProtocol.__new__(asyncio.sslproto.SSLProtocol)
    transport = asyncio.sslproto._SSLProtocolTransport(None, protocol)
    transport._closed = True
    transport.close()
    end(transport)


def test_a_box_is_cut_by_its_key_or_its_certificate() -> None:
    """Whichever staff's act names; a renewed certificate leaves the key."""
    certificate, renewed, key = b"c" * 32, b"r" * 32, b"k" * 32
    connections, (one, two, other) = Connections(), (Transport() for _ in range(3))
    connections.add(certificate + key, one)
    connections.add(renewed + key, two)
    connections.add(b"x" * 64, other)
    assert connections.among([key, certificate]) == {key, certificate}
    connections.cut(certificate)
    assert (one.aborted, two.aborted) == (True, False)
    connections.cut(key)
    assert (two.aborted, other.aborted) == (True, False)
    connections.discard(certificate + key, one)
    connections.discard(renewed + key, two)
    assert connections.among([key, certificate, renewed]) == frozenset()


def test_of_those_without_a_certificate_one_more_is_turned_away() -> None:
    connections, many = Connections(), [Transport() for _ in range(MAX_ANONYMOUS + 1)]
    for number, transport in enumerate(many):
        connections.add_anonymous(transport, f"192.0.2.{number}")
    assert [each.aborted for each in many] == [False] * MAX_ANONYMOUS + [True]
    connections.discard(b"", many[0])
    late = Transport()
    connections.add_anonymous(late, "192.0.2.1")
    assert not late.aborted


def test_one_address_takes_no_more_than_its_share() -> None:
    connections = Connections()
    many = [Transport() for _ in range(MAX_ANONYMOUS_OF_ADDRESS + 1)]
    for transport in many:
        connections.add_anonymous(transport, "192.0.2.1")
    assert [each.aborted for each in many] == [False] * MAX_ANONYMOUS_OF_ADDRESS + [True]
    other = Transport()
    connections.add_anonymous(other, "192.0.2.2")
    connections.discard(b"", many[0])
    connections.add_anonymous(again := Transport(), "192.0.2.1")
    assert (other.aborted, again.aborted) == (False, False)
