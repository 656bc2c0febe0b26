"""Files of masks that people brought, kept like files of weights; a spec names one by its id."""

from __future__ import annotations

from dataclasses import fields, replace

from safetensors.torch import load_file

from bcbp.errors import ModelError, SpecError
from bcbp.intake.model import LoadedModel
from bcbp.intake.reading import Reading
from bcbp.intake.sniff import MASKS, TITLES
from bcbp.intake.uploads import UploadStore
from bcbp.mask_file import plan_of
from bcbp.patterns import PATTERNS
from bcbp.plan import PruningPlan
from bcbp.spec import PruneSpec


class MaskStore(UploadStore):
    """Files under `root`/masks: the tensors of each, and its header."""

    place, again = "masks", "Drop the file on Tune again, or give it to --masks."

    def check_kind(self, reading: Reading) -> None:
        if reading.kind != MASKS:
            raise ModelError(
                f"Expected a file of masks, masks.safetensors of an export; got {TITLES[reading.kind]}. "
                "Export masks from Compare."
            )

    def plan(self, upload: str, model: LoadedModel) -> PruningPlan:
        """The plan in a stored file, which its spec names. Raises ModelError."""
        found = self.read(upload)
        assert found.reading.weights is not None, "masks come with tensors"
        plan = plan_of(found.reading.header, load_file(found.reading.weights), model, found.name)
        return replace(plan, spec=replace(plan.spec, masks=upload))


def masked_plan(model: LoadedModel, spec: PruneSpec) -> PruningPlan:
    """The plan in the stored file that `spec` names, with the recovery of `spec`.

    Raises ModelError for a file that is not here or of another model; SpecError where `spec` says otherwise
    than the file what is removed.
    """
    plan = MaskStore().plan(spec.masks, model)
    free = {"recovery", *(("ratio",) if PATTERNS[spec.pattern].fixed_ratio is not None else ())}
    for field in fields(spec):
        asked, held = getattr(spec, field.name), getattr(plan.spec, field.name)
        if field.name not in free and asked != held:
            raise SpecError(
                f"Expected what the masks of {spec.masks} were made by, {field.name} {held}; got {asked}. "
                "Leave out the masks, or change nothing else."
            )
    return replace(plan, spec=spec)
