"""웹 서비스의 바탕: 요청을 글로 읽기, JSON 오류, 다른 사이트를 막는 머리글, waitress로 듣기."""

from __future__ import annotations

import itertools
import json
import secrets
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import urlsplit

from flask import Flask, Request, Response, g, has_request_context, jsonify, request
from flask.json.provider import DefaultJSONProvider
from werkzeug.exceptions import (
    BadRequest,
    ClientDisconnected,
    Forbidden,
    HTTPException,
    RequestEntityTooLarge,
    UnprocessableEntity,
)

from console_text import did_you_mean, with_particles
from nlpbook.errors import UserError
from nlpbook.paths import TEMPLATES
from nlpbook.text import normalized

Step = TypeVar("Step")
MAX_BYTES = 64 * 1024
MAX_CHARACTERS = 2_000
MAX_CONNECTIONS = 1_000  # 한꺼번에 열어 둘 연결. 요청을 다 보내지 않은 연결은 쓰레드를 붙들지 않습니다
RETRY_AFTER = 2  # 바쁠 때 다시 보내라고 알리는 초
LOOPBACK = {"localhost", "127.0.0.1", "::1"}
EVERYWHERE = ("", "0.0.0.0", "::")  # 이 기계의 모든 주소에서 듣습니다
ERRORS = {
    400: "요청을 읽을 수 없습니다. HTTP의 형식에 맞게 보내 주세요.",
    404: "그런 주소는 없습니다.",
    405: "이 주소에서 쓸 수 없는 방법(method)입니다.",
    413: f"요청이 너무 큽니다. {MAX_BYTES // 1024} KB까지 받습니다.",
    431: "요청의 머리글(header)이 너무 깁니다.",
    500: "서버에서 예상하지 못한 문제가 생겼습니다. 서버의 화면에 적힌 오류를 확인해 주세요.",
    501: "이 서버가 모르는 방법(transfer encoding)으로 보낸 요청입니다.",
}
POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; "
    "img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


class WholeJSON(DefaultJSONProvider):
    """한글을 그대로 적는 JSON. 요청에서 되돌려 적는 글에 짝을 잃은 서로게이트가 있으면 물음표로 바꿉니다."""

    ensure_ascii = False

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        return super().dumps(obj, **kwargs).encode("utf-8", "replace").decode("utf-8")


def new_app(name: str) -> Flask:
    """templates/를 쓰고, 모든 오류를 `{"error": 문장}`으로 답하는 Flask 앱.

    다른 사이트의 페이지가 보낸 요청은 거절하고, 페이지에는 내용 보안 정책(content security policy)을 붙입니다. 페이지의
    `<script>`와 `<style>`은 `nonce="{{ nonce }}"`가 있어야 움직입니다(templates/shared/layout.html이 붙여 줍니다).
    """
    app = Flask(name, template_folder=str(TEMPLATES))
    app.config["MAX_CONTENT_LENGTH"] = MAX_BYTES
    app.json = WholeJSON(app)

    @app.errorhandler(HTTPException)
    def explain(error: HTTPException) -> Response:
        code = error.code or 500
        ours = error.description if error.description != type(error).description else None
        answer = jsonify(error=with_particles(ours or ERRORS.get(code, error.description) or ""))
        answer.status_code = code
        for name, value in error.get_headers():
            if name in ("Allow", "Retry-After"):
                answer.headers[name] = value
        if code == 503:
            answer.headers.setdefault("Retry-After", str(RETRY_AFTER))
        return answer

    @app.before_request
    def refuse_other_sites() -> None:
        hosts = app.config.get("SERVED_HOSTS")  # Werkzeug의 TRUSTED_HOSTS는 IPv6 주소를 알아보지 못합니다(3.1.9).
        if hosts and urlsplit(f"//{request.host}").hostname not in hosts:
            raise BadRequest("이 서버의 주소가 아닌 이름(Host)으로 보낸 요청은 받지 않습니다.")
        origin = request.headers.get("Origin")
        safe = request.method in ("GET", "HEAD", "OPTIONS")
        if not safe and origin is not None and urlsplit(origin).netloc != request.host:
            raise Forbidden("다른 사이트의 페이지가 보낸 요청은 받지 않습니다. 이 서버의 페이지에서 보내 주세요.")

    @app.context_processor
    def nonce_of_this_answer() -> dict[str, str]:
        g.nonce = secrets.token_urlsafe(16)
        return {"nonce": g.nonce}

    @app.after_request
    def protect(answer: Response) -> Response:
        policy = POLICY.format(nonce=g.nonce) if "nonce" in g else "default-src 'none'; frame-ancestors 'none'"
        answer.headers["Content-Security-Policy"] = policy
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.headers["X-Frame-Options"] = "DENY"
        answer.headers["Referrer-Policy"] = "no-referrer"
        return answer

    return app


