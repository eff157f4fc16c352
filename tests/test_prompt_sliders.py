"""A slider's picture is sent at once: the server that the course starts, on a real websocket."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import dev
import pytest
from jupyter_server.serverapp import ServerApp
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application
from tornado.websocket import WebSocketHandler, websocket_connect
from traitlets import Instance
from traitlets.config import LoggingConfigurable

from vae_course.lab import PromptConnection


def delays_small_messages(stream: Any) -> bool:
    return stream.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 0


async def delays_while_jupyter_connects(kind: type[Any], monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a kernel's websocket has Nagle's algorithm when jupyter_server begins to use it; no kernel runs."""
    found: list[bool] = []

    def connect(self: Any) -> None:
        found.append(delays_small_messages(self.websocket_handler.ws_connection.stream))

    class Connection(kind):
        websocket_handler = Instance(WebSocketHandler)  # jupyter_server's own would ask for a login

    class Handler(WebSocketHandler):
        def open(self) -> None:  # type: ignore[override]
            Connection(parent=LoggingConfigurable(), websocket_handler=self).connect()
            self.close()

    monkeypatch.setattr(ZMQChannelsWebsocketConnection, "connect", connect)
    listening, port = bind_unused_port()
    server = HTTPServer(Application([("/", Handler)]))
    server.add_sockets([listening])
    client = await websocket_connect(f"ws://127.0.0.1:{port}/")
    assert await client.read_message() is None  # closed: open() has run
    server.stop()
    (delays,) = found
    return delays


@pytest.mark.parametrize(("kind", "delays"), [(PromptConnection, False), (ZMQChannelsWebsocketConnection, True)])
def test_pictures_do_not_wait_for_an_acknowledgement(
    kind: type[Any], delays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert asyncio.run(delays_while_jupyter_connects(kind, monkeypatch)) == delays


def test_the_server_takes_the_class_that_the_commands_name() -> None:
    server = ServerApp()
    server.parse_command_line([dev.PROMPT])
    assert server.kernel_websocket_connection_class is PromptConnection


@pytest.mark.parametrize("command", ["lab", "edit"])
def test_lab_and_edit_start_the_server_with_it(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setenv("PORT", "")
    monkeypatch.setattr(dev, "VENV", str(tmp_path))
    monkeypatch.setattr(dev, "ensure_environment", lambda extras: None)
    monkeypatch.setattr(dev, "copy_notebooks", list)
    monkeypatch.setattr(dev, "serve", lambda words, **env: started.append(words))
    getattr(dev, command)()
    assert dev.PROMPT in started[0]
