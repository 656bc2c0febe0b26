"""Sentences of the Model page, and of files of weights and pictures."""

from __future__ import annotations

from collections.abc import Sequence

from app.words.formats import amount, literal, percent

TAGLINE = (
    "Remove weights in a pattern that the hardware can skip, such as balanced columns (BCBP). "
    "Then measure speed and accuracy on this machine against the unpruned network at its best. "
    "The answer may be no."
)
START = "Compare on this machine"
TUNE_FIRST = "Tune the ratios first"
USE_SAMPLE = "Back to the sample"
UNTRAINED = "Random weights: speed and masks are real, accuracy would mean nothing and is not shown."
OWN_NETWORK = "Use your own network: upload weights, or name an architecture"
UPLOAD_NOTE = (
    "Nothing in the file is executed: only its tensors are read, in a process of its own, and kept on this "
    "machine."
)
READING = "Reading the file"
OWN_IMAGES = "Test it on your own images: upload a zip of them"
IMAGES_NOTE = (
    "Only pictures are unpacked, into a folder of their own on this machine. They take the place of images "
    "that the network comes with."
)
READING_IMAGES = "Unpacking the pictures and reading each of them once"
NO_OWN_IMAGES = "no images of your own"
_CLASSES_SHOWN = 12
FETCHING = "Downloading the weights"
HEAD_RANDOM = "without a head that fits"
TENSORS_ALT = "Tensors of the file"


def layer_kind(kind: str, kernel: tuple[int, int], stride: tuple[int, int]) -> str:
    """
    >>> layer_kind("conv", (3, 3), (2, 2)), layer_kind("linear", (1, 1), (1, 1))
    ('3 × 3 convolution, stride 2', 'Linear')
    """
    if kind == "linear":
        return "Linear"
    words = f"{kernel[0]} × {kernel[1]} convolution"
    return words if stride == (1, 1) else f"{words}, stride {stride[0]}"


def not_prunable(count: int) -> str:
    return f"Not prunable, and why ({count} {'layer' if count == 1 else 'layers'})"


def hero_picture(layer: str) -> str:
    return (
        f"Layer `{layer}`: full colour is kept, grey is removed, pale is some of both where columns are "
        "narrower than a pixel. Rows are filters in tiles; equal bars at the right are equal work."
    )


def start_caption(*, with_accuracy: bool) -> str:
    """What the first button does, for a model with or without an accuracy."""
    test = "tests it on real images and times it" if with_accuracy else "times it (no accuracy: see below)"
    return f"Prunes the model above by each method, {test}, in the background. Stop works at any time."


def file_line(name: str, kind: str, tensors: int, numbers: int) -> str:
    """
    >>> file_line("net.pt", "safetensors", 122, 11_700_000)
    '**net\\\\.pt** is safetensors: 122 tensors, 11.7 M numbers.'
    """
    count = "1 tensor" if tensors == 1 else f"{tensors:,} tensors"
    return f"**{literal(name)}** is {kind}: {count}, {amount(numbers)} numbers."


def images_line(name: str, pictures: int, classes: int, *, tested: int, others: int) -> str:
    """
    >>> print(images_line("cats", 1200, 3, tested=600, others=1))
    **cats**: 1,200 pictures in 3 classes, 600 of them to test on. 1 other file was left out.
    """
    kinds = "1 class" if classes == 1 else f"{classes:,} classes"
    line = f"**{literal(name)}**: {pictures:,} pictures in {kinds}, {tested:,} of them to test on."
    if not others:
        return line
    return f"{line} {others:,} other {'file was' if others == 1 else 'files were'} left out."


def class_order(classes: Sequence[str]) -> str:
    """
    >>> class_order(["cat", "dog"]).split(":")[0]
    'Class 0 is cat, 1 is dog'
    """
    shown = [f"{number} is {literal(name)}" for number, name in enumerate(classes[:_CLASSES_SHOWN])]
    if len(classes) > _CLASSES_SHOWN:
        shown += ["…", f"{len(classes) - 1} is {literal(classes[-1])}"]
    return (
        f"Class {', '.join(shown)}: the sorted order of the folders. Run says so where the network seems to "
        "number its classes otherwise."
    )


def images_in_use(images: str) -> str:
    """
    >>> images_in_use("cats-0123456789ab")
    'Images: `cats-0123456789ab`, uploaded on the Model page.'
    """
    return f"Images: `{images}`, uploaded on the Model page."


def pruned(prunable: int, dense: int) -> str:
    """
    >>> pruned(10, 2)
    '8 of 10 layers'
    """
    return f"{prunable - dense} of {prunable} layers"


def prepared(words: str) -> str:
    """
    >>> prepared("shorter side resized to 256")
    'Images: shorter side resized to 256.'
    """
    return f"Images: {words}."


def recognised(name: str, share: float, classes: int | None) -> str:
    """
    >>> recognised("resnet18", 1.0, 10)
    'Recognised as **resnet18**: 100.0 % of the tensors fit, a head of 10 classes.'
    """
    head = f"a head of {classes:,} classes" if classes else HEAD_RANDOM
    return f"Recognised as **{name}**: {percent(share)} of the tensors fit, {head}."


def fit_label(name: str, share: float) -> str:
    """
    >>> fit_label("resnet18", 0.977)
    'resnet18 (97.7 % fit)'
    """
    return f"{name} ({percent(share)} fit)"


def use_as(name: str) -> str:
    return f"Use as {name}"


def fetch_label(megabytes: float) -> str:
    """
    >>> fetch_label(44.66)
    'Download its ImageNet weights (45 MB)'
    """
    return f"Download its ImageNet weights ({megabytes:.0f} MB)"
