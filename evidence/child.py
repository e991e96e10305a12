"""Measure one scenario in this process: `python -m evidence.child <scenario> <descriptor>`.

Started by `python -m evidence`, which reads one JSON line an event from the descriptor:
`{"step": [words, recorded]}` while it goes on, at last `{"result": record}` or `{"error": text}`.
"""

import importlib
import json
import os
import sys
import traceback

from evidence.harness import BadMeasurement, Run
from lab import servers


def main() -> int:
    """Measure, report, and give the exit status."""
    scenario, descriptor = sys.argv[1], int(sys.argv[2])
    with os.fdopen(descriptor, "w", encoding="utf-8", buffering=1) as events:

        def tell(kind: str, what: object) -> None:
            events.write(json.dumps({kind: what}) + "\n")

        try:
            module = importlib.import_module(f"evidence.{scenario.replace('-', '_')}")
            run = Run(scenario, progress=lambda words, recorded: tell("step", [words, recorded]))
            module.measure(run)
            tell("result", run.result(servers.versions()))
        except (BadMeasurement, servers.ServerUnavailable) as error:
            tell("error", str(error))
            return 1
        except KeyboardInterrupt:
            return 130
        except Exception:  # noqa: BLE001 (told to the parent, traceback and all)
            tell("error", traceback.format_exc())
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
