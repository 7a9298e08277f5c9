import json

import pytest

from sdbox_agent.centre import wire
from sdbox_centre import api, review
from sdbox_centre.core import Centre
from tests.sdbox_centre import tls
from tests.sdbox_centre.world import World, session
from tests.waiting import until


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


def test_a_session_ends_on_its_day_while_nobody_acts(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a review that failed is followed by another."""
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
