"""웹 서비스의 바탕: 요청을 글로 읽기, JSON 오류, waitress로 듣기."""

from __future__ import annotations

import json
import socket
from typing import Any

from flask import Flask, Request, jsonify
from flask.json.provider import DefaultJSONProvider
from werkzeug.exceptions import BadRequest, HTTPException, RequestEntityTooLarge, UnprocessableEntity

from console_text import did_you_mean
from nlpbook.errors import UserError
from nlpbook.paths import TEMPLATES
from nlpbook.text import normalized

MAX_BYTES = 64 * 1024
MAX_CHARACTERS = 2_000


def new_app(name: str) -> Flask:
    """templates/를 쓰고, 모든 오류를 `{"error": 문장}`으로 답하는 Flask 앱."""
    app = Flask(name, template_folder=str(TEMPLATES))
    app.config["MAX_CONTENT_LENGTH"] = MAX_BYTES
    korean_json = DefaultJSONProvider(app)
    korean_json.ensure_ascii = False
    app.json = korean_json

    @app.errorhandler(HTTPException)
    def explain(error: HTTPException) -> Any:
        korean = {
            404: "그런 주소는 없습니다.",
            405: "이 주소에서 쓸 수 없는 방법(method)입니다.",
            500: "서버에서 예상하지 못한 문제가 생겼습니다. 서버의 화면에 적힌 오류를 확인해 주세요.",
            413: f"요청이 너무 큽니다. {MAX_BYTES // 1024} KB까지 받습니다.",
        }
        code = error.code or 500
        return jsonify(error=korean.get(code, error.description)), code

    return app


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
    from waitress.server import create_server

    _check_free(host, port)
    try:
        server = create_server(app, host=host, port=port, threads=threads, max_request_body_size=16 * 1024 * 1024)
    except OSError as error:
        raise UserError(
            f"{host}:{port} 에서 들을 수 없습니다({error.strerror}). --server_port를 바꾸어 주세요."
        ) from None
    try:
        server.run()
    finally:
        server.close()


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
