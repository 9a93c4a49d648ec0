"""One connection to a service whose items are like others (like_intake.py)."""

import json
from http.client import HTTPConnection

_JSON = {"content-type": "application/json"}


class Client:
    """One connection to a replica."""

    def __init__(self, port: int) -> None:
        self.connection = HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(self, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
        self.connection.request(method, path, body, _JSON)
        response = self.connection.getresponse()
        return response.status, response.read()

    def put(self, item_id: str, like: str) -> int:
        return self.ask("PUT", f"/items/{item_id}", json.dumps({"text": {"like": like}}))[0]

    def recommended(self, history: str, k: int = 20) -> set[str]:
        body = json.dumps({"history": [history], "k": k})
        status, answer = self.ask("POST", "/recommend", body)
        if status != 200:
            raise RuntimeError(f"{status}: {answer!r}")
        return {item["item_id"] for item in json.loads(answer)["items"]}


def pair(client: Client) -> tuple[str, str]:
    """A history, and an item that is among its best: what is like it is, too."""
    for number in range(100):
        best = sorted(client.recommended(f"item-{number}", 3) - {f"item-{number}"})
        like = [item_id for item_id in best if item_id.startswith("item-")]
        if like:
            return f"item-{number}", like[0]
    raise RuntimeError("nothing is recommended")
