"""The ``edgebnn`` command: finds a command's module by name, turns errors into one line and an exit code.

Command modules are imported only when their command runs, so that ``edgebnn run`` never waits for PyTorch.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from edgebnn import __version__
from edgebnn.errors import EdgebnnError, ToolchainError, UsageError, did_you_mean

# name: (module, attribute, one-line help). The help stands here so that --help imports no command.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "advise": ("edgebnn.cli.advise", "advise", "Recommend a precision from size, accuracy and target."),
    "bench": ("edgebnn.cli.bench", "bench", "Measure this machine's kernels beside other libraries'."),
    "boards": ("edgebnn.cli.boards", "boards", "List the boards firmware can be built for."),
    "build": ("edgebnn.cli.build", "build", "Build the firmware of a converted model for a board."),
    "convert": ("edgebnn.cli.convert", "convert", "Convert a trained model to C for a target."),
    "data": ("edgebnn.cli.data", "data", "Fetch and prepare data sets."),
    "doctor": ("edgebnn.cli.doctor", "doctor", "Show what this machine has, lacks, and how to get it."),
    "estimate": ("edgebnn.cli.estimate", "estimate", "Count instructions and estimate cycles of a model."),
    "eval": ("edgebnn.cli.eval", "eval_", "Measure the accuracy of a model on labelled data."),
    "explain": (
        "edgebnn.cli.explain",
        "explain",
        "Say what each layer is, why, its cost and what to change.",
    ),
    "profile": ("edgebnn.cli.profile", "profile", "Profile a model layer by layer on a board or emulator."),
    "ptq": ("edgebnn.cli.ptq", "ptq", "Quantise a trained float network without training it."),
    "run": ("edgebnn.cli.run", "run", "Classify WAV or feature files with a converted model."),
    "search": ("edgebnn.cli.search", "search", "Search for a network under flash, RAM and cycle budgets."),
    "targets": ("edgebnn.cli.targets", "targets", "List the processors a model can be converted for."),
    "train": ("edgebnn.cli.train", "train", "Train a network."),
    "verify": ("edgebnn.cli.verify", "verify", "Compare several executions of a model byte for byte."),
}

# Optional packages by the name they are imported under, and the extra that installs each.
EXTRAS = {
    "torch": "train",
    "optuna": "search",
    "matplotlib": "plot",
    "tflite_runtime": "tflite",
    "ai_edge_litert": "tflite",
    "serial": "device",
    "unicorn": "emulate",
    "capstone": "emulate",
    "elftools": "firmware",
    "SCons": "firmware",
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            raise UsageError(f"no such command '{args[0]}'", did_you_mean(args[0], COMMANDS, "commands"))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][2]) for name in self.list_commands(ctx)])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: edgebnn convert examples/kws/kws.pt --target cortex-m4 -o build/kws",
)
@click.version_option(__version__, prog_name="edgebnn")
def cli() -> None:
    """Train, convert, run and measure binary and low-bit neural networks on microcontrollers.

    Exit codes: 0 ok, 1 mismatch, 2 usage, 3 model, 4 toolchain, 5 device.
    """


def _fail(message: str, hint: str | None, exit_code: int) -> NoReturn:
    """Prints one line, and the hint on a second, to standard error and ends the process."""
    click.echo(f"error: {' '.join(message.split())}", err=True)
    if hint:
        click.echo(f"hint: {' '.join(hint.split())}", err=True)
    sys.exit(exit_code)


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line ``args`` (default: that of the process) and exits with its code."""
    try:
        code = cli.main(args=args, prog_name="edgebnn", standalone_mode=False)
        sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else 0)
    except EdgebnnError as error:
        words = [word for word in (args if args is not None else sys.argv[1:]) if word in COMMANDS]
        usage = f"see 'edgebnn {words[0]} --help'" if words and isinstance(error, UsageError) else None
        _fail(str(error), error.hint or usage, error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else error.format_message(), err=True)
        sys.exit(UsageError.exit_code)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "edgebnn"
        _fail(error.format_message(), f"see '{path} --help'", UsageError.exit_code)
    except click.ClickException as error:
        _fail(error.format_message(), None, UsageError.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        _fail(
            f"this command needs the Python package '{package}', which is not installed",
            f"pip install 'edgebnn[{EXTRAS[package]}]'",
            ToolchainError.exit_code,
        )
    except BrokenPipeError:
        # The reader of our output went away (`edgebnn ... | head`): stop without a word.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        _fail(f"{place}{error.strerror or error}", None, UsageError.exit_code)
