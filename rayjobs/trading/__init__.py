"""Trading what was trained: the loop from bars to decisions to fills, what it may trade, and what it leaves behind."""
