"""How the network was made, to be made again: as JSON, and as Python that runs."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from bcbp import __version__
from bcbp.errors import SpecError
from bcbp.export.base import Pruned
from bcbp.files import write_json
from bcbp.recovery import FINETUNE
from bcbp.spec import PruneSpec

SCHEMA = 1
_SCRIPT = '''"""Prunes {model} again, the same way: {sparsity:.1%} of the weights in scope by {pattern}.

Written by bcbp {version}. Run it where bcbp is installed: python recipe.py
"""

import bcbp
from safetensors.torch import save_file
{imports}
model = bcbp.load_model({model!r})
expected = {digest!r}
if model.digest != expected:
    raise SystemExit(f"Expected the dense weights {{expected[:12]}}; got {{model.digest[:12]}}.")
{images}
spec = {spec}
plan = bcbp.make_plan(model, spec{folder})
network, recovery = bcbp.recover(model, plan{folder}{tuning})
print(f"{{plan.sparsity:.1%}} removed, recovered by {{recovery}}")
save_file({{name: value.contiguous() for name, value in network.state_dict().items()}}, "weights.safetensors")
'''
_IMAGES = """
images = place_of({data!r})
model = with_image_folder(model, images, {adjustment!r})
if model.images_digest != {digest!r}:
    raise SystemExit("Expected the images and the preprocessing of then; those found are others.")
"""
_IMPORTS = """from bcbp.image_folder import with_image_folder
from bcbp.picture_store import place_of
from bcbp.preprocessing import Adjustment
"""


@dataclass(frozen=True)
class Recipe:
    name: str = "recipe"
    title: str = "Recipe"
    description: str = (
        "recipe.json: model, digest of its dense weights, and every choice that was made; recipe.py does the "
        "same as a program of a few lines. Images and files of masks have to be found where they were."
    )
    needs: tuple[str, ...] = ()

    def write(self, pruned: Pruned, folder: Path) -> tuple[Path, ...]:
        paths = (folder / "recipe.json", folder / "recipe.py")
        write_json(paths[0], recipe_of(pruned))
        paths[1].write_text(script_of(pruned), encoding="utf-8")
        return paths


RECIPE = Recipe()


def recipe_of(pruned: Pruned) -> dict[str, Any]:
    """The choices as JSON; `bcbp.PruneSpec.from_json` reads "spec"."""
    tunes = pruned.plan.spec.recovery == FINETUNE.name
    return {
        "schema": SCHEMA,
        "bcbp": __version__,
        "model": pruned.model.name,
        "dense_digest": pruned.model.digest,
        "images": images_of(pruned),
        "spec": pruned.plan.spec.to_json(),
        "tuning": pruned.tuning.to_json() if tunes else None,
        "recovery": pruned.recovery,
        "sparsity": pruned.plan.sparsity,
    }


def images_of(pruned: Pruned) -> dict[str, Any] | None:
    """How a request names the images, and what tells them apart; None for those that a model comes with."""
    if pruned.data is None:
        return None
    return {
        "data": pruned.data,
        "adjustment": pruned.adjustment.to_json(),
        "digest": pruned.model.images_digest,
    }


def script_of(pruned: Pruned) -> str:
    """The same as Python."""
    spec = pruned.plan.spec
    tunes, named = spec.recovery == FINETUNE.name, pruned.data is not None
    images = _IMAGES.format(data=pruned.data, adjustment=pruned.adjustment, digest=pruned.model.images_digest)
    return _SCRIPT.format(
        model=pruned.model.name,
        digest=pruned.model.digest,
        sparsity=pruned.plan.sparsity,
        pattern=spec.pattern,
        version=__version__,
        spec=_changed(spec),
        imports=(_IMPORTS if named else "") + ("from bcbp.recovery.tuning import Tuning\n" if tunes else ""),
        images=images if named else "",
        folder=", folder=images" if named else "",
        tuning=f", tuning={pruned.tuning!r}" if tunes else "",
    )


def _changed(spec: PruneSpec) -> str:
    """The call that makes a spec: the fields that everyone asks for, and those that are not as usual."""
    usual, always = PruneSpec(), ("pattern", "ratio", "tile")
    given = {
        field.name: getattr(spec, field.name)
        for field in fields(spec)
        if field.name in always or getattr(spec, field.name) != getattr(usual, field.name)
    }
    return f"bcbp.PruneSpec({', '.join(f'{name}={value!r}' for name, value in given.items())})"


def read_recipe(path: Path) -> dict[str, Any]:
    """A recipe from its file. Raises SpecError for anything else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SpecError(f"Expected a recipe (JSON) in {path}; it cannot be read: {error}") from error
    if not isinstance(found, dict) or found.get("schema") != SCHEMA or "spec" not in found:
        raise SpecError(f"Expected a recipe of schema {SCHEMA} in {path}; got something else.")
    return found
