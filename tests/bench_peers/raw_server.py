"""The limit: ASGI without any framework, orjson, no check of anything. `python raw_server.py PORT`"""

import sys

import orjson
import uvicorn
from tiny import predict


async def app(scope, receive, send):
    event = await receive()
    body = event["body"]
    while event.get("more_body"):
        event = await receive()
        body += event["body"]
    answer = orjson.dumps({"predictions": predict(orjson.loads(body)["instances"])})
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False, lifespan="off")
