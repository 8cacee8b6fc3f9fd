#!/usr/bin/env python3
"""Walks the protocol as docs/protocol.md tells it, with the `websockets` library, which knows nothing of us.

    walk_protocol.py --url ws://HOST:PORT/v1/ws --key API_KEY

Every message that the server sends is checked against docs/asyncapi.json by its fields. Prints one JSON object: what each step came to.
"""

import argparse
import asyncio
import json
import pathlib
import urllib.error
import urllib.parse
import urllib.request

from websockets.asyncio.client import ClientConnection, connect

SECONDS_MAX = 30
DESCRIPTION = pathlib.Path(__file__).parents[2] / "docs" / "asyncapi.json"


class Conversation:
    """Asks, and hears what belongs to each operation."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.undeclared: list[dict] = []
        messages = json.loads(DESCRIPTION.read_text())["channels"]["socket"]["messages"]
        self.declared = [message["payload"] for name, message in messages.items() if name.startswith("from.")]

    async def say(self, message: dict) -> None:
        await self.connection.send(json.dumps(message))

    async def hear(self) -> dict:
        text = await asyncio.wait_for(self.connection.recv(), SECONDS_MAX)
        message = json.loads(text)
        if not any(_fits(message, schema) for schema in self.declared):
            self.undeclared.append(message)
        return message

    async def until(self, types: tuple[str, ...], id: str) -> dict:
        while True:
            message = await self.hear()
            if message.get("id") == id and message["type"] in types:
                return message

    async def ask(self, message: dict) -> dict:
        await self.say(message)
        return await self.until(("result", "done", "error"), message["id"])


def _fits(message: dict, schema: dict) -> bool:
    """The type is the schema's, all that is required is there, and nothing else."""
    properties = schema["properties"]
    if message["type"] != properties["type"]["const"]:
        return False
    return set(schema.get("required", [])) <= set(message) <= set(properties)


def _applied(hits: list[dict], ops: list[dict]) -> list[dict]:
    """As docs/protocol.md says how a diff is followed."""
    named = {op["hit"]["hitId"] if "hit" in op else op["hitId"] for op in ops}
    by_id = {hit["hitId"]: hit for hit in hits}
    places = {rank: hit for rank, hit in enumerate(hits, 1) if hit["hitId"] not in named}
    for op in ops:
        if op["op"] != "leave":
            places[op["rank"]] = op["hit"] if "hit" in op else {**by_id[op["hitId"]], "score": op["score"]}
    return [places[rank] for rank in sorted(places)]


async def _walk(url: str, key: str) -> dict:
    steps: dict[str, object] = {}
    options = {"subprotocols": ["freshet.v1+json"], "additional_headers": {"authorization": f"Bearer {key}"}}
    async with connect(url, **options) as connection:
        talk = Conversation(connection)
        ready = await talk.hear()
        steps["ready"] = ready["type"]

        await talk.say({"type": "ping"})
        steps["ping"] = (await talk.hear())["type"]

        otter = {"id": "otter", "text": "The otter swims at night.", "attributes": {"kind": "mammal", "legs": 4}}
        heron = {"id": "heron", "text": "The heron stands in the reeds.", "attributes": {"kind": "bird", "legs": 2}}
        indexed = await talk.ask({"type": "publish", "id": "1", "documents": [otter, heron], "ack": "indexed"})
        steps["publish indexed"] = [document["outcome"] for document in indexed["documents"]]

        await talk.say({"type": "publish", "id": "2", "documents": [{"id": "reed", "text": "Reeds grow by the water."}]})
        accepted = await talk.until(("accepted",), "2")
        await talk.until(("done",), "2")
        waited = await talk.ask({"type": "wait", "id": "3", "after": accepted["token"], "timeoutMs": 20_000})
        steps["wait"] = [document["outcome"] for document in waited["documents"]]

        for mode in ("hybrid", "dense", "keyword"):
            answer = await talk.ask({"type": "search", "id": f"4{mode}", "query": "heron reeds", "mode": mode, "k": 1})
            steps[f"search {mode}"] = answer["hits"][0]["documentId"]
        filtered = await talk.ask(
            {"type": "search", "id": "5", "query": "water", "filter": {"legs": {"gte": 3}, "kind": {"not": "bird"}}}
        )
        steps["search filtered"] = [hit["documentId"] for hit in filtered["hits"]]
        undeclared = {"type": "search", "id": "5u", "query": "water", "filter": {"wingspan": {"gte": 1}}}
        steps["filter undeclared"] = (await talk.ask(undeclared))["code"]
        eagle = {"id": "eagle", "text": "An eagle circles.", "attributes": {"wingspan": 2.1}}
        noted = await talk.ask({"type": "publish", "id": "5n", "documents": [eagle]})
        steps["notices"] = noted["notices"]
        typed = {"id": "eagle", "text": "An eagle circles.", "attributes": {"legs": "two"}}
        steps["another type"] = (await talk.ask({"type": "publish", "id": "5t", "documents": [typed]}))["code"]
        like = await talk.ask({"type": "search", "id": "6", "query": {"like": "acme/heron"}, "mode": "dense", "k": 1})
        steps["search like"] = like["type"]
        fresh = {"after": accepted["token"], "timeoutMs": 5_000}
        steps["search fresh"] = (await talk.ask({"type": "search", "id": "7", "query": "reeds", "freshness": fresh}))["type"]

        steps["bad k"] = (await talk.ask({"type": "search", "id": "8", "query": "x", "k": 1_000}))["code"]
        expired = {"after": "bm9uZQ", "timeoutMs": 0}
        steps["bad token"] = (await talk.ask({"type": "search", "id": "9", "query": "x", "freshness": expired}))["code"]
        steps["not served"] = (await talk.ask({"type": "ask", "id": "10", "question": "why?"}))["code"]

        await talk.say({"type": "subscribe", "id": "11", "query": "otters at night", "k": 2})
        snapshot = await talk.until(("snapshot",), "11")
        hits = snapshot["hits"]
        steps["snapshot"] = hits[0]["documentId"]
        other = {"id": "otters", "text": "Otters at night, in the river.", "attributes": {"kind": "mammal"}}
        await talk.say({"type": "publish", "id": "12", "documents": [other]})
        seen = snapshot
        while "otters" not in [hit["documentId"] for hit in hits]:
            seen = await talk.until(("diff",), "11")
            hits = _applied(hits, seen["ops"])
        steps["diff"] = sorted(hit["documentId"] for hit in hits)
        await talk.say({"type": "cancel", "id": "11"})
        steps["cancel"] = (await talk.until(("error",), "11"))["code"]
        resume = {"epoch": seen["epoch"], "seq": seen["seq"]}
        await talk.say({"type": "subscribe", "id": "13", "query": "otters at night", "k": 2, "resume": resume})
        steps["resume"] = (await talk.until(("diff", "snapshot"), "13"))["recovered"]
        await talk.say({"type": "cancel", "id": "13"})
        await talk.until(("error",), "13")

        gone = await talk.ask({"type": "publish", "id": "14", "documents": [{"id": "otters", "delete": True}], "ack": "indexed"})
        steps["delete"] = [document["outcome"] for document in gone["documents"]]
        steps["undeclared"] = talk.undeclared
        await connection.close()
        steps["closed"] = connection.close_code
    steps.update(_walk_http(url.replace("ws", "http", 1).removesuffix("/v1/ws"), key))
    return steps


