"""Names of dated contracts: ESH4, ESH24, ES H2024, CL-Z19 are a root, a month of delivery and a year."""

from __future__ import annotations

import re
from typing import NamedTuple

MONTH_CODES = "FGHJKMNQUVXZ"
"""January to December, as exchanges write the month of delivery."""
_NAME = re.compile(rf"(?P<root>[A-Z0-9]{{1,5}}?)[ _.-]?(?P<month>[{MONTH_CODES}])(?P<year>\d{{4}}|\d{{1,2}})")


class ContractName(NamedTuple):
    """What the name of a contract says.

    Attributes
    ----------
    root : of the product, such as ES. month : of delivery, 1 to 12. year : as written.
    digits : of the year; with one or two of them the decade or century follows from the bars.
    """

    root: str
    month: int
    year: int
    digits: int

    def years(self, from_year: int) -> tuple[int, int]:
        """The first two years from `from_year` on that the name may mean; twice the same where it writes all four."""
        if self.digits == 4:
            return self.year, self.year
        cycle = 10**self.digits
        first = from_year + (self.year - from_year) % cycle
        return first, first + cycle


def contract_name(symbol: str) -> ContractName | None:
    """Read the name of a dated contract; None for a symbol that is not written like one."""
    found = _NAME.fullmatch(symbol.upper())
    if found is None:
        return None
    year = found["year"]
    return ContractName(found["root"], MONTH_CODES.index(found["month"]) + 1, int(year), len(year))
