"""Reference (a): FastAPI and eager torch, one request at a time."""

import sys
from pathlib import Path
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.serving.references.shop import Shop
from models.contract import bundle
from models.nets.sequence import HistoryEncoder


class Request(BaseModel):
    """As ours, without the rarer fields."""

    history: list[str]
    k: int = 10


def app(directory: Path) -> FastAPI:
    """The service. Its handler is no coroutine, so FastAPI calls it in a thread."""
    torch.set_num_threads(1)
    shop, found, service = Shop(directory), bundle.read(directory), FastAPI()
    model = HistoryEncoder.load(found.weights_path, found.manifest.architecture)
    vectors_DN = torch.from_numpy(shop.vectors_DN)

    @service.post("/recommend")
    def recommend(body: Request) -> dict[str, Any]:
        asked = shop.read(body.history, body.k)
        with torch.inference_mode():
            feeds = map(torch.from_numpy, shop.feeds([asked]).values())
            scores_N = (model(*feeds) @ vectors_DN)[0].numpy()
        return shop.answer(scores_N, asked)

    return service


if __name__ == "__main__":
    uvicorn.run(app(Path(sys.argv[1])), port=int(sys.argv[2]), log_level="warning")
