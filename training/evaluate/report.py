"""The evaluation table: a Rich table for people, JSON for programs."""

from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

OURS = "bbqrec"
CUTOFF = 10  # of the list that models are compared by
HEADLINE = f"ndcg@{CUTOFF}"


@dataclass(frozen=True)
class EvaluationTable:
    """Metrics of every model on the same users and candidates."""

    models: dict[str, dict[str, float]]
    users: int
    left_out: int  # users whose test item lies in their history, where that is never recommended
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
            "left_out": self.left_out,
            "knn_decay": self.knn_decay,
            "best_baseline": self.best_baseline(),
            "loses_to_baseline": self.loses(),
            "models": self.models,
        }

    def print(self, console: Console | None = None) -> None:
        """Print the table and the verdict, in red where a baseline is ahead."""
        console = console or Console()
        table = Table(
            title=f"Test, {self.protocol} protocol, full ranking, {self.users:,} users",
            caption=self._caption(),
        )
        table.add_column("metric")
        for model in self.models:
            table.add_column(model, justify="right", style=self._style(model))
        for metric in self.models[OURS]:
            values = [metrics[metric] for metrics in self.models.values()]
            cells = (f"{value:.4f}" for value in values)
            table.add_row(
                metric,
                *(
                    f"[bold]{cell}[/]" if value == max(values) else cell
                    for cell, value in zip(cells, values, strict=True)
                ),
            )
        console.print(table)
        console.print(
            self.verdict(), style="bold red" if self.loses() else "green", highlight=False
        )

    def _caption(self) -> str:
        decay = f"item-knn-decayed: {self.knn_decay} a step back, chosen on validation"
        left_out = f"; left out: {self.left_out:,} users, who had their test item before"
        return decay + (left_out if self.left_out else "")

    def _style(self, model: str) -> str:
        if model != OURS:
            return ""
        return "red" if self.loses() else "green"
