"""Time of the estimators beside their peers: same data, threads and quality, in turn in one process.

    python -m benchmarks.estimators                     # all, on two threads; nothing else may run
    python -m benchmarks.estimators svc-64 knn          # some of them
    python -m benchmarks.estimators --device cuda       # ours on the GPU, the peers on the CPU

For each contest: the median seconds of both over the rounds, the median of the ratios peer / ours round by round and
their range, the goal, and what both reached, so that nobody is fast by being worse.
"""

from benchmarks import structure, supervised
from benchmarks.contest import run

if __name__ == "__main__":
    run(supervised.CONTESTS | structure.CONTESTS, __doc__)
