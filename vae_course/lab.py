"""What `make lab` adds to JupyterLab's server, which imports it: pictures that do not wait for an acknowledgement."""

from typing import Any

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection


class PromptConnection(ZMQChannelsWebsocketConnection):
    """A kernel's websocket without Nagle's algorithm.

    A kernel answers a moved slider with "busy", then with the picture. By default the server's system holds the second
    small message back until the browser has acknowledged the first, and browsers acknowledge tens of milliseconds late.
    """

    def connect(self) -> Any:
        """Connect as jupyter_server does, on a socket that sends at once."""
        # Off by default in tornado, which recommends this call, and not set by jupyter_server (2.21):
        # https://www.tornadoweb.org/en/stable/websocket.html#tornado.websocket.WebSocketHandler.set_nodelay
        self.websocket_handler.set_nodelay(True)
        return super().connect()
