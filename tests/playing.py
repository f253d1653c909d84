"""A playground for the tests: a small model that nobody has trained, served on a free port by a thread."""

import http.client
import json
import threading
import time
from contextlib import contextmanager

from transformer import Transformer, TransformerConfig
from transformer.play import Session
from transformer.play.server import listening, server_of
from transformer.tasks import DigitTask
from transformer.train import TrainConfig

SIZES = {"vocab_size": 20, "embed_dim": 8, "num_heads": 2, "num_layers": 2, "ffn_dim": 8}
QUESTION = "Max(1,6,2)"


def session_of(task=None, **settings):
    config = TransformerConfig(**SIZES | settings)
    return Session(Transformer(config, seed=1), TrainConfig(config, task or DigitTask()), "small")


@contextmanager
def served(session, patience=2):
    """The port at which the session is served. patience: seconds for what is being answered when it ends."""
    door = listening()
    server = server_of(session, door.getsockname()[1])
    server.config.timeout_graceful_shutdown = patience
    thread = threading.Thread(target=server.run, kwargs={"sockets": [door]})
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield door.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
        door.close()


def sent(port, method, path, body=b"", **headers):
    """Status, headers, and what came back, read as JSON if it says so."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    headers = {"Content-Type": "application/json"} | {name.replace("_", "-"): text for name, text in headers.items()}
    try:
        connection.request(method, path, body if isinstance(body, bytes) else json.dumps(body).encode(), headers)
        response = connection.getresponse()
        data = response.read()
        found = json.loads(data) if "json" in response.headers.get("content-type", "") else data.decode()
        return response.status, response.headers, found
    finally:
        connection.close()
