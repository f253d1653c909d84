"""A training that dies at any operation on a file, by a kill or with the power, loses nothing; nor by a failing disk.

Power is cut on paper: the operations of one training are written down, and what a disk may hold after each of them is
worked out. It may lack any name given since the folder was synced, and whatever was written since the file was.
"""

import errno
import itertools
import os
import shutil
import stat

import pytest
from test_resume import all_of, interrupted

import transformer.checkpoint
import transformer.train
from transformer.checkpoint import load_model, load_tensors
from transformer.metrics import read_metrics
from transformer.runs import KEPT, states
from transformer.train import resume

EVERY = int(os.environ.get("EVERY", "5"))  # operation is tried with a full and a broken disk; 1: each
SAVES = ("save_state", "save_model", "save_tensors", "write_atomically")  # what train.py calls


@pytest.fixture(scope="module", autouse=True)
def quickly():
    """Saving after each step; waiting for the disk would only take time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transformer.train, "SAVE_EVERY", 0.0)
        patch.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture(scope="module")
def begun(tmp_path_factory, quickly):
    """Stopped with as many states as are kept: what follows saves everything there is."""
    folder = tmp_path_factory.mktemp("begun")
    interrupted(folder, 5)
    assert len(states(folder)) == KEPT > 1  # one may be damaged
    return folder


@pytest.fixture(scope="module")
def ended(begun, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ended") / "run"
    shutil.copytree(begun, folder)
    resume(folder, progress=False)
    return all_of(folder)


def holds(folder, ended):
    """It goes on, without a word of damage, to the same end; saving less often, it does not overwrite leftovers."""
    told = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transformer.train, "SAVE_EVERY", 60.0)
        resume(folder, progress=False, tell=told.append)
    return not told and all_of(folder) == ended and not list(folder.glob(".*"))


class Watched:
    """turn(name, honest, *given) instead of every call that changes a file: it makes the call, or does not."""

    CALLS = ("open", "fsync", "replace", "unlink", "close")

    def __enter__(self):
        self.patch = pytest.MonkeyPatch()
        for name in self.CALLS:
            honest = getattr(os, name)
            self.patch.setattr(os, name, lambda *given, name=name, honest=honest: self.turn(name, honest, *given))
        self.patch.setattr(transformer.checkpoint, "open", self.opened, raising=False)
        return self

    def __exit__(self, *error):
        self.patch.undo()

    def opened(self, path, mode):
        if mode == "rb":
            return open(path, mode)
        return Writing(self, self.turn("create", open, path, mode), path.name)


class Writing:
    """A file being written, with the buffer that only a flush or its end empties."""

    def __init__(self, watched, file, name):
        self.watched, self.file, self.name, self.buffer, self.fileno = watched, file, name, b"", file.fileno

    def write(self, data):
        self.buffer += data

    def flush(self):
        data, self.buffer = self.buffer, b""
        if data:
            self.watched.turn("write", lambda *given: (self.file.write(data), self.file.flush()), self.name, data)

    def __enter__(self):
        return self

    def __exit__(self, kind, *error):
        try:
            if kind is None:
                self.flush()
        finally:
            self.file.close()


# Kills and power cuts -----------------------------------------------------------------------------


class Inode:
    """What a file holds, and what it would hold without power."""

    def __init__(self, data=b"", synced=b""):
        self.data, self.synced = data, synced

    def after_power_cut(self):
        """All, what was synced, or half of what came since."""
        return self.data, self.synced, self.data[: (len(self.synced) + len(self.data)) // 2]


class Disk(Watched):
    """A folder's names and files, what is safe of them, and each state a crash could leave.

    held  what each file has held since the last save returned; None: it was not there
    """

    def __init__(self, folder):
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        self.names = {name: Inode(data, data) for name, data in files.items()}
        self.safe, self.pending, self.inodes, self.left = dict(self.names), [], {}, {}
        self.saved()

    def saved(self):
        """A save has returned: what is there now is promised; what was removed may come back."""
        self.held = {name: {None, inode.data} for name, inode in self.safe.items() if name not in self.names}
        self.held |= {name: {inode.data} for name, inode in self.names.items()}
        self.newest = max(name for name in self.names if name.startswith("state-"))

    def turn(self, name, honest, *given):
        result = honest(*given)
        if name == "create":
            path, mode = given
            inode = self.names.setdefault(path.name, Inode())
            self.inodes[result.fileno()] = inode
            inode.data = inode.data if mode[0] == "a" else b""
            self.pending.append({path.name: inode})
        elif name == "write":
            self.names[given[0]].data += given[1]
        elif name == "fsync" and stat.S_ISDIR(os.fstat(given[0]).st_mode):
            self.safe, self.pending = dict(self.names), []
        elif name == "fsync":
            self.inodes[given[0]].synced = self.inodes[given[0]].data
        elif name == "replace":
            change = {given[0].name: None, given[1].name: self.names.pop(given[0].name)}
            self.names |= {given[1].name: change[given[1].name]}
            self.pending.append(change)
        elif name == "unlink":
            del self.names[given[0].name]
            self.pending.append({given[0].name: None})
        self.look()
        return result

    def look(self):
        for name in self.names.keys() | self.held.keys():
            inode = self.names.get(name)
            self.held.setdefault(name, {None}).add(inode and inode.data)
        assert len(self.pending) < 7, "too many names at once that are not safe"
        self.remember({name: inode.data for name, inode in self.names.items()})
        for lasting in itertools.product((False, True), repeat=len(self.pending)):
            names = dict(self.safe)
            for change in itertools.compress(self.pending, lasting):
                names |= change
            there = {name: inode.after_power_cut() for name, inode in names.items() if inode is not None}
            for kind in range(3):
                self.remember({name: contents[kind] for name, contents in there.items()})

    def remember(self, files):
        """One state a crash could leave; unfinished files apart, no file may hold what it was never seen to hold."""
        lasting = {name: data for name, data in files.items() if not name.startswith(".")}
        for name in self.held.keys() | lasting.keys():
            if not name.startswith("."):
                assert lasting.get(name) in self.held[name], f"{name} holds what nobody wrote, or not what was saved"
        newest = max((name for name in lasting if name.startswith("state-")), default="")
        assert newest >= self.newest, f"{self.newest} was saved, and the newest after a crash is {newest or 'none'}"
        self.left[frozenset(lasting.items())] = files


def test_a_kill_or_a_power_cut_at_any_operation_loses_nothing(begun, ended, tmp_path, monkeypatch):
    """What is left is whole, as far as it was promised, and becomes bit for bit what it would have been."""
    folder = tmp_path / "run"
    shutil.copytree(begun, folder)
    with Disk(folder) as disk:
        for name in SAVES:
            honest = getattr(transformer.train, name)
            monkeypatch.setattr(transformer.train, name, lambda *a, _=honest, **k: (_(*a, **k), disk.saved())[0])
        resume(folder, progress=False)
    monkeypatch.undo()
    there = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert there == {name: inode.data for name, inode in disk.names.items()}  # nothing was done unseen
    assert len(disk.left) > 10
    for number, files in enumerate(disk.left.values()):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name, data in files.items():
            (folder / name).write_bytes(data)
        kept = states(folder)
        assert len(kept) >= KEPT
        lines = read_metrics(folder / "metrics.jsonl")
        assert lines == load_tensors(kept[-1])[1]["epochs"][: len(lines)]  # no epoch is told of before it is safe
        load_model(folder / "best.safetensors"), load_model(folder / "last.safetensors")
        assert holds(folder, ended)


# A disk that fails --------------------------------------------------------------------------------


class Failing(Watched):
    """Operation `number` fails; close() closes before it fails, as it does."""

    def __init__(self, number, code):
        self.number, self.code, self.count = number, code, 0

    def turn(self, name, honest, *given):
        self.count += 1
        if self.count != self.number:
            return honest(*given)
        if name == "close":
            honest(*given)
        raise OSError(self.code, os.strerror(self.code))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO], ids=["no space", "broken disk"])
def test_a_disk_that_fails_at_any_operation_stops_the_training_and_loses_nothing(begun, ended, tmp_path, code):
    for number in itertools.count(1, EVERY):
        folder = tmp_path / str(number)
        shutil.copytree(begun, folder)
        with Failing(number, code) as failing:
            try:
                resume(folder, progress=False)
                stopped = False
            except OSError as error:
                stopped = error.errno == code
        assert holds(folder, ended), f"operation {number}"
        if failing.count < number:
            break
        assert stopped, f"operation {number} failed, and nobody was told"
    assert number > 40
