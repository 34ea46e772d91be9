"""How long does `import surfacedefect` take over bare Python, and how long until the first call is ready?"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from common import write_result

STATEMENTS = {
    "bare": "pass",
    "import": "import surfacedefect",
    "import_and_detect": "import surfacedefect; surfacedefect.detect",
}
ROUNDS = 7


def seconds(statement: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - started


def main() -> None:
    for statement in STATEMENTS.values():
        seconds(statement)
    times = {name: [] for name in STATEMENTS}
    for _ in range(ROUNDS):
        for name, statement in STATEMENTS.items():
            times[name].append(seconds(statement))
    medians = {name: statistics.median(values) for name, values in times.items()}
    over_bare = {name: round(medians[name] - medians["bare"], 3) for name in STATEMENTS if name != "bare"}
    print(over_bare)
    write_result("import", {"question": __doc__, "median_seconds": medians, "seconds_over_bare_python": over_bare})


if __name__ == "__main__":
    main()
