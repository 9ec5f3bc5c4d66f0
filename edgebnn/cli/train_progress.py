"""What is seen of a training on standard error."""

from __future__ import annotations

from edgebnn.cli.common import say, stderr_console


class Progress:
    """Progress bars on standard error; one plain line an epoch where that is no terminal."""

    def __init__(self) -> None:
        from rich import progress as rich

        from edgebnn.train import distributed

        self.console = stderr_console()
        self.bar = rich.Progress(
            rich.TextColumn("{task.description}"),
            rich.BarColumn(),
            rich.MofNCompleteColumn(),
            rich.TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal or not distributed.writes(),
        )
        self.task = self.bar.add_task("loading", total=None)

    def __enter__(self) -> Progress:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def prepare(self, what: str, done: int, total: int) -> None:
        self.bar.update(self.task, description=what, completed=done, total=total)

    def start(self, epoch: int, epochs: int) -> None:
        self.bar.update(self.task, description="training", completed=epoch, total=epochs)
        if epoch:
            say(f"resuming after epoch {epoch} of {epochs}")

    def step(self, epoch: int, step: int, steps: int) -> None:
        self.bar.update(self.task, completed=epoch + step / steps)

    def epoch(self, metrics: dict[str, float], epochs: int) -> None:
        self.console.print(
            f"epoch {metrics['epoch']}/{epochs}  loss {metrics['loss']:.4f}"
            f"  validation {100 * metrics['val_accuracy']:.2f} %  {metrics['seconds']:.1f} s"
        )

    def warn(self, message: str) -> None:
        self.console.print(f"warning: {message}")
