import pytest

from sdbox_agent.errors import Fault, Refused
from sdbox_centre.book import Book
from tests.sdbox_centre import world as w
from tests.sdbox_centre.world import World

GOOD = """levels = ["host-match"]
endpoint = "192.0.2.1:51820"
pools = ["10.77.0.0/24"]
interface = "vm1"
"""


@pytest.mark.parametrize(
    "text",
    [
        GOOD + "extra = 1\n",
        GOOD.replace("host-match", "root"),
        GOOD.replace("10.77.0.0/24", "10.77.0.1/24"),
        GOOD.replace("10.77.0.0/24", "10.77.0.0/31"),
        GOOD.replace("vm1", "vm1; reboot"),
        GOOD.replace("vm1", "interface-too-long"),
        GOOD + 'cards = ["zz"]\n',
        GOOD + 'pin_cards = ["zz"]\n',
        GOOD + f'cards = ["{"0" * 64}"]\npin_cards = ["{"0" * 64}"]\n',  # two ways in
        GOOD + 'cards = ["' + "0" * 64 + '\\n"]\n',
        GOOD.replace('levels = ["host-match"]', "levels = []"),
        "levels = [",
        "\x00",
    ],
)
def test_a_project_file_is_right_or_not_read(world: World, text: str) -> None:
    (world.root / "projects" / "bad.toml").write_text(text)
    book = Book(world.root / "boxes", world.root / "projects")
    with pytest.raises(Fault, match="config-invalid"):
        book.project("bad")


def test_a_project_is_read_as_it_stands_now(world: World) -> None:
    book = Book(world.root / "boxes", world.root / "projects")
    assert book.project(w.PROJECT).cards == {world.card.name}
    assert book.project(w.PROJECT).vm == "10.77.0.1"
    assert book.projects() == (w.PROJECT,)
    world.write_project([])
    assert book.project(w.PROJECT).cards == frozenset()


@pytest.mark.parametrize("name", ["", ".", "..", "../projects/x", "a/b", "a\n", "\0", "x" * 101])
def test_no_name_leads_out_of_the_directory(world: World, name: str) -> None:
    (world.root / "secret.toml").write_text(GOOD)
    book = Book(world.root / "boxes", world.root / "projects")
    with pytest.raises(Refused, match="project-not-granted"):
        book.project(name)
    with pytest.raises(Refused, match="box-refused"):
        book.box(name)


def test_a_box_has_one_certificate(world: World) -> None:
    book = Book(world.root / "boxes", world.root / "projects")
    assert book.box(world.box.name) == world.box.statement_der
    path = world.root / "boxes" / f"{world.box.name}.pem"
    path.write_bytes(path.read_bytes() * 2)
    with pytest.raises(Refused, match="box-refused"):
        book.box(world.box.name)
    path.write_bytes(b"nonsense")
    with pytest.raises(Refused, match="box-refused"):
        book.box(world.box.name)


@pytest.mark.parametrize("endpoint", ["192.0.2.3", "gateway.test:443", "127.0.0.1:443"])
def test_a_carriers_end_is_an_address_a_box_can_reach(world: World, endpoint: str) -> None:
    files = (world.root / "boxes", world.root / "projects")
    assert Book(*files, (w.CARRIER, world.root / "carrier.pem")).carrier() is not None
    for carrier in ((endpoint, world.root / "carrier.pem"), (w.CARRIER, world.root / "none.pem")):
        with pytest.raises(Fault, match="config-invalid"):
            Book(*files, carrier).carrier()
