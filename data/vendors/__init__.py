"""Vendors that bars are fetched from; one file each, all behind the protocol in `definition`."""
