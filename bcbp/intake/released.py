"""torchvision's released weights: which there are, whether they are here, and fetching them when asked to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen

import torch

from bcbp.errors import ModelError
from bcbp.intake.entries import torchvision_models

CONNECT_SECONDS = 10
_HASH = re.compile(r"-([0-9a-f]{8,})\.")  # torch's files carry the start of their SHA-256 in the name


@dataclass(frozen=True)
class Release:
    """One file of released weights."""

    link: str
    megabytes: float

    @property
    def path(self) -> Path:
        """Where torch keeps it once it is fetched."""
        return Path(torch.hub.get_dir()) / "checkpoints" / self.link.rsplit("/", 1)[-1]


def releases(name: str) -> tuple[Release, ...]:
    """The releases for a classifier of torchvision, the newest first; none for other models."""
    models = torchvision_models()
    if name not in models.list_models(module=models):
        return ()
    newest_first = reversed(list(models.get_model_weights(name)))
    return tuple(Release(one.url, float(one.meta["_file_size"])) for one in newest_first)


def cached_weights(name: str) -> Path | None:
    """torchvision's weights for `name` in the local cache, newest release first; None if absent."""
    return next((one.path for one in releases(name) if one.path.exists()), None)


def fetch(release: Release) -> Path:
    """Download a release into torch's cache, checked by its name's hash. Raises ModelError."""
    release.path.parent.mkdir(parents=True, exist_ok=True)
    known = _HASH.search(release.path.name)
    try:
        # torch itself would wait for a connection without end
        urlopen(Request(release.link, method="HEAD"), timeout=CONNECT_SECONDS).close()
        torch.hub.download_url_to_file(
            release.link, str(release.path), hash_prefix=known[1] if known else None, progress=False
        )
    except (OSError, RuntimeError) as error:  # URLError is an OSError, a wrong hash a RuntimeError
        raise ModelError(
            f"Expected to fetch {release.path.name} from the internet; that failed ({type(error).__name__}). "
            f"Connect, or put the file from {release.link} into {release.path.parent}."
        ) from error
    return release.path
