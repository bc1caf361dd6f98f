"""Ray Serve as it comes: one deployment behind its proxy. `python ray_server.py PORT`

https://docs.ray.io/en/latest/serve/http-guide.html
"""

import sys
import time

import ray
from ray import serve
from starlette.requests import Request


@serve.deployment
class Tiny:
    def __init__(self):
        from tiny import predict

        self.predict = predict

    async def __call__(self, request: Request):
        rows = await request.json()
        return {"predictions": self.predict(rows["instances"])}


ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level="warning")
serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
serve.run(Tiny.bind(), route_prefix="/invocations")
while True:
    time.sleep(60)
