"""As FastAPI's tutorial has it: a model of the request and of the answer. `python fastapi_server.py PORT`

https://fastapi.tiangolo.com/tutorial/response-model/ — with a declared type it writes JSON by Pydantic.
"""

import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from tiny import predict


class Rows(BaseModel):
    instances: list[list[float]]


class Answer(BaseModel):
    predictions: list[float]


app = FastAPI()


@app.post("/invocations")
async def invocations(rows: Rows) -> Answer:
    return Answer(predictions=predict(rows.instances))


uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False)
