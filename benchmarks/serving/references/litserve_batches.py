"""Reference (c): LitServe, its own dynamic batching, the same ONNX file.

Runs in an environment of its own, so it imports nothing of ours but the file beside it.
"""

import sys
from pathlib import Path
from typing import Any

import litserve
import onnxruntime

sys.path.insert(0, str(Path(__file__).parent))
from shop import Asked, Shop


class Api(litserve.LitAPI):
    """History in, items out; batches are padded to their longest history."""

    def setup(self, device: str) -> None:
        """In the worker process."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.shop = Shop(Path(sys.argv[1]))
        self.session = onnxruntime.InferenceSession(
            self.shop.graph, options, providers=["CPUExecutionProvider"]
        )

    def decode_request(self, request: dict[str, Any]) -> Asked:
        """Ids to rows."""
        return self.shop.read(request["history"], request.get("k", 10))

    def batch(self, inputs: list[Asked]) -> list[Asked]:
        """As they are: ``predict`` pads them, and needs each request's own fields too."""
        return inputs

    def unbatch(self, output: list[Any]) -> list[Any]:
        """One answer a request."""
        return output

    def predict(self, asked: list[Asked]) -> list[dict[str, Any]]:
        """One run of the graph, one matrix product."""
        scores_BN = self.session.run(None, self.shop.feeds(asked))[0] @ self.shop.vectors_DN
        return [self.shop.answer(s_N, a) for s_N, a in zip(scores_BN, asked, strict=True)]

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        """As it is."""
        return output


if __name__ == "__main__":
    server = litserve.LitServer(
        Api(max_batch_size=32, batch_timeout=0.002, api_path="/recommend"), accelerator="cpu"
    )
    server.run(port=int(sys.argv[2]), log_level="warning", generate_client_file=False)
