"""The job server of a cluster: connecting to it, and one clear sentence for each way that this fails."""

from __future__ import annotations

import logging
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import ray
import requests
from ray.exceptions import AuthenticationError
from ray.job_submission import JobSubmissionClient

from rayjobs.config.typed_config import ConfigError

LOG = logging.getLogger(__name__)
REQUEST_SECONDS = 60.0
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_ADDRESSES = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")  # Ray lets them win over what the configuration says


def read_token() -> str | None:
    """The token that requests show, from where Ray looks for it: variable, file of a variable, ``~/.ray/auth_token``.

    Raises
    ------
    ConfigError
        If ``RAY_AUTH_TOKEN_PATH`` names a file that cannot be read or is empty.
    """
    if token := os.environ.get("RAY_AUTH_TOKEN", "").strip():
        return token
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    path = Path(named) if named else Path.home() / ".ray" / "auth_token"
    try:
        token = path.read_text().strip()
    except OSError as error:
        if named:
            raise ConfigError(f"RAY_AUTH_TOKEN_PATH={named}: {error.strerror or error}") from error
        return None
    if named and not token:
        raise ConfigError(f"RAY_AUTH_TOKEN_PATH={named}: the file is empty; it must hold the cluster's token")
    return token or None


def connect(dashboard: str) -> JobSubmissionClient:
    """A client of the job server at ``dashboard`` (``http://host:port``), of our versions and with our token.

    Raises
    ------
    ConfigError
        If nothing answers there, the token is missing or wrong, or Ray or Python differ.
    """
    parts = urlsplit(dashboard)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(
            f"cluster.dashboard is {dashboard!r}; give the job server as http://HOST:PORT, as `ray dashboard` prints it"
        )
    for chatty in (
        "ray.dashboard.modules.dashboard_sdk",
        "ray.dashboard.modules.job.sdk",
        "ray._private.runtime_env",
    ):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    token = read_token()
    if token and parts.scheme == "http" and parts.hostname not in LOOPBACK:
        LOG.warning(
            "the token travels unencrypted to %s; prefer a tunnel: ray dashboard cluster.yaml", parts.hostname
        )
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with explaining(dashboard), _without(_ADDRESSES):
        client = JobSubmissionClient(dashboard, headers=headers)
        versions = _cluster_versions(client.get_address(), headers)
    _refuse_other_versions(dashboard, versions)
    return client


@contextmanager
def explaining(dashboard: str) -> Iterator[None]:
    """Turn what a request to the job server may raise into one sentence.

    Raises
    ------
    ConfigError
        For a missing or wrong token, and where nothing answers.
    """
    try:
        yield
    except AuthenticationError as error:
        if read_token() is None:
            raise ConfigError(
                f"the cluster at {dashboard} asks for a token and none was found; copy the cluster's to "
                "~/.ray/auth_token, or set RAY_AUTH_TOKEN"
            ) from error
        raise ConfigError(
            f"the cluster at {dashboard} refuses the token; it must be the cluster's own: `ray get-auth-token` there"
        ) from error
    except (ConnectionError, requests.exceptions.RequestException) as error:
        raise ConfigError(
            f"no Ray job server answers at cluster.dashboard={dashboard}; start the cluster, or open the tunnel: "
            "ray dashboard cluster.yaml"
        ) from error


def _cluster_versions(address: str, headers: dict[str, str]) -> dict[str, str]:
    """What runs there, by name; Python's is left out where the dashboard does not tell it."""

    def told(path: str) -> dict[str, Any]:
        answer = requests.get(f"{address}{path}", headers=headers, timeout=REQUEST_SECONDS)
        return dict(answer.json()) if answer.status_code == 200 else {}

    data = told("/api/v0/cluster_metadata").get("data", {})
    ray_version = data.get("rayVersion") or told("/api/version").get("ray_version")
    found = {"Ray": ray_version, "Python": data.get("pythonVersion")}
    return {name: version for name, version in found.items() if version}


def _refuse_other_versions(dashboard: str, theirs: dict[str, str]) -> None:
    """Ray must be the same; Python the same in its first two numbers, since pickled functions hold its byte code."""
    ours = {"Ray": ray.__version__, "Python": platform.python_version()}
    for name, version in theirs.items():
        digits = 2 if name == "Python" else 3
        if version.split(".")[:digits] != ours[name].split(".")[:digits]:
            raise ConfigError(
                f"the cluster at {dashboard} runs {name} {version} but this machine {name} {ours[name]}; install the "
                "same on both: requirements.lock pins it"
            )


@contextmanager
def _without(names: tuple[str, ...]) -> Iterator[None]:
    kept = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)
