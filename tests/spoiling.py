"""Ways to spoil a run's folder: damage, and what somebody writes who knows the format and lies."""

import hashlib
import json

from transformer import TransformerConfig
from transformer.checkpoint import load_tensors, save_tensors
from transformer.cli import main
from transformer.tasks import DigitTask
from transformer.train import TrainConfig, train

MODEL = TransformerConfig(20, embed_dim=8, num_heads=2, num_layers=1, ffn_dim=8)
NAME = "output.weight"  # the tensor that is lied about
COMMANDS = {
    "ask": ["ask", "Max(1,3)"], "evaluate": ["evaluate"], "generate": ["generate", "Max(1,3)"],
    "report": ["report"], "draw": ["draw", "--question", "Max(1,3)", "--format", "text"],
}  # fmt: skip


def small_run(folder, **settings):
    """A finished training of a second."""
    train(TrainConfig(MODEL, DigitTask(4, 2), epochs=2, examples=60, **settings), folder, progress=False)
    return folder


def call(capsys, run, command):
    """Exit code, stdout, stderr."""
    output = ["--output", str(run / "graph")] if command == "draw" else []
    code = main([*COMMANDS.get(command, command.split()), *output, "--runs", str(run.parent)])
    return code, *capsys.readouterr()


def models(run):
    return [run / "best.safetensors", run / "last.safetensors"]


# A checkpoint: header, and the bytes after it


def header(change):
    def spoilt(path):
        data = path.read_bytes()
        end = 8 + int.from_bytes(data[:8], "little")
        found = json.loads(data[8:end])
        text = (change(found) or json.dumps(found)).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + data[end:])

    return spoilt


def entry(**changes):
    return header(lambda found: found[NAME].update(changes))


def twice(found):
    text = json.dumps(found)
    return text[:-1] + f', "{NAME}": {json.dumps(found[NAME])}' + "}"


def content(data):
    return lambda path: path.write_bytes(data)


def forged(tensors=None, **changes):
    """What somebody writes who knows the format: every checksum is right."""

    def spoilt(path):
        arrays, about = load_tensors(path)
        del about["checksums"], about["version"]
        for place, value in changes.items():
            *folders, name = place.split("__")
            where = about
            for folder in folders:
                where = where[folder]
            where[name] = value
        save_tensors(path, arrays | (tensors or {}), about)

    return spoilt


def replaced(make):
    def spoilt(path):
        path.unlink()
        make(path)

    return spoilt


def resealed(old, new):
    """Other words in the metadata, under a right checksum."""

    def spoilt(found):
        text = json.loads(found["__metadata__"]["tinygrad_edu"])["content"].replace(old, new)
        assert new in text
        seal = hashlib.sha256(text.encode()).hexdigest()
        found["__metadata__"]["tinygrad_edu"] = json.dumps({"checksum": seal, "content": text})

    return spoilt


def broken(path):
    """One bit of the last tensor."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


# Other files of the run


def text(name, content):
    return lambda run: (run / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def folder(name):
    return lambda run: ((run / name).unlink(), (run / name).mkdir())
