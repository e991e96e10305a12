"""The same site for the second engine: our configuration without our plugin."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from catalog.model import Site

CONFIG = "mkdocs.yml"
_NAME = "tag:yaml.org,2002:python/name:"


class _PythonName(str):
    """`!!python/name:module.name`, carried over unread."""

    __slots__ = ()


class _Loader(yaml.SafeLoader):
    pass


class _Dumper(yaml.SafeDumper):
    pass


def _read_name(_loader: yaml.SafeLoader, suffix: str, _node: yaml.Node) -> _PythonName:
    return _PythonName(suffix)


def _write_name(_dumper: yaml.SafeDumper, name: _PythonName) -> yaml.ScalarNode:
    return yaml.ScalarNode(f"{_NAME}{name}", "")


_Loader.add_multi_constructor(_NAME, _read_name)
_Dumper.add_representer(_PythonName, _write_name)


def read_config(root: Path) -> dict[str, Any]:
    """Read mkdocs.yml without importing what it names."""
    text = (root / CONFIG).read_text(encoding="utf-8")
    config = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader that reads names as text
    return dict(config)


def zensical_config(root: Path, site: Site, nav: Sequence[object]) -> bytes:
    """Give `build/zensical.yml`; its paths are relative to `build/`."""
    config = read_config(root)
    config["docs_dir"] = "docs"
    config["site_dir"] = "zensical"
    config["nav"] = list(nav)
    if site.url:
        config["site_url"] = site.url
    if site.repo:
        config["repo_url"] = site.repo
    if "custom_dir" in config["theme"]:
        config["theme"]["custom_dir"] = f"../{config['theme']['custom_dir']}"
    config["plugins"] = [plugin for plugin in config["plugins"] if plugin != "firedrill"]
    for plugin in config["plugins"]:
        if isinstance(plugin, dict) and "mkdocstrings" in plugin:
            python = plugin["mkdocstrings"]["handlers"]["python"]
            python["paths"] = [f"../{path}" for path in python["paths"]]
    head = f"# Written by `python -m catalog stage` from {CONFIG}.\n"
    return (head + yaml.dump(config, Dumper=_Dumper, sort_keys=False, allow_unicode=True)).encode()
