"""Our core without its log, which no setting does. `python core.py PORT PROJECT MODEL-FOLDER…`

Of several models the first has 90 % of the requests, and the second 10 %.
"""

import gc
import sys
from pathlib import Path

import uvloop

from runtime_lib.serving.address import listen
from runtime_lib.serving.connections import Server
from runtime_lib.serving.http import build_app
from runtime_lib.serving.releases.journal import Held
from runtime_lib.serving.service import Service
from runtime_lib.serving.traffic import Policy
from runtime_lib.settings import load


async def main(port: int, project: Path, folders: list[str]) -> None:
    service = Service(load(project), name="bench", log=None)
    await service.prepare({str(n): Held(folder, "") for n, folder in enumerate(folders, 1)})
    service.commit(Policy({"1": 900, "2": 100} if len(folders) > 1 else {"1": 1000}))
    with listen("127.0.0.1", port) as listener:
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000)
        await Server(build_app(service), listener).run()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
