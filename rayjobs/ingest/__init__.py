"""Bars come in: from vendors, within what each allows, into a lake.

Rooms, each importing only those above it in this list:

    settings, keys, pacing, symbols     what is asked for; keys blotted out; when a vendor may be asked; which symbols
    sources, plan                       the vendors of a run, and the pieces that are still to be fetched
    crew, fetching                      who asks (threads, Ray tasks), and which piece is asked of whom when
    progress, summary                   the line while it runs, and the table at the end
    rounds, inventory, watch            one run; what a lake holds; the loop that keeps it up to date
"""
