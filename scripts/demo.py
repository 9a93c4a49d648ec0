"""Start the service on a bundle, ask it for recommendations over HTTP, print them, stop it."""

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from models.contract import bundle

console = Console()

SHOPPERS = {
    "someone who watched space adventures": ("Star Wars", "Empire Strikes Back", "Alien"),
    "a family with small children": ("Toy Story", "Lion King", "Aladdin"),
    "a friend of dark crime stories": ("Pulp Fiction", "Fargo", "Reservoir Dogs"),
}


def main(directory: Path) -> None:
    """Ask for every shopper, then for somebody nobody knows."""
    catalogue = bundle.read(directory / "current").catalogue
    titles = {item.item_id: item.title or item.item_id for item in catalogue}
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    program = Path(sys.executable).with_name("bbqrec-serve")
    console.rule("[bold]bbqrec-serve")
    service = subprocess.Popen([program, directory, "--port", str(port)])
    try:
        wait_until_ready(url, service)
        for who, wanted in SHOPPERS.items():
            history = [find(titles, title) for title in wanted]
            show(who, history, titles, ask(url, history))
        show(
            "a newcomer, with an item the shop does not know",
            ["no-such-item"],
            titles,
            ask(url, ["no-such-item"]),
        )
    finally:
        service.terminate()
        service.wait(timeout=30)
    console.print("\nThe service has stopped. To go on:\n")
    console.print("  [bold]make serve[/]      # and then, from another terminal:")
    body = json.dumps({"history": [find(titles, "Star Wars")], "k": 5})
    console.print(
        "  curl -s http://127.0.0.1:8000/recommend -H 'content-type: application/json' "
        f"-d '{body}'",
        soft_wrap=True,
        highlight=False,
    )
    console.print("  open http://127.0.0.1:8000, and artifacts/demo/current/report.html")


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_ready(url: str, service: subprocess.Popen[bytes], seconds: float = 60) -> None:
    """Poll /readyz; give up when the service ends or the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and service.poll() is None:
        try:
            urllib.request.urlopen(f"{url}/readyz", timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    sys.exit("the service did not become ready")


def ask(url: str, history: list[str]) -> dict[str, Any]:
    """POST /recommend."""
    body = json.dumps({"history": history, "k": 5, "explain": True}).encode()
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(f"{url}/recommend", body, headers)
    with urllib.request.urlopen(request, timeout=10) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


def find(titles: dict[str, str], wanted: str) -> str:
    """The item of this title, or whose title starts so; the first item where there is none."""
    exact = [item for item, title in titles.items() if title == wanted]
    close = [item for item, title in titles.items() if title.startswith(wanted)]
    return [*exact, *close, *titles][0]


def why(item: dict[str, Any], titles: dict[str, str]) -> str:
    """What the service says speaks for it, in words."""
    if item.get("because") is None:
        return "popular"
    said = {"after": "often after", "alike": "described like", "history": "suits"}
    return f"{said[item['reason']]} {titles.get(item['because'], item['because'])}"


def show(who: str, history: list[str], titles: dict[str, str], answer: dict[str, Any]) -> None:
    """One table a shopper."""
    seen = ", ".join(titles.get(item, item) for item in history)
    table = Table(title=f"For {who}\n[dim]history: {seen}[/]", title_justify="left")
    table.add_column("next", min_width=34)
    table.add_column("score", justify="right")
    table.add_column("because of", min_width=24)
    for item in answer["items"]:
        table.add_row(item["title"] or item["item_id"], f"{item['score']:.2f}", why(item, titles))
    console.print(table)
    if answer["unknown_items"]:
        console.print(
            f"  unknown to the shop: {', '.join(answer['unknown_items'])}", style="yellow"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
