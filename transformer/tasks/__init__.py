"""Tasks: what a model learns. Each is one class in one file; splits and batches are made from any of them."""

from transformer.tasks.digits import DigitTask
from transformer.tasks.expressions import ArithmeticTask, NestedTask, read
from transformer.tasks.finding import task_of_file
from transformer.tasks.sorting import SortTask
from transformer.tasks.splits import Batch, Split, make_splits, padded
from transformer.tasks.task import POOL, TASKS, Example, Task, make_task, register
from transformer.tasks.text import TextTask

__all__ = [
    "POOL",
    "TASKS",
    "ArithmeticTask",
    "Batch",
    "DigitTask",
    "Example",
    "NestedTask",
    "SortTask",
    "Split",
    "Task",
    "TextTask",
    "make_splits",
    "make_task",
    "padded",
    "read",
    "register",
    "task_of_file",
]
