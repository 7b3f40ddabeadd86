"""The risk guard as a process of its own: how it is started, what it is told, and how a person throws its switch."""
