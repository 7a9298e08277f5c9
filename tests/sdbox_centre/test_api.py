import json

import pytest

from sdbox_agent.centre import wire
from sdbox_centre import api
from tests.sdbox_centre import tls
from tests.sdbox_centre.world import World


@pytest.fixture
def description(world: World) -> dict:
    app = api.make_app(world.centre, lambda: ())
    return app.openapi()


def test_every_call_is_described_whole(description: dict) -> None:
    assert set(description["paths"]) == {f"/v1/{name}" for name in (*api.CALLS, "crls", "link")}
    for name in api.CALLS:
        post = description["paths"][f"/v1/{name}"]["post"]
        body = post["requestBody"]["content"]["application/json"]["schema"]
        assert body["additionalProperties"] is False
        assert body["properties"]["v"]["enum"] == [1 if name == "hello" else wire.WIRE_MAX]
        assert body["properties"]["session" if name != "health" else "n"] is not None
        assert r"\Z" not in json.dumps(post)  # ECMA 262 knows no such anchor
        assert {"200", "400", "403", "404", "409", "413", "500", "503"} <= set(post["responses"])
        problem = post["responses"]["403"]["content"]["application/json"]["schema"]
        assert set(problem["properties"]) == {"code"}
    assert "$ref" not in json.dumps(
        [description["paths"][f"/v1/{name}"]["post"]["requestBody"] for name in api.CALLS]
    )


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
