"""Keys that these tests put into the environment, and look for in every text that comes out."""

CANARY = "canary-5f0c1e9b7d"
"""Every key contains it."""
KEYS = (
    "MASSIVE_API_KEY",
    "ALPACA_API_KEY_ID",
    "ALPACA_API_SECRET_KEY",
    "DATABENTO_API_KEY",
    "FRED_API_KEY",
    "ALPHAVANTAGE_API_KEY",
    "FINNHUB_API_KEY",
)
