"""Chats with a node through `madang.py` and fails loudly when a promise is broken.

    python3 examples/python/self_test.py http://127.0.0.1:8080 [--restart-hook]

With --restart-hook, `RESTART` on a line of stdout asks whoever started this to kill and restart
the node on its port and database, and to answer with a line on stdin.
"""

import asyncio
import json
import secrets
import sys
import time
import urllib.error
import urllib.request

from madang import Client, Error

MESSAGES = 300


def rest(base, method, path, body=None, token=None):
    """One REST request, again while the answer is "not now"; the JSON of its answer."""
    request = urllib.request.Request(f"{base}/v1/{path}", method=method)
    request.add_header("Content-Type", "application/json")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    data = None if body is None else json.dumps(body).encode()
    for left in reversed(range(20)):
        try:
            with urllib.request.urlopen(request, data, timeout=60) as answer:
                return json.loads(answer.read() or "null")
        except urllib.error.HTTPError as error:
            if error.code != 503 or not left:
                raise
            time.sleep(1)


def sign_up(base, name):
    """A new account; its access token."""
    person = {"username": f"{name}-{secrets.token_hex(4)}", "password": secrets.token_hex(8),
              "name": name}
    return rest(base, "POST", "auth/sign-up", person)["access_token"]


async def until(what, condition, seconds=180):
    """Waits for something, not for ever."""
    for _ in range(seconds * 50):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"never came: {what}")


async def ask_for_restart():
    print("RESTART", flush=True)
    await asyncio.to_thread(sys.stdin.readline)


async def talk(ann, bob, room_id):
    """What one says, the other hears, in order and as it was said."""
    await bob.request("join", room=room_id)
    heard, said = await bob.subscribe(room_id), await ann.subscribe(room_id)
    texts = ["hello", "안녕하세요 👩‍👩‍👧", "שלום", "line\nbreak \"quoted\" \\ \u2028"]
    for text in texts:
        ack = await ann.publish(room_id, text)
        await until("the message", lambda: heard.seq >= ack["seq"] and said.seq >= ack["seq"])
        assert heard.log[-1]["body"]["text"] == text, heard.log[-1]
        assert heard.log[-1]["from"] == ann.welcome["user"]
        assert said.log[-1]["client_id"] == ack["client_id"]
    await bob.tell("read", room=room_id, seq=heard.seq)
    page = await bob.history(room_id, limit=2)
    assert [event["body"]["text"] for event in page["events"]] == texts[-2:], page
    members = await bob.request("members", room=room_id)
    assert {member["name"] for member in members["members"]} == {"Ann", "Bob"}, members
    try:
        await ann.request("no_such_type")
    except Error as error:
        assert (error.code, error.name) == (1003, "unknown_type"), error
    else:
        raise AssertionError("an unknown type was not refused")


async def survive(ann, bob, room_id, restart):
    """Everything arrives once and in order, though connections and node are lost meanwhile."""
    sends = []
    for number in range(MESSAGES):
        sends.append(asyncio.create_task(ann.publish(room_id, f"message {number}")))
        await asyncio.sleep(0.005)
        if number % 70 == 30:
            bob.lose_connection()
        if number % 90 == 60:
            ann.lose_connection()
        if number == MESSAGES // 2 and restart:
            await restart()
    acks = await asyncio.gather(*sends)
    head = max(ack["seq"] for ack in acks)
    heard = bob.rooms[room_id]
    await until("the last message", lambda: heard.seq >= head)
    places = [event["seq"] for event in heard.log]
    assert places == list(range(places[0], places[0] + len(places))), "holes or repeats"
    texts = [e["body"]["text"] for e in heard.log if e["kind"] == "message"]
    for number, ack in enumerate(acks):
        assert texts.count(f"message {number}") == 1, f"message {number}"
        assert heard.log[ack["seq"] - places[0]]["body"]["text"] == f"message {number}"
    await until("ann's own copy", lambda: ann.rooms[room_id].seq >= head)
    strip = lambda log: [{**event, "client_id": None} for event in log]
    common = [e for e in ann.rooms[room_id].log if e["seq"] >= places[0]]
    for mine, theirs in zip(strip(common), strip(heard.log)):
        for field in ("seq", "kind", "from", "at", "body"):
            assert mine[field] == theirs[field], (mine, theirs)


async def main(base, *options):
    base = base.rstrip("/")
    tokens = [sign_up(base, name) for name in ("Ann", "Bob")]
    room = {"name": "python", "kind": "open"}
    room_id = rest(base, "POST", "rooms", room, tokens[0])["room"]
    ann, bob = [await Client.start(base, token) for token in tokens]
    await talk(ann, bob, room_id)
    restart = ask_for_restart if "--restart-hook" in options else None
    await survive(ann, bob, room_id, restart)
    print(f"ok: {ann.reconnects} and {bob.reconnects} reconnections, nothing lost")
    await ann.stop()
    await bob.stop()


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    asyncio.run(main(*sys.argv[1:]))
