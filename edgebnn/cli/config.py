"""``--config``, ``--layer`` and ``--arch`` of the training commands: options and per-layer settings from
``edgebnn.toml``.

Flag over environment (``EDGEBNN_TRAIN_EPOCHS``) over file over default.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from edgebnn.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])

#: context settings of a training command: an environment variable for each option
ENVIRONMENT: dict[str, Any] = {"auto_envvar_prefix": "EDGEBNN_TRAIN"}


def _load(ctx: click.Context, param: click.Parameter, path: Path | None) -> None:
    """Makes the file's values the defaults of the command; what is for layers goes to ``ctx.meta``."""
    from edgebnn.train.policy import CONFIG_FILE, KEYS, Config, read_config, unknown

    if path is None and not Path(CONFIG_FILE).is_file():
        ctx.meta["edgebnn.config"] = Config(Path(CONFIG_FILE))
        return
    config = read_config(path or Path(CONFIG_FILE))
    options = {p.name: p for p in ctx.command.params if p.name and p.name not in ("config", "layer")}
    known = sorted(set(options).union(*_siblings(ctx)) - set(KEYS))
    defaults: dict[str, Any] = {}
    for key, value in config.train.items():
        name = key.replace("-", "_")
        if key in KEYS:
            raise UsageError(f"{config.path}: [train]: {key} belongs under [policy]")
        if name not in known:
            raise unknown(f"{config.path}: [train]: unknown key", key, known)
        if name in options:
            try:
                defaults[name] = options[name].type_cast_value(ctx, value)
            except click.BadParameter as error:
                raise UsageError(f"{config.path}: [train]: {key}: {error.message}") from None
    ctx.default_map = {**defaults, **{k: v for k, v in config.policy.items() if k in options}}
    ctx.meta["edgebnn.config"] = config


def _siblings(ctx: click.Context) -> list[set[str]]:
    """Options of the group's other commands: one file serves them all."""
    group = ctx.parent.command if ctx.parent else None
    commands = group.commands.values() if isinstance(group, click.Group) else ()
    return [{p.name for p in command.params if p.name} for command in commands]


def policy_options(command: F) -> F:
    """Adds ``--config`` and ``--layer``; ``apply_policy`` puts what they say into an architecture."""
    command = click.option(
        "--layer",
        multiple=True,
        metavar="PATTERN=KEY=VALUE",
        help="Override weight, act, before, after or padding of the layers whose name matches, such as"
        " 'blocks.0.*=weight=int8,act=lsq:8'; may be repeated.",
    )(command)
    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        is_eager=True,
        expose_value=False,
        callback=_load,
        help="TOML file of options and layers; default: edgebnn.toml in the working folder, if there is one.",
    )(command)


def apply_policy(arch: dict[str, Any], layer: tuple[str, ...]) -> dict[str, Any]:
    """``arch`` with the settings of the command's configuration file and, over them, those of ``--layer``."""
    from edgebnn.train.policy import parse_override, with_overrides

    config = click.get_current_context().meta["edgebnn.config"]
    overrides = {pattern: dict(values) for pattern, values in config.layers.items()}
    for text in layer:
        pattern, values = parse_override(text)
        # Moved to the end: later patterns win, and a flag wins over the file.
        overrides[pattern] = {**overrides.pop(pattern, {}), **values}
    return with_overrides(arch, config.policy, overrides)


def read_arch(path: Path) -> dict[str, Any]:
    """The architecture in a JSON file, such as best.json of a search. Raises UsageError."""
    try:
        arch = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file", "edgebnn search writes best.json") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: not a JSON file ({error})") from None
    if not isinstance(arch, dict) or "name" not in arch:
        raise UsageError(f"{path}: no architecture: it has no 'name'", "edgebnn search writes best.json")
    return arch
