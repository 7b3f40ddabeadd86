"""The socket that the server listens on, opened before anything else so that a port in use is one clear sentence."""

from __future__ import annotations

import errno
import socket

from rayjobs.config.typed_config import ConfigError


def listening_socket(host: str, port: int) -> tuple[socket.socket, str]:
    """A bound socket and the address to open.

    Raises
    ------
    ConfigError
        If the port is in use or may not be used, or the host is none of this machine.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except OSError as error:
        why = (
            "is in use; stop the other dashboard"
            if error.errno == errno.EADDRINUSE
            else f"({error.strerror})"
        )
        raise ConfigError(f"{host}, port {port} {why}, or name another one: port=8051") from error
    shown = f"[{host}]" if ":" in host else host
    return sock, f"http://{shown}:{sock.getsockname()[1]}"
