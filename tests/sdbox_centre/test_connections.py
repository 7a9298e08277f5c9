from sdbox_centre.connections import MAX_OF_BOX, Connections


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
