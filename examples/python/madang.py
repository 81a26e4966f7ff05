"""A client of madang's native protocol, written from docs/PROTOCOL.md.

    client = await Client.start("http://127.0.0.1:8080", token)
    room = await client.subscribe(room_id)
    await client.publish(room_id, "hello")
    async for event in room.events(): ...

It keeps the promises that the document asks of a client: it goes on from its position after
every loss, repeats what was not acknowledged with the same `client_id`, and does what the
hundred of a close code says.
"""

import asyncio
import json
import random
import secrets
import time

from websocket import Closed, Refused, connect

# Hundreds of close codes, and what they ask a client to do.
_NEW_HELLO, _NEEDS_TOKEN, _WAIT, _STOP = 41, 42, 43, 44


class Error(Exception):
    """The node refused a request."""

    def __init__(self, frame):
        super().__init__(f"{frame['name']}: {frame['message']}")
        self.code = frame["code"]
        self.name = frame["name"]
        self.retry = frame["retry"]
        self.retry_after_ms = frame.get("retry_after_ms")
        self.detail = frame.get("detail")


class Room:
    """What this client knows of a room: its log, without holes, from where it began to look."""

    def __init__(self, room):
        self.id = room
        self.epoch = None
        self.seq = 0
        self.info = {}
        self.log = []
        self.live = False
        # Events behind a hole that `history` has yet to fill, by seq.
        self.ahead = {}
        self._news = asyncio.Condition()

    @property
    def position(self):
        return {"epoch": self.epoch, "seq": self.seq}

    async def events(self):
        """Every event known, then every event that comes, in order."""
        read = 0
        while True:
            async with self._news:
                await self._news.wait_for(lambda: len(self.log) > read)
            while read < len(self.log):
                yield self.log[read]
                read += 1

    def begin(self, epoch, seq):
        """Forgets everything: this log begins, or begins anew, after this seq."""
        self.epoch, self.seq, self.log, self.ahead = epoch, seq, [], {}

    async def add(self, events):
        """Takes events in. What is known is skipped, what lies behind a hole waits."""
        self.ahead.update((event["seq"], event) for event in events if event["seq"] > self.seq)
        while self.seq + 1 in self.ahead:
            self.seq += 1
            self.log.append(self.ahead.pop(self.seq))
        async with self._news:
            self._news.notify_all()


