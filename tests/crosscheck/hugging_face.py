"""What the tests of both families share: `transformers` without its messages, and our command line."""

import io
import logging
import warnings
from contextlib import redirect_stderr, redirect_stdout

from transformer.cli import main

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import transformers
    import transformers.utils.logging

transformers.utils.logging.disable_progress_bar()
logging.getLogger("transformers").setLevel(logging.ERROR)


def run(*arguments):
    """The exit code, what was printed, and what was complained about."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(list(map(str, arguments)))
    return code, out.getvalue(), err.getvalue()