def while_connected(steps: Iterable[Step]) -> Iterator[Step]:
    """`steps`를 하나씩 내놓다가, 답을 기다리던 사람이 떠나면 그만둡니다. 아무도 읽지 않을 답을 계산하지 않습니다.

    요청을 처리하는 동안에 부릅니다. 돌려받은 것은 그 뒤에(흘려보내는 답에서도) 읽습니다. waitress가 아닌 서버에서는
    끝까지 내놓습니다.
    """
    gone = _gone()
    return itertools.takewhile(lambda _: not gone(), steps)


def require_connected(*_: object) -> None:
    """답을 기다리던 사람이 떠났으면 그만둡니다. 요청 밖에서는 아무것도 하지 않습니다.

    한 번에 끝까지 쓰는 모델(`generate`)의 `register_forward_pre_hook`에 건네면, 떠난 사람의 글은 다음 토큰에서
    그칩니다.

    Raises:
        ClientDisconnected: 떠났을 때. 차지한 자리는 바로 빕니다.
    """
    if has_request_context() and _gone()():
        raise ClientDisconnected


def _gone() -> Callable[[], bool]:
    """지금의 요청을 보낸 사람이 떠났는지 묻는 함수. waitress가 아니면 언제나 거짓입니다."""
    return request.environ.get("waitress.client_disconnected", bool)


