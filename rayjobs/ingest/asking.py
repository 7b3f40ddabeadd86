"""Asking a vendor for what is no bar: within its budget of calls, and again after failures that pass."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from data.vendors.definition import RateLimited, TemporarilyUnavailable
from rayjobs.ingest.pacing import Pacing
from rayjobs.ingest.settings import PacingSettings

Answer = TypeVar("Answer")


class GivenUp(Exception):
    """A vendor did not answer within the tries and the patience that the settings allow."""


@dataclass(frozen=True)
class Asking:
    """Asks one vendor for reference data, a call at a time."""

    settings: PacingSettings
    pacing: Pacing
    sleep: Callable[[float], None]

    def ask(self, call: Callable[[], Answer]) -> Answer:
        """The answer of one call, asked for when the budget allows and again after failures that pass."""
        why = "it was not asked"
        for tried in range(1, self.settings.tries + 1):
            self._wait_for_leave()
            try:
                answer = call()
            except RateLimited as error:
                self.pacing.rate_limited(error.retry_after_s)
                why = str(error)
                continue
            except TemporarilyUnavailable as error:
                self.pacing.unavailable()
                why = str(error)
                self.sleep(self.pacing.piece_wait(tried))
                continue
            except BaseException:
                self.pacing.refused()
                raise
            self.pacing.succeeded(1)
            return answer
        raise GivenUp(why)

    def _wait_for_leave(self) -> None:
        waited = 0.0
        while (leave := self.pacing.ask()) > 0.0:
            step = 0.05 if math.isinf(leave) else leave
            if waited + step > self.settings.patience_s:
                raise GivenUp(f"it rests for {leave:.0f} s more; the same command goes on from here")
            self.sleep(step)
            waited += step