class Client:
    """One person's connection, kept up through losses until `stop` or a final refusal."""

    def __init__(self, base, token):
        self._url = base.replace("http", "ws", 1).rstrip("/") + "/v1/ws"
        self._token = token
        self._socket = None
        self._ref = 0
        self._answers = {}
        self._unacknowledged = {}
        self._ready = asyncio.Event()
        self._task = None
        self._errands = set()
        self.rooms = {}
        self.welcome = {}
        self.ended = None
        self.reconnects = 0
        # Called with every frame that is not about a request or an event.
        self.on_frame = lambda frame: None

    @classmethod
    async def start(cls, base, token):
        """Connects; returns when the node has said `welcome`."""
        client = cls(base, token)
        client._task = asyncio.create_task(client._run())
        ready = asyncio.create_task(client._ready.wait())
        await asyncio.wait({client._task, ready}, return_when=asyncio.FIRST_COMPLETED)
        if client._task.done():
            ready.cancel()
            client._task.result()
        return client

    async def stop(self):
        self._task.cancel()
        if self._socket:
            await self._socket.close()

    def lose_connection(self):
        """Drops the socket, as a lost network does. For tests."""
        self._socket.abort()

    async def request(self, kind, **fields):
        """Sends a request and waits for its answer; `Error` when it is refused."""
        await self._ready.wait()
        self._ref += 1
        answer = asyncio.get_running_loop().create_future()
        self._answers[self._ref] = answer
        await self._send({"type": kind, "ref": self._ref, **fields})
        return await answer

    async def tell(self, kind, **fields):
        """Sends a frame that has no answer."""
        await self._ready.wait()
        await self._send({"type": kind, **fields})

    async def subscribe(self, room_id, last=50):
        """Subscribes to the newest events of a room, and to all that follow."""
        room = self.rooms.setdefault(room_id, Room(room_id))
        await self.request("subscribe", room=room_id, last=last)
        return room

    async def publish(self, room_id, text, **more):
        """Publishes a message; returns its ack, however often the connection is lost before."""
        client_id = uuid7()
        frame = {"type": "publish", "room": room_id, "client_id": client_id,
                 "body": {"text": text}, **more}
        while True:
            answer = asyncio.get_running_loop().create_future()
            self._unacknowledged[client_id] = (frame, answer)
            try:
                await self._send_publish(frame)
                return await answer
            except Error as error:
                if not error.retry:
                    raise
                await asyncio.sleep((error.retry_after_ms or 500) / 1000)
            finally:
                self._unacknowledged.pop(client_id, None)

    async def history(self, room_id, **where):
        """A page of the raw log: `before`, `after` or `around` a seq, `limit` up to 200."""
        return await self.request("history", room=room_id, **where)

    async def _send_publish(self, frame):
        if self._ready.is_set():
            self._ref += 1
            await self._send({**frame, "ref": self._ref})

    async def _run(self):
        while True:
            try:
                self._socket = await connect(self._url, "madang.v1")
                await self._serve()
            except Closed as closed:
                hundred = closed.code // 100
                if hundred in (_NEEDS_TOKEN, _STOP):
                    self._end(closed)
                    raise
                wait = 30 if hundred == _WAIT else random.uniform(0, 2)
                if hundred == _NEW_HELLO:
                    for room in self.rooms.values():
                        room.epoch = None
            except Refused as refused:
                if refused.status not in (429, 503):
                    self._end(refused)
                    raise
                wait = 30
            except OSError:
                wait = random.uniform(0, 2)
            self._lost()
            self.reconnects += 1
            await asyncio.sleep(wait)

    async def _serve(self):
        resume = {room.id: room.position for room in self.rooms.values() if room.epoch}
        await self._send({"type": "hello", "version": 1, "token": self._token, "resume": resume})
        while True:
            await self._take(json.loads(await self._socket.receive()))

    def _lost(self):
        self._ready.clear()
        for room in self.rooms.values():
            room.live = False
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(Closed())
        self._answers.clear()

    def _end(self, cause):
        self.ended = cause
        self._lost()
        for _, answer in self._unacknowledged.values():
            if not answer.done():
                answer.set_exception(cause)

    async def _send(self, frame):
        try:
            await self._socket.send(json.dumps(frame, ensure_ascii=False))
        except Closed:
            pass  # The reader meets the same end and comes back.

    async def _take(self, frame):
        kind, room = frame["type"], self.rooms.get(frame.get("room"))
        if kind == "welcome":
            self.welcome = frame
        elif kind == "live" and "room" not in frame:
            await self._welcomed()
        elif kind == "live" and room:
            room.live = True
        elif kind == "event" and room:
            await room.add([frame])
        elif kind == "batch" and "ref" not in frame and room:
            await room.add(frame["events"])
        elif kind == "snapshot" and room:
            await self._snapshot(room, frame)
        elif kind == "gap" and room:
            self._gap(room, frame)
        elif kind not in ("ack", "batch", "error", "ok", "pong", "members"):
            self.on_frame(frame)
        self._answer(frame)

    def _answer(self, frame):
        answer = self._answers.pop(frame.get("ref"), None)
        waiting = self._unacknowledged.get(frame.get("client_id"))
        if frame["type"] in ("ack", "error") and waiting:
            answer = waiting[1]
        if answer is None or answer.done():
            return
        if frame["type"] == "error":
            answer.set_exception(Error(frame))
        else:
            answer.set_result(frame)

    async def _welcomed(self):
        """Signed in, and every room that could go on has: see to the others."""
        self._ready.set()
        for frame, _ in list(self._unacknowledged.values()):
            await self._send_publish(frame)
        for room in self.rooms.values():
            if not room.live:
                self._errand(self._subscribe_on(room))

    async def _snapshot(self, room, frame):
        events = frame["events"]
        if room.epoch != frame["epoch"]:
            room.begin(frame["epoch"], events[0]["seq"] - 1 if events else frame["head"])
        room.info, room.live = frame["info"], True
        await room.add(events)
        if room.ahead:
            self._errand(self._fill(room))

    def _gap(self, room, frame):
        """What is missing is fetched from history; who is no longer subscribed subscribes."""
        if frame["reason"] == "epoch":
            room.epoch = None
        if frame["reason"] == "lag":
            room.live = False
            self._errand(self._subscribe_on(room))

    async def _subscribe_on(self, room):
        where = {"after": room.position} if room.epoch else {}
        try:
            await self.request("subscribe", room=room.id, **where)
        except Error:
            # No longer a member: what is known stays with whoever holds the room.
            self.rooms.pop(room.id, None)

    async def _fill(self, room):
        """Fetches the hole below `room.ahead`, page by page."""
        while room.ahead:
            page = await self.history(room.id, after=room.seq, limit=200)
            if page["epoch"] != room.epoch:
                return
            first = min([event["seq"] for event in page["events"]] + list(room.ahead))
            # Below the own join of a group there is nothing to be had.
            room.seq = max(room.seq, first - 1)
            await room.add(page["events"])

    def _errand(self, work):
        """Does something beside reading. A lost connection ends it: coming back begins anew."""

        async def run():
            try:
                await work
            except Closed:
                pass

        task = asyncio.create_task(run())
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)


def uuid7():
    """A UUIDv7: the time in milliseconds, then chance."""
    number = (int(time.time() * 1000) << 80) | secrets.randbits(80)
    number = number & ~(0xF << 76) | (0x7 << 76)
    number = number & ~(0x3 << 62) | (0x2 << 62)
    text = f"{number:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
