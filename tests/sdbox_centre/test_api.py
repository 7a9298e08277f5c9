import json

import pytest

from sdbox_agent.centre import wire
from sdbox_centre import api, sessions
from sdbox_centre.store import Away
from tests.sdbox_centre import tls
from tests.sdbox_centre.world import World


@pytest.fixture
def description(world: World) -> dict:
    app = api.make_app(world.centre, lambda: ())
    return app.openapi()


def test_every_call_is_described_whole(description: dict) -> None:
    assert set(description["paths"]) == {f"/v1/{name}" for name in (*api.CALLS, "crls")}
    for name in api.CALLS:
        post = description["paths"][f"/v1/{name}"]["post"]
        body = post["requestBody"]["content"]["application/json"]["schema"]
        assert body["additionalProperties"] is False
        assert body["properties"]["v"]["enum"] == [1 if name == "hello" else wire.WIRE_MAX]
        assert body["properties"]["session"] is not None
        assert r"\Z" not in json.dumps(post)  # ECMA 262 knows no such anchor
        assert {"200", "400", "403", "404", "409", "413", "500", "503"} <= set(post["responses"])
        problem = post["responses"]["403"]["content"]["application/json"]["schema"]
        assert set(problem["properties"]) == {"code"}
    assert "$ref" not in json.dumps(
        [description["paths"][f"/v1/{name}"]["post"]["requestBody"] for name in api.CALLS]
    )


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
