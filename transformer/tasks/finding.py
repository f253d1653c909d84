"""A user's own task, in a file of Python that the user names: no checkpoint can make it run."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from transformer.tasks.task import TASKS

__all__ = ["task_of_file"]


def task_of_file(path: Path) -> str:
    """Run the file, which registers a task; the name of that task. Raises ValueError, and what the file raises."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file with a task")
    module = f"task_{path.stem}"
    spec = importlib.util.spec_from_file_location(module, path)
    assert spec is not None and spec.loader is not None
    sys.modules[module] = loaded = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(loaded)
    except SyntaxError as error:
        raise ValueError(f"{path}, line {error.lineno}: {error.msg}") from None
    own = [name for name, task in TASKS.items() if task.__module__ == module]
    if not own:
        raise ValueError(f"{path} registers no task: write @register above a subclass of transformer.tasks.Task")
    return own[-1]
