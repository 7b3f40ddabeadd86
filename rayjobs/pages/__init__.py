"""The pages of `rayjobs.dashboard`: what runs, studies and markets hold, as small answers to a browser on this machine.

The server process reads small files alone (`catalogue`); what needs arrays, Optuna or bars is read by one process
beside it (`reader_process`), so that the server answers while a large study is read, and stays small.
"""
