"""A WebSocket client (RFC 6455) for asyncio, from the standard library alone.

As much of it as a chat client needs: text messages, pings answered by themselves, the close
code kept. A program of your own may use any WebSocket library instead.
"""

import asyncio
import base64
import hashlib
import os
import struct
from urllib.parse import urlsplit

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x1, 0x2, 0x8, 0x9, 0xA


class Closed(Exception):
    """The connection is over; `code` is 1006 when the server said no farewell."""

    def __init__(self, code=1006, reason=""):
        super().__init__(f"connection closed: {code} {reason}".rstrip())
        self.code = code
        self.reason = reason


class Refused(Exception):
    """The server did not upgrade; `status` is what it answered."""

    def __init__(self, status, line):
        super().__init__(f"upgrade refused: {line}")
        self.status = status


class WebSocket:
    """One open connection. Made by `connect`."""

    def __init__(self, reader, writer):
        self._reader = reader
        self._writer = writer

    async def send(self, text):
        """Sends one text message; waits while the server takes no more."""
        await self._send(_TEXT, text.encode())

    async def receive(self):
        """The next text message. Raises `Closed` at the end."""
        message = b""
        while True:
            opcode, final, payload = await self._frame()
            if opcode == _PING:
                await self._send(_PONG, payload)
            elif opcode == _CLOSE:
                await self._farewell(payload)
            elif opcode != _PONG:
                message += payload
                if final:
                    return message.decode()

    async def close(self, code=1000):
        """Says farewell and lets go of the socket."""
        try:
            await self._send(_CLOSE, struct.pack(">H", code))
        except Closed:
            pass
        self._writer.close()

    def abort(self):
        """Lets go of the socket without a word, as a lost network does."""
        self._writer.transport.abort()

    async def _farewell(self, payload):
        code = struct.unpack(">H", payload[:2])[0] if len(payload) >= 2 else 1005
        await self.close(code if code != 1005 else 1000)
        raise Closed(code, payload[2:].decode(errors="replace"))

    async def _frame(self):
        try:
            first, second = await self._reader.readexactly(2)
            length = second & 0x7F
            if length == 126:
                (length,) = struct.unpack(">H", await self._reader.readexactly(2))
            elif length == 127:
                (length,) = struct.unpack(">Q", await self._reader.readexactly(8))
            return first & 0x0F, bool(first & 0x80), await self._reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError) as cause:
            raise Closed() from cause

    async def _send(self, opcode, payload):
        length = len(payload)
        if length < 126:
            head = struct.pack(">BB", 0x80 | opcode, 0x80 | length)
        elif length < 1 << 16:
            head = struct.pack(">BBH", 0x80 | opcode, 0x80 | 126, length)
        else:
            head = struct.pack(">BBQ", 0x80 | opcode, 0x80 | 127, length)
        mask = os.urandom(4)
        pattern = mask * (length // 4 + 1)
        masked = int.from_bytes(payload, "big") ^ int.from_bytes(pattern[:length], "big")
        try:
            self._writer.write(head + mask + masked.to_bytes(length, "big"))
            await self._writer.drain()
        except OSError as cause:
            raise Closed() from cause


async def connect(url, protocol):
    """Opens a `ws://` or `wss://` URL with this subprotocol."""
    parts = urlsplit(url)
    secure = parts.scheme == "wss"
    port = parts.port or (443 if secure else 80)
    reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=secure or None)
    key = base64.b64encode(os.urandom(16))
    writer.write(
        f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key.decode()}\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n".encode()
    )
    await writer.drain()
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError as cause:
        raise Closed() from cause
    status_line, *lines = head.split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (l.partition(":") for l in lines)}
    status = int(status_line.split()[1])
    expected = base64.b64encode(hashlib.sha1(key + _GUID).digest()).decode()
    if status != 101 or fields.get("sec-websocket-accept") != expected:
        writer.close()
        raise Refused(status, status_line)
    return WebSocket(reader, writer)
