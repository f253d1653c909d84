"""python -m benchmarks.rate: how many floating-point operations a second one thread does in a product of matrices."""

import time
from statistics import median

import numpy as np

SIZE, ROUNDS = 512, 15


def rate() -> float:
    x = np.ones((SIZE, SIZE), np.float32)
    seconds = []
    for _ in range(ROUNDS):
        before = time.process_time()
        for _ in range(4):
            x @ x
        seconds.append((time.process_time() - before) / 4)
    return 2.0 * SIZE**3 / median(seconds)


if __name__ == "__main__":
    print(rate())
