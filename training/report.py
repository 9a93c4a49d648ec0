"""The evaluation table: a Rich table for people, JSON for programs."""

from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

OURS = "bbqrec"
HEADLINE = "ndcg@10"


@dataclass(frozen=True)
class EvaluationTable:
    """Metrics of every model on the same users and candidates."""

    models: dict[str, dict[str, float]]
    users: int
    protocol: str
    knn_decay: float  # chosen on validation

    def best_baseline(self) -> str:
        """The baseline with the best headline metric."""
        others = [name for name in self.models if name != OURS]
        return max(others, key=lambda name: self.models[name][HEADLINE])

    def loses(self) -> bool:
        """Whether a baseline is ahead."""
        return self.models[self.best_baseline()][HEADLINE] >= self.models[OURS][HEADLINE]

    def verdict(self) -> str:
        """One line: ours beside the best baseline."""
        best = self.best_baseline()
        ours, theirs = self.models[OURS][HEADLINE], self.models[best][HEADLINE]
        ahead = f"{ours / theirs - 1:+.1%}" if theirs else "n/a"
        line = f"NDCG@10 {ours:.4f}, {ahead} against {best} ({theirs:.4f})"
        return f"{line}: LOSES to a baseline, do not go live" if self.loses() else line

    def as_json(self) -> dict[str, Any]:
        """What ``evaluation.json`` holds."""
        return {
            "protocol": self.protocol,
            "users": self.users,
            "knn_decay": self.knn_decay,
            "best_baseline": self.best_baseline(),
            "loses_to_baseline": self.loses(),
            "models": self.models,
        }

    def print(self, console: Console | None = None) -> None:
        """Print the table and the verdict, in red where a baseline is ahead."""
        console = console or Console()
        names = list(self.models[OURS])
        table = Table(
            title=f"Test, {self.protocol} protocol, full ranking, {self.users:,} users",
            caption=f"item-knn-decayed: {self.knn_decay} a step back, chosen on validation",
        )
        table.add_column("model")
        for name in names:
            table.add_column(name, justify="right")
        best = {name: max(values[name] for values in self.models.values()) for name in names}
        for model, values in self.models.items():
            cells = [
                f"[bold]{values[name]:.4f}[/]"
                if values[name] == best[name]
                else f"{values[name]:.4f}"
                for name in names
            ]
            table.add_row(model, *cells, style=self._style(model))
        console.print(table)
        console.print(self.verdict(), style="bold red" if self.loses() else "green")

    def _style(self, model: str) -> str:
        if model != OURS:
            return ""
        return "red" if self.loses() else "green"
