"""What OpenAPI says of a call, made of the wire types themselves. Knows no framework."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

import msgspec

from sdbox_agent.centre import wire

JSON: Final = "application/json"
REFUSALS: Final = (  # every status that the API gives a refusal or fault
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.CONFLICT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
)


def operation(request: type[Any] | None, answer: type[Any]) -> dict[str, Any]:
    """One call: its body, if it has one, its answer, its refusals."""
    wanted = [answer, wire.Problem] + ([] if request is None else [request])
    (answered, problem, *asked), parts = msgspec.json.schema_components(
        wanted, ref_template="#/$defs/{name}"
    )

    def content(schema: dict[str, Any]) -> dict[str, Any]:
        return {"content": {JSON: {"schema": _inlined(schema, parts)}}}

    described: dict[str, Any] = {
        "responses": {
            "200": {"description": answer.__doc__ or "", **content(answered)},
            **_refusals(content(problem)),
        }
    }
    if asked:
        described["requestBody"] = {"required": True, **content(asked[0])}
    return described


def stream(query: type[Any], media_type: str) -> dict[str, Any]:
    """A stream of server-sent events: what its query says, where it may begin, its refusals."""
    (asked, problem, number), parts = msgspec.json.schema_components(
        [query, wire.Problem, wire.Count], ref_template="#/$defs/{name}"
    )
    named = parts[asked["$ref"].rpartition("/")[2]]["properties"]
    fields = [
        {"in": "query", "name": name, "required": True, "schema": _inlined(schema, parts)}
        for name, schema in named.items()
    ]
    last = {"in": "header", "name": "Last-Event-ID", "required": False, "schema": number}
    events = {"content": {media_type: {"schema": {"type": "string"}}}}
    refused = {"content": {JSON: {"schema": _inlined(problem, parts)}}}
    return {
        "parameters": [*fields, last],
        "responses": {"200": {"description": "Events, as they come.", **events}}
        | _refusals(refused),
    }


def _refusals(problem: dict[str, Any]) -> dict[str, Any]:
    refused = {"description": "Refused: the code says why.", **problem}
    busy = {**refused, "headers": {"Retry-After": {"schema": {"type": "integer"}}}}
    return {
        **{str(int(status)): refused for status in REFUSALS},
        str(int(HTTPStatus.SERVICE_UNAVAILABLE)): busy,
    }


def _inlined(schema: Any, parts: dict[str, Any]) -> Any:  # noqa: ANN401  JSON
    """The schema with its references written out: our types never contain themselves."""
    match schema:
        case {"$ref": str(reference)}:
            return _inlined(parts[reference.rpartition("/")[2]], parts)
        case {"pattern": str(pattern)} if pattern.endswith(r"\Z"):  # Python's word, not ECMA's
            return _inlined({**schema, "pattern": pattern.removesuffix(r"\Z") + "$"}, parts)
        case dict():
            return {key: _inlined(value, parts) for key, value in schema.items()}
        case list():
            return [_inlined(value, parts) for value in schema]
        case _:
            return schema
