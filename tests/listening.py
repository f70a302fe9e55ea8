"""웹 앱을 이 프로세스의 쓰레드에서 진짜로(waitress) 듣게 합니다."""

from __future__ import annotations

import socket
import threading
import time

from flask import Flask

from nlpbook import serving


def serve(app: Flask, threads: int) -> int:
    """앱이 듣기 시작할 때까지 기다리고, 그 포트를 돌려줍니다."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    threading.Thread(target=serving.listen, args=(app, "127.0.0.1", port, threads), daemon=True).start()
    while not is_listening(port):
        time.sleep(0.01)
    return port


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