def _walk_http(base: str, key: str) -> dict:
    """The part of the page that is headed `Over HTTP`."""

    def ask(method: str, path: str, body: object = None, headers: dict[str, str] | None = None):
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        all_headers = {"x-api-key": key, "content-type": "application/json", **(headers or {})}
        request = urllib.request.Request(base + path, data, all_headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=SECONDS_MAX) as answer:
                return answer.status, json.load(answer), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, json.load(error), error.headers

    def found(query: str, token: str) -> set[str]:
        headers = {"x-freshet-after": token, "prefer": "wait=20"}
        _, answer, told = ask("POST", "/v1/search", {"query": query, "mode": "keyword"}, headers)
        assert told["preference-applied"] == "wait=20"
        return {hit["documentId"] for hit in answer["hits"]}

    steps: dict[str, object] = {}
    path = "/v1/documents/" + urllib.parse.quote("birds/wren & co", safe="")
    status, put, headers = ask("PUT", path, {"text": "The wren sings loudly."})
    steps["put"] = [status, headers["x-freshet-token"] == put["token"]]
    steps["put is found"] = sorted(found("wren", put["token"]))
    status, deleted, _ = ask("DELETE", path + "?ack=indexed&timeoutMs=20000")
    steps["delete by address"] = [status, deleted["documents"][0]["outcome"]]

    lines = [{"id": f"bulk/{i}", "text": f"Lark number {i} rises."} for i in range(2_000)]
    body = "\n".join([*map(json.dumps, lines[:1_000]), "{", *map(json.dumps, lines[1_000:]), '{"id":"bulk/0","delete":true}'])
    status, bulk, _ = ask("POST", "/v1/documents/bulk", body.encode(), {"content-type": "application/x-ndjson"})
    counts = {name: bulk[name] for name in ("through", "written", "deleted", "faulty")}
    steps["bulk"] = [status, counts, [fault["line"] for fault in bulk["faults"]]]
    waited, _, _ = ask("POST", "/v1/wait", {"after": bulk["token"], "timeoutMs": 60_000})
    steps["bulk is there"] = [waited, "bulk/0" not in found("lark 0", bulk["token"]), "bulk/1999" in found("1999", bulk["token"])]

    twice = {"query": "x", "freshness": "any"}
    steps["said twice"] = ask("POST", "/v1/search", twice, {"x-freshet-after": put["token"]})[1]["code"]
    return steps


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--key", required=True)
    arguments = parser.parse_args()
    print(json.dumps(asyncio.run(_walk(arguments.url, arguments.key))))


if __name__ == "__main__":
    main()
