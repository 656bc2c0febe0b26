"""From a model's name to the model: by name, or by the reference of a stored file."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file as load_safetensors
from torch import Tensor

from bcbp.errors import ModelError
from bcbp.intake.containers import usual_name
from bcbp.intake.entries import (
    MODELS,
    ModelEntry,
    build_seeded,
    check_architecture,
    entry_of,
    signature_of,
)
from bcbp.intake.fitting import fitted
from bcbp.intake.inference import Match, infer, match, what_differs
from bcbp.intake.model import LoadedModel, adopt
from bcbp.intake.released import cached_weights
from bcbp.intake.uploads import Reference, Upload, UploadStore, reference_of

__all__ = ["MODELS", "check_model", "load_file", "load_model", "reference_to"]

# What loading makes of a file that breaks off or holds something else.
_DAMAGED = (
    SafetensorError,
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    LookupError,
    ValueError,
    AttributeError,
)
_RANDOM = "Random weights (seed 0): shapes and speed are those of the architecture, accuracy says nothing."
_FROM_SHAPES = "Strides and activations are the architecture's: a file of weights does not show them."


def check_model(name: str) -> None:
    """Raises ModelError for what no model is called; whether a file is stored shows when it is loaded."""
    if not isinstance(name, str):
        raise ModelError(f"Expected the name of a model; got {name!r}.")
    reference = reference_of(name)
    check_architecture(reference.architecture if reference else name)


def load_model(name: str) -> LoadedModel:
    """The model of that name (see `entry_of`), or of a stored file by its `Reference`, in eval mode.

    Weights by name are those that ship with the product, else those in torchvision's local cache; where there
    are none they are random from seed 0, and `trained` and `note` say so. Nothing is downloaded. Raises
    ModelError for an unknown name and for weights of another architecture.
    """
    reference = reference_of(name)
    if reference is not None:
        return _load_upload(reference)
    entry = entry_of(name)
    module = build_seeded(entry)
    path, note = _find_weights(entry)
    if path is not None:
        state = read_state(path)
        found = match(signature_of(entry), {key: tuple(value.shape) for key, value in state.items()})
        if found.missing:
            raise ModelError(f"Expected the tensors of {name} in {path.name}; {what_differs(found)}.")
        fitted(module, found, state)
    return adopt(
        module,
        name=entry.name,
        title=entry.title,
        input_shape=entry.input_shape,
        dataset=entry.dataset if path is not None else None,
        trained=path is not None,
        note=_joined(note, entry.advice),
    )


def load_file(path: Path | str, architecture: str | None = None) -> LoadedModel:
    """The model in a file of weights, of `architecture` or of the one that its tensors are of.

    Nothing that the file names is executed. It is kept as checked tensors, so that comparisons and
    the command line know the model by its `name`. Raises ModelError.
    """
    return load_model(str(reference_to(UploadStore().take_in(Path(path)), architecture)))


def reference_to(upload: Upload, architecture: str | None = None) -> Reference:
    """A stored file as `architecture`, else as the one that it surely is. Raises ModelError."""
    return Reference(upload.id, _matched(upload, architecture).name)


def _matched(upload: Upload, architecture: str | None) -> Match:
    """Raises ModelError where there is nothing to build, or too little fits."""
    if upload.reading.weights is None:
        raise ModelError(
            f"Expected weights that can be loaded; {upload.name}: {' '.join(upload.reading.notes)}"
        )
    if architecture is None:
        return infer(upload.reading.shapes)
    found = match(signature_of(entry_of(architecture)), upload.reading.shapes)
    if not found.is_likely:
        raise ModelError(
            f"Expected the tensors of {architecture} in {upload.name}; {found.share:.0%} fit: "
            f"{what_differs(found)}. Choose the architecture it was saved from."
        )
    return found


def _load_upload(reference: Reference) -> LoadedModel:
    upload = UploadStore().read(reference.upload)
    found = _matched(upload, reference.architecture)
    entry = entry_of(reference.architecture)
    assert upload.reading.weights is not None
    module = fitted(build_seeded(entry), found, load_safetensors(upload.reading.weights))
    trained = not found.missing
    dataset = entry.dataset
    known = trained and dataset is not None and found.classes == len(dataset.classes)
    return adopt(
        module,
        name=str(reference),
        title=f"{upload.name} as {reference.architecture}",
        input_shape=entry.input_shape,
        dataset=dataset if known else None,
        trained=trained,
        note=_joined(_what_was_taken(found), *upload.reading.notes, entry.advice),
    )


def _what_was_taken(found: Match) -> str:
    """How well the file fits, what of the network is not from it, and what nobody can see."""
    head = f"a head of {found.classes:,} classes" if found.classes else "no head that fits: it is random"
    rest = f" Random, for want of them in the file: {len(found.missing)} tensors." if found.missing else ""
    return f"{found.share:.1%} of the tensors fit; {head}.{rest} {_FROM_SHAPES}"


def _joined(*sentences: str) -> str:
    return " ".join(filter(None, sentences))


def _find_weights(entry: ModelEntry) -> tuple[Path | None, str]:
    """The file to load, if any, and a sentence on where the weights come from."""
    if entry.bundled.exists():
        return entry.bundled, f"Weights that ship with the product. {_card_sentence(entry)}"
    cached = cached_weights(entry.name)
    if cached is not None:
        return cached, f"torchvision's ImageNet weights ({cached.name})."
    return None, _RANDOM


def _card_sentence(entry: ModelEntry) -> str:
    """What the card beside bundled weights says of their accuracy."""
    card = json.loads(entry.bundled.with_suffix(".json").read_text())
    return (
        f"Trained on {card['trained_on']:,} images of {card['dataset']}; {card['test_accuracy']:.2%} on its "
        "test images when they were made."
    )


def read_state(path: Path) -> Mapping[str, Tensor]:
    """A state_dict that ships with the product or with torchvision. Raises ModelError for a damaged one."""
    try:
        if path.suffix == ".safetensors":
            return load_safetensors(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
        return {usual_name(name): value for name, value in state.items()}
    except (*_DAMAGED, OSError) as error:
        raise ModelError(
            f"Expected a state_dict in {path}; it cannot be read ({type(error).__name__}). "
            "Delete the file and fetch it again."
        ) from error
