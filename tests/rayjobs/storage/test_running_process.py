import os
import socket

import pytest

from rayjobs.storage.running_process import still_running

PARENT = {"status": "running", "host": socket.gethostname(), "pid": os.getppid()}


def test_a_process_that_is_there_works_on_its_run():
    assert still_running(PARENT)


@pytest.mark.parametrize(
    "changes", [{"status": "failed"}, {"host": "another"}, {"pid": os.getpid()}, {"pid": 2**22 + 1}]
)
def test_a_run_that_ended_is_of_another_machine_of_this_process_or_of_none_is_free(changes):
    assert not still_running(PARENT | changes)
