"""Public checks for environments, features and rewards of your own: conformance and absence of leaks."""

from envs.checks.conformance import ConformanceError, conformance_check
from envs.checks.leaks import LeakError, LeakFinding, LeakReport, find_leaks, leak_check

__all__ = [
    "ConformanceError",
    "LeakError",
    "LeakFinding",
    "LeakReport",
    "conformance_check",
    "find_leaks",
    "leak_check",
]
