"""A process that dies before any operation on a file, in any save, loses nothing; nor does one that the disk fails.

Dying is tried at every operation, a full and a broken disk at every seventh; EVERY=1 in the environment: at each.
"""

import errno
import os
import shutil

import pytest
from test_resume import all_of, in_a_child, interrupted

import transformer.checkpoint
import transformer.train
from transformer.train import resume

EVERY = int(os.environ.get("EVERY", "7"))


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """Stopped before its last epoch, with as many states as are kept: what follows saves everything there is."""
    folder = tmp_path_factory.mktemp("begun")
    interrupted(folder, 7)
    return folder


@pytest.fixture(scope="module")
def ended(begun, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ended") / "run"
    shutil.copytree(begun, folder)
    resume(folder, progress=False)
    return all_of(folder)


class Counting:
    """Files and the calls that change them, counted; act() has its turn before operation number `number`."""

    def __init__(self, number, act):
        self.count, self.number, self.act = 0, number, act

    def turn(self):
        self.count += 1
        if self.count == self.number:
            self.act()

    def around(self, honest):
        return lambda *given, **named: (self.turn(), honest(*given, **named))[1]

    def opened(self, *given):
        self.turn()
        file = open(*given)
        return file if given[1] == "rb" else Written(file, self.around(file.write))

    def __enter__(self):
        self.honest = {name: getattr(os, name) for name in ("open", "fsync", "replace", "unlink", "close", "mkdir")}
        for name, function in self.honest.items():
            setattr(os, name, self.around(function))
        transformer.checkpoint.open = self.opened
        return self

    def __exit__(self, *error):
        for name, function in self.honest.items():
            setattr(os, name, function)
        del transformer.checkpoint.open


class Written:
    """A file that counts what is written to it."""

    def __init__(self, file, write):
        self.file, self.write = file, write

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()

    def __getattr__(self, name):
        return getattr(self.file, name)


def saved(folder):
    transformer.train.SAVE_EVERY = 0.0
    resume(folder, progress=False)


@pytest.fixture(scope="module")
def operations(begun, tmp_path_factory):
    """How many there are in the rest of the training."""
    folder = tmp_path_factory.mktemp("counted") / "run"
    shutil.copytree(begun, folder)
    with pytest.MonkeyPatch.context() as patch, Counting(0, None) as counting:
        patch.setattr(transformer.train, "SAVE_EVERY", 0.0)
        resume(folder, progress=False)
    assert counting.count > 40
    return counting.count


def fail_with(code):
    def act():
        raise OSError(code, os.strerror(code))

    return act


@pytest.mark.parametrize("fault", ["killed", errno.ENOSPC, errno.EIO], ids=["killed", "no space", "broken disk"])
def test_a_save_that_ends_at_any_operation_loses_nothing(begun, ended, operations, tmp_path, fault):
    """After each fault the run is resumed, and is bit for bit what it would have been."""
    act = (lambda: os._exit(9)) if fault == "killed" else fail_with(fault)
    endings = []
    tried = range(1, operations + 1, 1 if fault == "killed" else EVERY)
    for number in tried:
        folder = tmp_path / str(number)
        shutil.copytree(begun, folder)

        def work(folder=folder, number=number):
            with Counting(number, act):
                try:
                    saved(folder)
                except OSError as error:
                    os._exit(3 if error.errno == fault else 4)

        endings.append(in_a_child(work))
        resume(folder, progress=False)
        assert all_of(folder) == ended, f"operation {number} of {operations}"
        assert not list(folder.glob(".*"))
        shutil.rmtree(folder)
    assert endings.count(9 if fault == "killed" else 3) > 0.8 * len(tried) and set(endings) <= {0, 3, 9}
