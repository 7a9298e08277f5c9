import json
import threading
from pathlib import Path

import pytest

from sdbox_agent import errors
from sdbox_agent.centre import wire
from sdbox_agent.centre.https import CentreClient
from sdbox_agent.errors import SdboxError
from sdbox_centre import api, estapi, review, sessions
from sdbox_centre.core import Centre
from sdbox_centre.store import Away
from tests.sdbox_centre import tls
from tests.sdbox_centre.world import Session, World, session
from tests.waiting import until

VOUCHING = {"challenge", "vouch"}  # by the box's identity.vouching: of nobody's certificate
KEPT = Path(__file__).parents[2] / "docs/openapi.json"


@pytest.fixture
def description() -> dict:
    return api.description()


def own_calls(description: dict) -> list[str]:
    """What is not EST's."""
    return [path for path in description["paths"] if not path.startswith(estapi.PATH)]


def test_every_call_is_described_whole(description: dict) -> None:
    assert set(own_calls(description)) == {
        f"/v1/{name}" for name in (*api.CALLS, "crls", "link", *VOUCHING)
    }
    for name in api.CALLS:
        post = description["paths"][f"/v1/{name}"]["post"]
        body = post["requestBody"]["content"]["application/json"]["schema"]
        assert body["additionalProperties"] is False
        assert body["properties"]["v"]["enum"] == [1 if name == "hello" else wire.WIRE_MAX]
        about = {"health": "n", "report": "box", "retire": "box"}.get(name, "session")
        assert body["properties"][about] is not None
        assert r"\Z" not in json.dumps(post)  # ECMA 262 knows no such anchor
        assert {"200", "400", "403", "404", "409", "413", "500", "503"} <= set(post["responses"])
        problem = post["responses"]["403"]["content"]["application/json"]["schema"]
        assert set(problem["properties"]) == {"code"}
    assert "$ref" not in json.dumps(
        [description["paths"][f"/v1/{name}"]["post"]["requestBody"] for name in api.CALLS]
    )


def test_the_lists_are_described_too(description: dict) -> None:
    get = description["paths"]["/v1/crls"]["get"]
    assert "requestBody" not in get
    answer = get["responses"]["200"]["content"]["application/json"]["schema"]
    assert set(answer["properties"]) == {"crls"}


def test_the_description_is_the_one_that_is_kept(description: dict) -> None:
    """Whoever changes what is said on the wire sees it in the diff: `make openapi`."""
    assert json.loads(KEPT.read_text("utf-8")) == description
    assert description["info"]["version"] == str(wire.WIRE_MAX)


def test_the_boxs_own_client_has_each_call_and_no_other(description: dict) -> None:
    asked = {name for name in vars(CentreClient) if not name.startswith("_")} - {"close", "fetch"}
    asked = asked - {"listen"} | {"link"}  # the one that is no question
    asked |= VOUCHING  # before there is anything to call it with
    assert {path.removeprefix("/v1/") for path in own_calls(description)} == asked


def test_every_code_reaches_the_box_as_itself_with_a_status_that_is_described(
    world: World, description: dict, monkeypatch
) -> None:
    raised: list[str] = []

    def refuse(*_: object) -> None:
        raise errors.error(raised[-1])

    kind = api.CALLS["end"]
    monkeypatch.setitem(api.CALLS, "end", kind._replace(call=refuse))
    statuses = set()
    with tls.served(world) as port:
        client = tls.client(world, port)
        send = client._send

        def seen(*request: object) -> object:
            reply = send(*request)
            statuses.add(str(reply.status))
            return reply

        client._send = seen
        for code in errors.table():
            raised.append(code)
            with pytest.raises(SdboxError) as refused:
                client.end(wire.EndRequest(session="none", code="cancelled"))
            assert (refused.value.code, errors.explain(code).kind) == (
                code,
                next(
                    name for name, one in errors.CLASSES.items() if isinstance(refused.value, one)
                ),
            )
        client.close()
    assert statuses <= set(description["paths"]["/v1/end"]["post"]["responses"])


def test_the_stream_is_described_with_what_it_asks(description: dict) -> None:
    stream = description["paths"]["/v1/link"]["get"]
    asked = {(each["in"], each["name"]): each for each in stream["parameters"]}
    query = set(wire.LinkRequest.__struct_fields__)
    assert asked.keys() == {("query", name) for name in query} | {("header", "Last-Event-ID")}
    assert {name for _, name in asked if asked[_, name]["required"]} == query
    assert set(stream["responses"]["200"]["content"]) == {"text/event-stream"}
    assert {"400", "403", "503"} <= set(stream["responses"])


def test_the_description_is_served_in_development_only(world: World) -> None:
    assert api.make_app(world.centre, lambda: (), docs=True).openapi_url == "/openapi.json"
    assert api.make_app(world.centre, lambda: ()).openapi_url is None


def test_every_refusal_is_traced_with_its_box(world: World) -> None:
    with tls.served(world) as port:
        client = tls.client(world, port)
        with pytest.raises(Exception, match="not-found"):
            client.end(wire.EndRequest(session="none", code="cancelled"))
        client.close()
    with world.store.begin() as tx:
        last = tx.exec_driver_sql("SELECT act, code, box, session FROM trace ORDER BY seq").all()[
            -1
        ]
    assert tuple(last) == ("end", "not-found", world.box.name, "none")


def test_a_session_ends_on_its_day_while_nobody_acts(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a review that failed is followed by another."""
    world.believe_rows()
    session(world).to_open()
    world.clock.move(30)
    with world.store.begin() as tx:
        tx.exec_driver_sql(f"UPDATE sessions SET stands_until_s = {world.clock.utc}")
        tx.exec_driver_sql(f"UPDATE grants SET not_after_s = {world.clock.utc}")
    failures = iter([RuntimeError("once"), RuntimeError("twice")])
    sweep = review.sweep

    def failing_at_first(centre: Centre) -> None:
        for failure in failures:
            raise failure
        sweep(centre)

    monkeypatch.setattr(review, "EVERY_S", 0.01)
    monkeypatch.setattr(review, "sweep", failing_at_first)
    with tls.served(world):
        until(lambda: not world.peers.peers)
    assert world.trace()[-1] == ("end", "grant-ended")


def test_a_database_that_is_away_is_not_asked_to_trace_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def begin() -> None:
        asked.append(1)
        raise Away("centre-fault")

    monkeypatch.setattr(world.store, "begin", begin)
    body = api._Body(world.box.hello(None), b"")
    with pytest.raises(Away):
        api._traced(world.centre, "hello", sessions.hello, world.box.fingerprint, body)
    assert len(asked) == 1


def test_attempts_from_many_connections_are_counted_once_each(world: World) -> None:
    """Six connections, each with the only unused challenge: one attempt is spent."""
    with tls.served(world) as port:
        _spend_from_many(world, port)
    with world.store.begin() as tx:
        assert tx.exec_driver_sql("SELECT failures FROM cards").scalar() == 1


def _spend_from_many(world: World, port: int) -> None:
    lead = tls.client(world, port)
    one = Session(world, lead, world.box, world.card, "boot-1-1")
    one.hello()
    one.prove()
    clients = [tls.client(world, port) for _ in range(6)]
    got: list[object] = []

    def spend(client: object) -> None:
        try:
            request = wire.AttemptRequest(session=one.name, challenge=one.challenge)
            got.append(client.attempt(request))  # type: ignore[attr-defined]
        except SdboxError as error:
            got.append(error.code)

    threads = [threading.Thread(target=spend, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for client in (*clients, lead):
        client.close()
    assert len(got) == 6
    assert all(answer == got[0] for answer in got)
