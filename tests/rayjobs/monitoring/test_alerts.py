"""Alerts reach a webhook and a mailbox, hold nobody up, and leave no secret in the log."""

from __future__ import annotations

import json
import logging
import socketserver
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml

from rayjobs.monitoring.alerts import Alerts, AlertSettings

DEFAULT = yaml.safe_load((Path(__file__).parents[3] / "conf/alerts/log.yaml").read_text())


def settings(**changes):
    return AlertSettings(**{**DEFAULT, "mail_to": (), "timeout_s": 2.0, **changes})


@contextmanager
def served(server):
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def test_a_webhook_is_posted_source_and_words(monkeypatch):
    posted = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self):
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with served(HTTPServer(("127.0.0.1", 0), Hook)) as port:
        monkeypatch.setenv("HOOK", f"http://127.0.0.1:{port}/secret")
        alerts = Alerts(settings(webhook_env="HOOK"), "drill")
        alerts("kill", "everything is to be flat")
        alerts.close()
    assert posted == [
        {"source": "drill", "what": "kill", "words": "everything is to be flat",
         "text": "drill: everything is to be flat"}
    ]  # fmt: skip


def test_a_mail_is_handed_to_the_server():
    lines = []

    class Mailbox(socketserver.StreamRequestHandler):
        def handle(self):
            self.wfile.write(b"220 here\r\n")
            reading = False
            while line := self.rfile.readline():
                text = line.decode().rstrip("\r\n")
                lines.append(text)
                if reading:
                    if text == ".":
                        reading = False
                        self.wfile.write(b"250 taken\r\n")
                elif text.upper() == "DATA":
                    reading = True
                    self.wfile.write(b"354 go on\r\n")
                elif text.upper() == "QUIT":
                    self.wfile.write(b"221 bye\r\n")
                    return
                else:
                    self.wfile.write(b"250 ok\r\n")

    with served(socketserver.TCPServer(("127.0.0.1", 0), Mailbox)) as port:
        mail = settings(
            mail_to=("desk@example.com",), mail_from="rayfold@example.com", smtp_host="127.0.0.1", smtp_port=port,
            smtp_starttls=False,
        )  # fmt: skip
        alerts = Alerts(mail, "drill")
        alerts("drift", "features moved")
        alerts.close()
    assert "Subject: [drill] drift" in lines
    assert "To: desk@example.com" in lines
    assert "features moved" in lines


def test_what_cannot_be_sent_is_logged_without_its_address(monkeypatch, caplog):
    monkeypatch.setenv("HOOK", "http://127.0.0.1:1/very-secret")
    alerts = Alerts(settings(webhook_env="HOOK"), "drill")
    with caplog.at_level(logging.WARNING):
        alerts("kill", "now")
        alerts.close()
    assert "could not be sent by post" in caplog.text
    assert "very-secret" not in caplog.text


def test_an_address_in_place_of_a_variables_name_is_refused():
    with pytest.raises(ValueError, match="name of an environment variable"):
        settings(webhook_env="https://hooks.example.com/secret")