def read_json(request: Request, example: str) -> Any:
    """요청 본문의 JSON.

    Args:
        example: 본문이 JSON이 아닐 때 보여 줄 예.

    Raises:
        BadRequest: UTF-8이나 JSON이 아닐 때(400).
        RequestEntityTooLarge: 64 KB를 넘을 때(413).
    """
    if request.content_length is not None and request.content_length > MAX_BYTES:
        raise RequestEntityTooLarge
    try:
        return json.loads(request.get_data(cache=False).decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise BadRequest(f"본문이 UTF-8이 아닙니다. UTF-8로 적은 JSON을 보내 주세요. 예: {example}") from None
    except (ValueError, RecursionError):  # 수천 자리의 정수는 JSONDecodeError가 아닌 ValueError입니다.
        raise BadRequest(f"본문은 JSON이어야 합니다. 예: {example}") from None


def whole_characters(text: str) -> str:
    """요청에 적힌 글을 UTF-8로 적을 수 있는 NFC로. 짝을 잃은 서로게이트(`\\ud800`)는 물음표가 됩니다.

    보이는 글자가 하나도 없으면 빈 글입니다(`nlpbook.text`).
    """
    return normalized(text.encode("utf-8", "replace").decode("utf-8"))


def read_text(request: Request) -> str:
    """요청 본문에서 문장을 꺼냅니다. 본문은 JSON 문자열이거나 `{"text": "…"}`입니다.

    Returns:
        앞뒤 빈칸을 뗀 NFC 문장. 1자 이상, 2,000자 이하. 대답의 sentence와 그 안의 자리는 이 문장의 것입니다.

    Raises:
        BadRequest: JSON이 아닐 때(400).
        RequestEntityTooLarge: 64 KB를 넘을 때(413).
        UnprocessableEntity: 문자열이 아니거나, 보이는 글자가 없거나, 너무 길 때(422).
    """
    payload = read_json(request, '"재미있어요" 또는 {"text": "재미있어요"}')
    text = payload.get("text") if isinstance(payload, dict) else payload
    if not isinstance(text, str):
        raise UnprocessableEntity('문장은 문자열이어야 합니다. 예: {"text": "재미있어요"}')
    text = whole_characters(text).strip()
    if not text:
        raise UnprocessableEntity("문장이 비어 있습니다. 눈에 보이는 글자를 한 자 이상 적어 주세요.")
    if len(text) > MAX_CHARACTERS:
        raise UnprocessableEntity(f"문장이 너무 깁니다. {MAX_CHARACTERS:,}자까지 받습니다.")
    return text


def require_page(name: str) -> str:
    """templates/ 안의 페이지 이름을 그대로 돌려줍니다.

    Raises:
        UserError: 그런 페이지가 없을 때. 서버가 뜬 뒤가 아니라 뜨기 전에 알립니다.
    """
    pages = sorted(path.name for path in TEMPLATES.glob("*.html"))
    if name not in pages:  # `../README.md`처럼 폴더 밖의 파일은, 있더라도 Flask가 보여 주지 않습니다.
        raise UserError(
            f"templates/ 폴더에 '{name}' 페이지가 없습니다.{did_you_mean(name, pages)} 있는 것: {', '.join(pages)}"
        )
    return name


def require_servable(page: str, host: str, port: int) -> None:
    """페이지가 있고 포트가 비어 있는지, 모델을 읽기 전에 봅니다.

    Raises:
        UserError: 그런 페이지가 없거나, 포트가 쓰이고 있거나, 그 주소에서 들을 수 없을 때.
    """
    require_page(page)
    _check_free(host, port)


def listen(app: Flask, host: str, port: int, threads: int) -> None:
    """waitress로 요청을 받습니다. Ctrl-C로 멈출 때까지 돌아오지 않습니다.

    Raises:
        UserError: 포트가 쓰이고 있거나 그 주소에서 들을 수 없을 때.
    """
    from waitress.server import BaseWSGIServer, create_server

    _check_free(host, port)
    app.config["SERVED_HOSTS"] = None if host in EVERYWHERE else {*LOOPBACK, host.lower()}
    sockets: dict[int, Any] = {}
    try:
        server = create_server(
            app,
            map=sockets,
            host=host,
            port=port,
            threads=threads,
            connection_limit=MAX_CONNECTIONS,
            asyncore_use_poll=True,  # select는 연결이 많아지면 멈춥니다. poll이 없는 Windows에서는 select를 씁니다.
            channel_request_lookahead=1,  # 답을 쓰는 동안에도 연결을 살펴, 떠난 사람을 알아차립니다.
            max_request_body_size=16 * 1024 * 1024,
        )
    except OSError as error:
        raise UserError(
            f"{host}:{port} 에서 들을 수 없습니다({error.strerror}). --server_port를 바꾸어 주세요."
        ) from None
    for one in sockets.values():
        if isinstance(one, BaseWSGIServer):
            one.channel_class = _channel_answering_in_json()
    try:
        server.run()
    finally:
        server.close()


def _channel_answering_in_json() -> type:
    """Flask에 닿기 전에 waitress가 거절한 요청(400, 413, 431, 501)에도 같은 JSON으로 답하는 연결."""
    from waitress.channel import ClientDisconnected, HTTPChannel
    from waitress.task import ErrorTask

    class JSONErrorTask(ErrorTask):
        def execute(self) -> None:
            refused: Any = self.request
            error = refused.error
            body = json.dumps({"error": ERRORS.get(error.code, error.reason)}, ensure_ascii=False).encode()
            self.status = f"{error.code} {error.reason}"
            self.response_headers = [("Content-Type", "application/json")]
            self.set_close_on_finish()
            self.content_length = len(body)
            with suppress(
                ClientDisconnected
            ):  # waitress는 이때 없는 주소(request.path)를 적으려다 오류를 냅니다(3.0.2).
                self.write(body)

    class JSONChannel(HTTPChannel):
        error_task_class = JSONErrorTask

    return JSONChannel


def _check_free(host: str, port: int) -> None:
    """누군가 이미 듣고 있는지 봅니다. Windows에서는 두 서버가 한 포트를 말없이 나누어 갖기도 합니다."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.settimeout(0.5)
        try:
            busy = probe.connect_ex(("127.0.0.1" if host in ("", "0.0.0.0") else host, port)) == 0
        except OSError as error:
            raise UserError(f"--server_host {host} 은(는) 이 기계의 주소가 아닙니다({error.strerror}).") from None
        if busy:
            raise UserError(
                f"포트 {port}은(는) 다른 프로그램이 쓰고 있습니다. --server_port {port + 1} 처럼 바꾸어 주세요."
            )
