"""Files that are whole or not there: atomic writes, and trees of tensors and plain values in one safetensors file.

The structure of a tree stands as JSON in the file's header, its tensors in the body, so that one ``os.replace`` makes
both visible at once. A checksum tells a damaged file. Nothing is pickled, nothing in a file is executed when it is
read.
"""

import json
import os
import re
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from chainrule.errors import InputError


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically: readers see the old file or the new one, never a part."""
    _replace(path, lambda draft: draft.write_text(text, encoding="utf-8"))


def write_json(path: Path, values: Any) -> None:
    """Write plain values as indented JSON, atomically."""
    write_text(path, json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        InputError: When it is missing or damaged; the sentence names it.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing.") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged ({error}).") from error


def write_tree(path: Path, tree: Any) -> None:
    """Write a tree of dicts, lists, tensors and plain values to one safetensors file, atomically."""
    tensors: dict[str, torch.Tensor] = {}
    structure = json.dumps(_pack(tree, "", tensors))

    def fill(draft: Path) -> None:
        try:
            save_file(tensors, draft, metadata={"tree": structure, "sum": _sum(structure, tensors)})
        except SafetensorError as error:
            # A full disk is a full disk, whoever meets it.
            if number := re.search(r"os error (\d+)", str(error)):
                raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error
            raise

    _replace(path, fill)


def read_tree(path: Path) -> Any:
    """Read what :func:`write_tree` wrote; tensors come to the CPU.

    Raises:
        InputError: When the file is missing or damaged; the sentence names it.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dictionary
            if metadata["sum"] != _sum(metadata["tree"], tensors):
                raise ValueError("its checksum is another")
            return _unpack(json.loads(metadata["tree"]), tensors)
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing.") from error
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise InputError(f"{path} is damaged ({error}).") from error


def write_stream(path: Path, write: Callable[[TextIO], Any]) -> None:
    """Let ``write`` fill a new text file; it appears when it is complete.

    Raises:
        InputError: When the file exists already, or its folder does not.
    """
    if path.exists():
        raise InputError(f"{path} exists already and is not overwritten; write another name.")
    if not path.parent.is_dir():
        raise InputError(f"{path} cannot be written: there is no folder {path.parent}; make it first.")

    def fill(draft: Path) -> None:
        with draft.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            write(file)

    _replace(path, fill)


def _replace(path: Path, write: Callable[[Path], Any]) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        draft.touch()
        mode = draft.stat().st_mode
        write(draft)
        draft.chmod(mode)  # safetensors would keep the file from everybody but its owner
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        error.filename = str(path)  # a user knows no draft
        raise
    finally:
        draft.unlink(missing_ok=True)


def _pack(value: Any, place: str, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        tensors[place] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
        return {"$tensor": place}
    if isinstance(value, dict):
        # Optimizers number their parameters; JSON keys are texts, so such a dict is written as pairs.
        pairs = [[key, _pack(item, f"{place}/{key}", tensors)] for key, item in value.items()]
        return {"$pairs": pairs} if any(not isinstance(key, str) for key in value) else dict(pairs)
    if isinstance(value, list | tuple):
        return [_pack(item, f"{place}/{number}", tensors) for number, item in enumerate(value)]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{place} holds a {type(value).__name__}, which is neither a tensor nor a plain value.")


def _unpack(value: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    if isinstance(value, dict):
        if "$tensor" in value:
            return tensors[value["$tensor"]]
        if "$pairs" in value:
            return {key: _unpack(item, tensors) for key, item in value["$pairs"]}
        return {key: _unpack(item, tensors) for key, item in value.items()}
    if isinstance(value, list):
        return [_unpack(item, tensors) for item in value]
    return value


def _sum(structure: str, tensors: Mapping[str, torch.Tensor]) -> str:
    """A checksum of a tree: one flipped bit makes another."""
    total = zlib.crc32(structure.encode())
    for name in sorted(tensors):
        total = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy().data, total)
    return f"{total:08x}"
