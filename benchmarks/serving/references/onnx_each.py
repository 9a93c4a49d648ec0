"""Reference (b): FastAPI and ONNX Runtime, no batching, a full-catalogue matrix product."""

import sys
from pathlib import Path
from typing import Any

import onnxruntime
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.serving.references.shop import Shop


class Request(BaseModel):
    """As ours, without the rarer fields."""

    history: list[str]
    k: int = 10


def app(directory: Path) -> FastAPI:
    """The service. Its handler is a coroutine: to go through a thread would cost more."""
    shop, service, options = Shop(directory), FastAPI(), onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(shop.graph, options, providers=["CPUExecutionProvider"])

    @service.post("/recommend")
    async def recommend(body: Request) -> dict[str, Any]:
        asked = shop.read(body.history, body.k)
        user_1D = session.run(None, shop.feeds([asked]))[0]
        return shop.answer((user_1D @ shop.vectors_DN)[0], asked)

    return service


if __name__ == "__main__":
    uvicorn.run(app(Path(sys.argv[1])), port=int(sys.argv[2]), log_level="warning")
