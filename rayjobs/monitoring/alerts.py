"""Tells people what happened: always in the log, and where it is set up by a webhook and by mail.

Addresses of webhooks and passwords are secrets: settings name environment variables that hold them. Sending happens in
a thread, so that whoever alerts is not held up; what could not be sent is logged.
"""

from __future__ import annotations

import json
import logging
import os
import smtplib
import threading
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from urllib.parse import urlsplit

from envs.validation import require_positive

LOG = logging.getLogger(__name__)
Alert = Callable[[str, str], None]
"""Told of what happens: (short name, words)."""


@dataclass(frozen=True, kw_only=True)
class AlertSettings:
    """``conf/alerts/*.yaml``.

    Parameters
    ----------
    webhook_env : variable with the URL that a JSON object is posted to; None for no webhook.
    mail_to, mail_from : addresses; no mail without a receiver.
    smtp_host, smtp_port, smtp_starttls : server of outgoing mail.
    smtp_user, smtp_password_env : login, and the variable with its password; None where the server asks for none.
    timeout_s : of each sending.
    """

    webhook_env: str | None
    mail_to: tuple[str, ...]
    mail_from: str
    smtp_host: str
    smtp_port: int
    smtp_starttls: bool
    smtp_user: str | None
    smtp_password_env: str | None
    timeout_s: float

    def __post_init__(self) -> None:
        require_positive("alerts", "timeout_s", self.timeout_s)
        if self.mail_to and not (self.mail_from and self.smtp_host):
            raise ValueError("alerts.mail_to needs mail_from and smtp_host")
        if not 1 <= self.smtp_port <= 65_535:
            raise ValueError(f"alerts.smtp_port is {self.smtp_port}; expected 1 to 65535")
        for name in ("webhook_env", "smtp_password_env"):
            variable = getattr(self, name)
            if variable is not None and not variable.isidentifier():
                raise ValueError(
                    f"alerts.{name} must be the name of an environment variable, not its content"
                )


class Alerts:
    """Sends alerts of one source, such as a trading run's name."""

    def __init__(self, settings: AlertSettings, source: str) -> None:
        self._settings, self._source = settings, source
        self._threads: list[threading.Thread] = []

    def __call__(self, what: str, words: str) -> None:
        """Tell it; returns at once."""
        LOG.warning("%s: %s", what, words)
        ways: list[Callable[[str, str], None]] = []
        if self._settings.webhook_env is not None:
            ways.append(self._post)
        if self._settings.mail_to:
            ways.append(self._mail)
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        for way in ways:
            thread = threading.Thread(target=self._try, args=(way, what, words), daemon=True)
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        """Wait for what is being sent."""
        for thread in self._threads:
            thread.join(self._settings.timeout_s)

    def _try(self, way: Callable[[str, str], None], what: str, words: str) -> None:
        try:
            way(what, words)
        except (OSError, ValueError, smtplib.SMTPException) as error:
            # The error's own text may hold the address.
            LOG.error("an alert could not be sent by %s (%s)", way.__name__.strip("_"), type(error).__name__)

    def _post(self, what: str, words: str) -> None:
        url = os.environ.get(self._settings.webhook_env or "", "")
        if urlsplit(url).scheme not in ("http", "https"):
            raise ValueError("the variable of alerts.webhook_env holds no http address")
        text = f"{self._source}: {words}"
        content = {"source": self._source, "what": what, "words": words, "text": text}
        request = urllib.request.Request(
            url,
            data=json.dumps(content).encode(),
            headers={"Content-Type": "application/json"},
            method="POST",
        )
        urllib.request.urlopen(request, timeout=self._settings.timeout_s).close()

    def _mail(self, what: str, words: str) -> None:
        settings = self._settings
        message = EmailMessage()
        message["Subject"] = f"[{self._source}] {what}"
        message["From"], message["To"] = settings.mail_from, ", ".join(settings.mail_to)
        message.set_content(words)
        with smtplib.SMTP(settings.smtp_host, settings.smtp_port, timeout=settings.timeout_s) as server:
            if settings.smtp_starttls:
                server.starttls()
            if settings.smtp_user is not None:
                server.login(settings.smtp_user, os.environ.get(settings.smtp_password_env or "", ""))
            server.send_message(message)
