"""Lineup's configuration keys as the reference reads them: defaults, then a YAML file, then `--set key=value`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

DEFAULTS: dict[str, Any] = {
    "model.trunk": "resnet50",
    "model.norm": "batch",
    "model.attention": "none",
    "model.filters": "plain",
    "model.branch": "none",
    "model.pyramid": "plain",
    "model.head": "msfl",
    "model.heads": [],
    "model.width": 1.0,
    "model.embedding": 512,
    "model.sharedPyramid": True,
    "model.stages": [1, 2, 3, 4],
    "model.lateral": True,
    "model.topDown": True,
    "model.fusion": True,
    "model.lastStride": 2,
    "model.maxPool": "padded",
    "model.initialization": "he",
    "input.height": 256,
    "input.width": 128,
    "losses.crossEntropy.weight": 1.0,
    "losses.crossEntropy.smoothing": 0.0,
    "losses.triplet.weight": 1.0,
    "losses.triplet.margin": 0.3,
    "losses.triplet.soft": False,
    "msgr.lambda": 0.0,  # 0 switches the regularizer off
    "msgr.norm": 2,
    "msgr.at": [1, 2],
    "normLoss.lambda": 0.0,  # likewise
    "adaptiveL2.enabled": False,
    "adaptiveL2.amplitude": 0.005,
    "adaptiveL2.initial": 0.0,
    "adaptiveL2.trained": True,
    "adaptiveL2.tensors": ["convolution", "linear", "bias", "normScale", "normShift"],
    "optimizer.learningRate": 3.5e-4,
    "optimizer.weightDecay": 5e-4,
    "evaluation.flip": False,
    "seed": 1,
}

# Said to Lineup even where nobody set them, so that both sides agree whatever Lineup's defaults are. The other
# keys are passed on only where they were set.
ALWAYS_PASSED = (
    "model.trunk",
    "model.norm",
    "model.attention",
    "model.head",
    "model.width",
    "model.embedding",
    "model.sharedPyramid",
    "input.height",
    "input.width",
    "losses.crossEntropy.weight",
    "losses.crossEntropy.smoothing",
    "losses.triplet.weight",
    "losses.triplet.margin",
    "losses.triplet.soft",
    "seed",
)


# Keys whose value may be a word with options.
PARTS = ("model.attention",)


def part(value: Any) -> tuple[str, dict[str, Any]]:
    """A part as a configuration has it: a word, or a word with options."""
    if isinstance(value, dict):
        ((word, options),) = value.items()
        return word, options or {}
    return value, {}


def parse_value(text: str) -> Any:
    """A value as YAML reads it, and also `1e-4` (a string in YAML 1.1) and `1,2` (a list)."""
    value = yaml.safe_load(text)
    if isinstance(value, str):
        if "," in value:
            return [parse_value(item) for item in value.split(",")]
        try:
            return float(value)
        except ValueError:
            return value
    return value


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict) and f"{prefix}{key}" not in PARTS:
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = parse_value(value) if isinstance(value, str) else value
    return flat


def as_text(value: Any) -> str:
    """A value as it is written on Lineup's command line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ",".join(as_text(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {as_text(item)}" for key, item in value.items()) + "}"
    return str(value)


@dataclass(frozen=True)
class Settings:
    """Resolved values by dotted key, and the command-line arguments that say the same to Lineup."""

    values: dict[str, Any]
    config: str | None = None
    overrides: tuple[str, ...] = field(default_factory=tuple)

    def __getitem__(self, key: str) -> Any:
        return self.values[key]

    def with_values(self, **changes: Any) -> Settings:
        """The same settings with some values replaced; dots are written as two underscores."""
        changed = {key.replace("__", "."): value for key, value in changes.items()}
        return Settings({**self.values, **changed}, self.config, self.overrides)

    def lineup_arguments(self, **extra: Any) -> list[str]:
        """`--config` and `--set` for Lineup; `extra` (dots as two underscores) comes last and wins."""
        arguments = ["--config", self.config] if self.config else []
        pairs = [f"{key}={as_text(self.values[key])}" for key in ALWAYS_PASSED]
        pairs += list(self.overrides)
        pairs += [f"{key.replace('__', '.')}={as_text(value)}" for key, value in extra.items()]
        for pair in pairs:
            arguments += ["--set", pair]
        return arguments


def resolve(config: str | None = None, overrides: list[str] | None = None) -> Settings:
    """Settings from a YAML file and `key=value` strings. Keys the reference has no use for go to Lineup alone."""
    values = dict(DEFAULTS)
    if config:
        values.update(flatten(yaml.safe_load(Path(config).read_text()) or {}))
    for pair in overrides or []:
        key, separator, text = pair.partition("=")
        if not separator:
            raise SystemExit(f"--set {pair}: expected key=value")
        values[key] = parse_value(text)
    for key in ("model.heads", "model.stages", "msgr.at", "adaptiveL2.tensors"):
        if not isinstance(values[key], list):
            values[key] = [values[key]]
    return Settings(values, config, tuple(overrides or []))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options every check has in common with Lineup's commands."""
    parser.add_argument("--config", help="a Lineup configuration file (YAML)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="one setting, dotted key")
