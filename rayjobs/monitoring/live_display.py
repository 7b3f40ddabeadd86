"""What both progress displays stand on: a renderable redrawn in place, on a terminal only."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live

from rayjobs.config.terminal import progress_console


class LiveDisplay:
    """A context manager that redraws in place on a terminal, and draws nothing elsewhere.

    Parameters
    ----------
    keep_last : leave the last picture standing at the end.
    """

    def __init__(self, console: Console | None, *, keep_last: bool) -> None:
        self._console = console or progress_console()
        self._keep_last = keep_last
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(console=self._console, refresh_per_second=4, transient=not self._keep_last)
            self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)
            self._live = None

    @property
    def redraws(self) -> bool:
        """Whether a picture is being redrawn in place."""
        return self._live is not None

    def redraw(self, picture: RenderableType) -> None:
        """Show a new picture; nothing off a terminal."""
        if self._live is not None:
            self._live.update(picture)
