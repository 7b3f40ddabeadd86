"""Dialects: the files of one maker each, as data. `DIALECTS` is the table of them, the more particular ones first."""

from data.sources.dialects.definition import Dialect
from data.sources.dialects.exchanges import EXCHANGES
from data.sources.dialects.platforms import PLATFORMS
from data.sources.dialects.vendors import VENDORS
from data.sources.dialects.websites import WEBSITES

DIALECTS: tuple[Dialect, ...] = (*EXCHANGES, *PLATFORMS, *WEBSITES, *VENDORS)
