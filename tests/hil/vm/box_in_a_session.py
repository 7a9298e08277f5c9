"""A box in a virtual machine, from outside: one session, and what is left of it in memory.

Not collected by itself: `python -m hil.vm --box` runs it after box_in_the_field.py, in this order,
on the same machine. Card, finger, centre and gateway are the rig's and stand outside.
"""

import time

from hil.vm.box.guest import MEMORY_MB
from tests.hil.vm.field import IDLE, OVER, READER_ID, Field


def test_one_session_with_pin_and_finger(there: Field) -> None:
    """Over a cable that delays what the box sends, and loses some of it."""
    guest, who = there.guest, there.holder
    guest.run(f"date --utc --set=@{time.time():.0f}")  # its clock was slower while it worked
    guest.run("tc qdisc replace dev uplink root netem delay 20ms 5ms loss 1%")
    reader = guest.reader or guest.plug_reader()
    there.at(READER_ID)
    reader.insert(who.card)
    there.status("Waiting for the card's PIN.")
    guest.type_pin(who.pin)
    there.status("Waiting for a finger.")
    guest.lay(there.pixels)
    there.status("A session is open.")
    assert any("wireguard" in link for link in there.links()), "the kernel's own"
    assert "Sent 0 bytes" not in guest.run("tc -s qdisc show dev uplink")


def test_card_out_ends_it(there: Field) -> None:
    assert there.guest.reader
    there.guest.reader.remove()
    there.status(IDLE)
    (link,) = there.links()
    assert ": lo: " in link


# -- its memory ------------------------------------------------------------------------------------


def test_its_whole_memory_holds_nothing_of_it(there: Field) -> None:
    there.guest.wash()
    assert there.found() == {}
    assert there.figures["a dump, MiB"] > MEMORY_MB


def test_whatever_stays_behind_would_be_found(there: Field) -> None:
    """The control: a piece of each secret in a file that lies in its memory."""
    pieces = b"".join(bytes(64) + shapes[0] for shapes in there.secrets.values())
    there.guest.plant(pieces)
    assert set(there.found()) == set(there.secrets)
    there.guest.run("rm /run/rig/planted")


# -- a reader that goes ----------------------------------------------------------------------------


def test_a_reader_that_is_pulled_takes_its_card_with_it(there: Field) -> None:
    assert there.guest.reader
    there.guest.reader.insert(there.holder.card)
    there.status("Waiting for the card's PIN.")
    there.guest.pull_reader()
    there.at(READER_ID, there=False)
    there.status(IDLE, OVER)
    assert there.guest.said("test -e /dev/sdbox/reader").status == 1
    there.guest.plug_reader()
    there.at(READER_ID)
    assert there.guest.reader
    there.guest.reader.insert(there.holder.card)
    there.status("Waiting for the card's PIN.")
    there.guest.pull_reader()
