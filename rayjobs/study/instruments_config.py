"""The ``instruments`` group: what each symbol is, and by which facts it differs from its kind."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from data.futures.chains import EVERY
from envs.instruments import Instrument, instrument_of_kind
from rayjobs.config.typed_config import ConfigError, build_dataclass, did_you_mean

if TYPE_CHECKING:
    pass

Values = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class InstrumentsConfig:
    """What each symbol is.

    Parameters
    ----------
    kind : catalogue entry of every symbol that is not in ``symbols``.
    symbols : symbol -> facts that differ, ``kind`` among them.
    """

    kind: str
    symbols: Mapping[str, Mapping[str, Any]]

    def __post_init__(self) -> None:
        instrument_of_kind(self.kind)
        for symbol in self.symbols:
            self._of(symbol)

    def for_symbols(self, symbols: Sequence[str]) -> dict[str, Instrument]:
        """The instrument of each symbol of a panel.

        Raises
        ------
        ConfigError
            If ``instruments.symbols`` names a symbol that the panel does not have.
        """
        for symbol in self.symbols:
            if symbol not in symbols:
                hint = did_you_mean(symbol, list(symbols))
                raise ConfigError(f"instruments.symbols.{symbol}: the data have no such symbol; {hint}")
        return {symbol: self._of(symbol) for symbol in symbols}

    def kind_of(self, symbol: str) -> str:
        """Catalogue entry that the symbol's facts start from."""
        return str(self.symbols.get(symbol, {}).get("kind", self.kind))

    @property
    def allowing_nonpositive_prices(self) -> tuple[str, ...]:
        """Named symbols whose instrument allows prices of zero and below; "*" where that of all others does."""
        named = tuple(symbol for symbol in self.symbols if self._of(symbol).allow_nonpositive_prices)
        return (*named, EVERY) if instrument_of_kind(self.kind).allow_nonpositive_prices else named

    def _of(self, symbol: str) -> Instrument:
        facts = {key: value for key, value in self.symbols.get(symbol, {}).items() if key != "kind"}
        base = instrument_of_kind(self.kind_of(symbol))
        return build_dataclass(
            Instrument, {**dataclasses.asdict(base), **facts}, f"instruments.symbols.{symbol}"
        )
