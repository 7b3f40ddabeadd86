"""Which bars are trained on, tested on and held out: the only splitters."""
