"""틀린 HTTP 요청을 시드로 지어내는 곳. 같은 시드는 같은 요청들입니다."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

METHODS = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "get", "", "가", "A" * 40]
PATHS = [
    "/",
    "/api",
    "/api/generate",
    "/healthz",
    "/../README.md",
    "/%00",
    "/%ff%fe",
    "//",
    "/api?" + "a=1&" * 99,
    "*",
    "",
]
VALUES = [None, True, -1, 0, 1e308, 10**40, "", " ", "여우", "\ud800", "\x00", "a" * 3000, [], {}, [[]], {"": ""}]
NAMES = [
    "text",
    "prompt",
    "dialogue",
    "max_tokens",
    "temperature",
    "top_k",
    "top_p",
    "seed",
    "stream",
    "num_beams",
    "\ud800",
]
HEADERS = [
    "Host: localhost",
    "Host: ",
    "Host: a b",
    "Host: evil.example",
    "Content-Type: text/plain",
    "Content-Type: application/json; charset=utf-16",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked",
    "Content-Length: -5",
    "Content-Length: 99999999999999999999",
    "Content-Length: 3\r\nContent-Length: 4",
    "Expect: 100-continue",
    "Origin: null",
    "Range: bytes=9-1",
    "Connection: upgrade",
    "X: " + "y" * 5_000,
    "\u0000: \u0007",
    "no colon",
]


def requests(seed: int, count: int, address: str) -> Iterator[tuple[bytes, bool]]:
    """(요청, 끝까지 보낸 요청인가) `count`개. 셋에 둘은 `address`로 보내는 틀린 본문, 나머지는 HTTP부터 틀립니다."""
    chance = random.Random(seed)
    for _ in range(count):
        complete = chance.random() < 0.67
        yield body_request(chance, address) if complete else broken_request(chance), complete


def body_request(chance: random.Random, address: str) -> bytes:
    body = chance.choice([_object, _cut, _noise, _nested])(chance)
    head = f"POST {address} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


def broken_request(chance: random.Random) -> bytes:
    lines = [f"{chance.choice(METHODS)} {chance.choice(PATHS)} HTTP/{chance.choice(['1.1', '1.0', '9', 'x'])}"]
    lines += chance.sample(HEADERS, chance.randrange(5))
    raw = "\r\n".join([*lines, "Connection: close", "", ""]).encode("utf-8", "surrogatepass") + _noise(chance)
    for _ in range(chance.randrange(4)):  # 바이트 몇 개를 바꾸거나 지웁니다.
        place = chance.randrange(len(raw))
        raw = raw[:place] + bytes(chance.choices(range(256), k=chance.randrange(3))) + raw[place + 1 :]
    return raw


def _object(chance: random.Random) -> bytes:
    made = {name: chance.choice(VALUES) for name in chance.sample(NAMES, chance.randrange(5))}
    return json.dumps(chance.choice([made, [made], chance.choice(VALUES)])).encode()


def _cut(chance: random.Random) -> bytes:
    whole = _object(chance)
    return whole[: chance.randrange(len(whole) + 1)]


def _noise(chance: random.Random) -> bytes:
    return bytes(chance.choices(range(256), k=chance.randrange(200)))


def _nested(chance: random.Random) -> bytes:
    return chance.choice([b"[", b'{"text":', b'{"prompt":[']) * chance.randrange(4_000)
