"""The only file with session keys (but for the door), and the only one that writes the address bar's link."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import streamlit as st

from app import doors
from app.doors import DOOR
from app.words import formats, frame_words, model_words, plan_words
from bcbp.allocation import ALLOCATIONS
from bcbp.allocation.explicit import EXPLICIT
from bcbp.allocation.latency import LATENCY
from bcbp.errors import SpecError
from bcbp.picture_store import PREFIX
from bcbp.spec import PruneSpec

# Widgets bound to the address bar; Streamlit itself keeps these five in the link, by the words they show.
MODEL, TILE, RATIO, METHOD, LAYER = "model", "tile", "ratio", "method", "layer"
DATA = "run_data"  # a widget, too, but no matter of links
IMAGES = "images"
RATIO_LIMITS = (0.0, 0.95)
DEFAULTS: dict[str, str | int | float] = {MODEL: "sample", TILE: 32, RATIO: 0.5, METHOD: "bcbp"}

# Ours: session keys, and, from ALLOCATION on, names in the link.
_OPENED, _NOTICES, _EDITS, _TABLE, _START = "opened", "notices", "edits", "table_version", "start_run"
_UPLOADER, _TOKEN, _CHOSEN = "uploader_version", "session_token", "chosen_to_show"
_NEXT, _UPLOAD, _REFUSAL, _SAID = "next_scope", "upload", "refusal", "said"
_IN_USE, _MASKS_REFUSAL = "masks_in_use", "masks_refusal"
_OWN_IMAGES, _REFUSED_IMAGES = "own_images", "refused_images"
ALLOCATION, CRITERION, LAYERS, RUN, PASSPORT = "allocation", "criterion", "layers", "run", "passport"
BUDGET, BATCH, PERMUTE, MASKS = "budget", "batch", "permute", "masks_file"
# What Compare shows of a run, where that is not what it would show by itself.
SHOWN_RATIO, SHOWN_METHOD, SHOWN_BATCH = "shown_ratio", "shown_method", "shown_batch"
_SHOWN = (SHOWN_RATIO, SHOWN_METHOD, SHOWN_BATCH)
BESIDE = "beside"  # the runs that stand side by side, in the link
SIDE_BY_SIDE = "side_by_side"  # the widget that chooses them
MOST_BESIDE = 6
_LINK = (ALLOCATION, CRITERION, PERMUTE, BUDGET, BATCH, LAYERS, MASKS, RUN, BESIDE, PASSPORT, DOOR, *_SHOWN)
_YES = "yes"

# One byte a layer in the link: the ratio in half percents, or one of these.
_STEPS, _DENSE_BYTE, _FOLLOWS_BYTE = 200, 254, 255

Option = TypeVar("Option")


@dataclass(frozen=True)
class Scope:
    """What every page is about: model, tile (V), ratio (share removed) and the method in focus."""

    model: str
    tile: int
    ratio: float
    method: str


@dataclass(frozen=True)
class Edits:
    """How one model is pruned beyond the scope: preset, criterion, order, locked ratios, layers kept dense.

    `budget_ms` at `batch` images is the target of the preset that has one, remembered under the others; and
    so are the ratios that the explicit preset `began` from, those of the preset before it.
    """

    allocation: str = "uniform"
    criterion: str = PruneSpec().criterion
    budget_ms: float | None = None
    batch: int = 1
    permute: bool = False
    ratios: Mapping[str, float] = field(default_factory=dict)
    exclude: frozenset[str] = frozenset()
    began: Mapping[str, float] = field(default_factory=dict)

    @property
    def own(self) -> dict[str, float]:
        """The ratios of single layers that do not follow the preset."""
        began = self.began if self.allocation == EXPLICIT.name else {}
        return {name: ratio for name, ratio in {**began, **self.ratios}.items() if name not in self.exclude}

    def explicit(self, ratios: Mapping[str, float]) -> Edits:
        """The explicit preset, where layers begin with these `ratios`, to the half percents of a link."""
        low, high = RATIO_LIMITS
        began = {name: round(min(max(ratio, low), high) * _STEPS) / _STEPS for name, ratio in ratios.items()}
        return replace(self, allocation=EXPLICIT.name, began=began)


def open_session(choices: Mapping[str, Mapping[str, str | int]]) -> None:
    """On a session's first run: take what the link asks for, and note what it asks for in vain.

    `choices` gives the values of the scope's widgets by their key and by the words that a link may use.
    """
    st.session_state.update(st.session_state.pop(_NEXT, {}))
    if _OPENED in st.session_state:
        return
    st.session_state[_OPENED] = True
    st.session_state[_NOTICES] = []
    st.session_state[_EDITS] = {}
    st.session_state[_IN_USE] = {}
    for key, default in DEFAULTS.items():
        asked = st.query_params.get(key)
        found = default if asked is None else _asked_value(key, asked, choices)
        if found is None:
            _note(frame_words.bad_link(key, str(asked), _shown(key, default)))
        st.session_state[key] = default if found is None else found
    st.session_state[_OWN_IMAGES] = {}
    if (asked := asked_images()) and asked_model() in (None, scope().model):
        if asked in choices[IMAGES]:
            set_images(asked)
        else:
            _note(frame_words.bad_link(IMAGES, asked, model_words.NO_OWN_IMAGES))
    for key in _LINK:
        if asked := st.query_params.get(key):
            st.session_state[key] = asked
    if (door := st.session_state.get(DOOR, "")) and door not in doors.DOORS:
        _note(frame_words.bad_link(DOOR, door, "the usual order of pages"))
        del st.session_state[DOOR]


def _asked_value(
    key: str, asked: str, choices: Mapping[str, Mapping[str, str | int]]
) -> str | int | float | None:
    """The value that a link means, or None if there is no such."""
    if key != RATIO:
        return choices[key].get(asked)
    try:
        ratio = float(asked)
    except ValueError:
        return None
    return ratio if RATIO_LIMITS[0] <= ratio <= RATIO_LIMITS[1] else None


def _shown(key: str, value: object) -> str:
    return formats.ratio_percent(float(str(value))) if key == RATIO else str(value)


def _note(text: str) -> None:
    st.session_state[_NOTICES].append(text)


def note_in_vain(key: str, asked: str, used: str) -> None:
    """Say that the link asks for what is not here, and what is shown in its place."""
    _note(frame_words.bad_link(key, asked, used))


def notices() -> tuple[str, ...]:
    """What the person should know about the link; stays until dismissed."""
    return tuple(st.session_state[_NOTICES])


def dismiss_notices() -> None:
    st.session_state[_NOTICES] = []


def scope() -> Scope:
    """The scope bar's values. The browser's limits are checked again by PruneSpec, which every plan uses.

    Where masks out of a file are in use, tile and ratio are theirs.
    """
    state, held = st.session_state, masks()
    tile, ratio = (held.tile, held.ratio) if held else (int(state[TILE]), float(state[RATIO]))
    return Scope(state[MODEL], tile, ratio, state[METHOD])


def masks() -> PruneSpec | None:
    """What the file of masks was made by that the scope's model is pruned by, and its id; None without."""
    held: PruneSpec | None = st.session_state[_IN_USE].get(st.session_state[MODEL])
    return held


def use_masks(spec: PruneSpec) -> None:
    """Prune the scope's model by the stored file that `spec` names."""
    st.session_state[_IN_USE][st.session_state[MODEL]] = spec


def use_settings() -> None:
    """Back to the settings in place of a file of masks."""
    st.session_state[_IN_USE].pop(st.session_state[MODEL], None)


def chosen_model() -> str:
    """The model alone, before it is known whether masks out of a file are in use."""
    return str(st.session_state[MODEL])


def asked_masks() -> str | None:
    """The file of masks that the link names; it is asked once."""
    asked: str | None = st.session_state.pop(MASKS, None)
    return asked


def masks_refusal() -> str | None:
    """Why the file of masks that was dropped last is not taken for the scope's model."""
    return _refused(_MASKS_REFUSAL)


def refuse_masks(why: str | None) -> None:
    """Say why a file of masks is not taken, or None for one that is; the uploader is emptied."""
    _refuse(_MASKS_REFUSAL, why)


def _refused(key: str) -> str | None:
    """Why a file was refused, while the model is in scope that was when it came."""
    model, why = st.session_state.get(key, ("", None))
    return why if model == chosen_model() else None


def _refuse(key: str, why: str | None) -> None:
    st.session_state[key] = chosen_model(), why
    empty_uploader()


def edits(layers: Sequence[str], named: Mapping[str, Collection[str]]) -> Edits:
    """The edits of the scope's model, which has these prunable `layers`; at first those of the link.

    `named` gives the names that a link may use for ALLOCATION and CRITERION. Where masks out of a file are in
    use, they are what the file was made by.
    """
    if (spec := masks()) is not None:
        return _edits_of_masks(spec)
    held: dict[str, Edits] = st.session_state[_EDITS]
    model = scope().model
    if model not in held:
        held[model] = _edits_of_link(layers, named)
    return held[model]


def allocation() -> str:
    """The preset of the scope's model, before it is loaded; one that the link asks for in vain is none."""
    if (spec := masks()) is not None:
        return spec.allocation
    held: Edits | None = st.session_state[_EDITS].get(chosen_model())
    if held is not None:
        return held.allocation
    asked = st.session_state.get(ALLOCATION)
    return asked if asked in ALLOCATIONS else Edits().allocation


def _edits_of_masks(spec: PruneSpec) -> Edits:
    return Edits(
        spec.allocation,
        spec.criterion,
        spec.budget_ms,
        spec.batch,
        spec.permute,
        dict(spec.ratios),
        frozenset(spec.exclude),
    )


def _edits_of_link(layers: Sequence[str], named: Mapping[str, Collection[str]]) -> Edits:
    found = Edits()
    for key, names in named.items():
        asked = st.session_state.pop(key, None)
        if asked in names:
            found = replace(found, **{key: asked})
        elif asked is not None:
            _note(frame_words.bad_link(key, asked, getattr(found, key)))
    found = _with_budget(found)
    if (asked := st.session_state.pop(PERMUTE, None)) is not None:
        found = replace(found, permute=asked == _YES)
        if not found.permute:
            _note(frame_words.bad_link(PERMUTE, asked, plan_words.OWN_ORDER))
    packed = st.session_state.pop(LAYERS, None)
    if packed is None:
        return found
    try:
        ratios, exclude = decode_layers(packed, layers)
    except ValueError:
        _note(frame_words.bad_link(LAYERS, packed, "the preset's ratios"))
        return found
    return replace(found, ratios=ratios, exclude=exclude)


def _with_budget(found: Edits) -> Edits:
    """The link's latency budget and its batch size, where it has them."""
    asked = {BUDGET: st.session_state.pop(BUDGET, None), BATCH: st.session_state.pop(BATCH, None)}
    try:
        budget = None if asked[BUDGET] is None else float(asked[BUDGET])
        batch = found.batch if asked[BATCH] is None else int(asked[BATCH])
        PruneSpec(budget_ms=budget, batch=batch)
    except (ValueError, SpecError):
        words = " at batch ".join(str(one) for one in asked.values() if one is not None)
        _note(frame_words.bad_link(BUDGET, words, "a budget that was measured"))
        return found
    return replace(found, budget_ms=budget, batch=batch)


def set_edits(edited: Edits) -> None:
    """Replace the edits of the scope's model."""
    st.session_state[_EDITS][scope().model] = edited


def forget_edits() -> None:
    """Back to the preset in every layer of the scope's model."""
    held: Edits = st.session_state[_EDITS].get(scope().model, Edits())
    set_edits(replace(held, ratios={}, exclude=frozenset()))
    renew_table()


def use_sample() -> None:
    """Choose the bundled model."""
    st.session_state[MODEL] = DEFAULTS[MODEL]


def keep_scope(keys: Collection[str] = tuple(DEFAULTS)) -> None:
    """Where these widgets of the scope bar are not shown: Streamlit forgets what such widgets hold."""
    for key in keys:
        st.session_state[key] = st.session_state[key]


def reset_scope() -> None:
    """Back to where a new session begins. Only from a callback, before the scope bar is shown."""
    st.session_state.update(DEFAULTS)


def show_model(name: str) -> None:
    """Have the scope bar show this model from the next run on, whether it listed it before or not."""
    st.session_state[_NEXT] = {MODEL: name}


def show_method(name: str) -> None:
    """Have this method in focus from the next run on."""
    st.session_state[_NEXT] = {METHOD: name}


def asked_model() -> str | None:
    """The model that the link names."""
    return st.query_params.get(MODEL)


def upload() -> str | None:
    """The id of the file that was uploaded last, while it is looked at."""
    return st.session_state.get(_UPLOAD)


def refusal() -> str | None:
    """Why the file that was uploaded last cannot be read."""
    return _refused(_REFUSAL)


def set_upload(upload: str | None, refused: str | None = None) -> None:
    """Look at this file from now on, or say why it is refused; the uploader is emptied."""
    st.session_state[_UPLOAD] = upload
    _refuse(_REFUSAL, refused)


def table_version() -> int:
    """Part of the layer table's key: a new number discards what the browser still holds of refused edits."""
    return st.session_state.setdefault(_TABLE, 0)


def renew_table() -> None:
    st.session_state[_TABLE] = table_version() + 1


def spec(edited: Edits, *, method: str, layers: Sequence[str]) -> PruneSpec:
    """The request of the scope, these edits and a method. Raises SpecError for values out of range.

    Where masks out of a file are in use, it is theirs for their method, for others what they were made by.
    """
    if (held := masks()) is not None:
        return held.for_pattern(method)
    current = scope()
    known = set(layers)
    timed = edited.allocation == LATENCY.name
    return PruneSpec(
        pattern=method,
        ratio=current.ratio,
        tile=current.tile,
        criterion=edited.criterion,
        allocation=edited.allocation,
        ratios=tuple(sorted((name, ratio) for name, ratio in edited.own.items() if name in known)),
        exclude=tuple(sorted(edited.exclude & known)),
        budget_ms=edited.budget_ms if timed else None,
        batch=edited.batch if timed else Edits().batch,
        permute=edited.permute,
    )


def choose_layer(layers: Sequence[str], default: str) -> None:
    """Before the widget LAYER is shown: its layer, or the link's, if `layers` has it, else `default`."""
    held, asked = st.session_state.get(LAYER), st.query_params.get(LAYER)
    if held in layers or (held is None and asked in layers):
        return
    if held is None and asked is not None:
        _note(frame_words.bad_link(LAYER, asked, default))
    st.session_state[LAYER] = default


def focus_layer(name: str) -> None:
    """Show this layer. Only from a callback, before the widget LAYER is shown again."""
    st.session_state[LAYER] = name


def asked_images() -> str | None:
    """The stored images that the link names."""
    return st.query_params.get(IMAGES)


def images() -> str | None:
    """The id of the stored images that the scope's model is tested on, if they were given."""
    return st.session_state[_OWN_IMAGES].get(scope().model)


def set_images(images: str | None) -> None:
    """Test the scope's model on these from now on; None forgets that any were given."""
    st.session_state[_OWN_IMAGES][scope().model] = images
    refuse_images(None)


def refused_images() -> str | None:
    """Why the zip of images that was uploaded last cannot be used for the scope's model."""
    return _refused(_REFUSED_IMAGES)


def refuse_images(why: str | None) -> None:
    """Say so beside the uploader, which is emptied."""
    _refuse(_REFUSED_IMAGES, why)


def data() -> str | None:
    """What requests are to call their images: those given for the model, else the folder named on Run."""
    if (given := images()) is not None:
        return PREFIX + given
    return st.session_state.get(DATA, "").strip() or None


def run_id() -> str | None:
    """The run in focus, from the link or chosen here."""
    return st.session_state.get(RUN)


def set_run(run: str | None) -> None:
    st.session_state[RUN] = run


def say_next(words: str) -> None:
    """Have the page, shown anew, say once what was done."""
    st.session_state[_SAID] = words


def said() -> str | None:
    """What is to be said now; it is said once."""
    return st.session_state.pop(_SAID, None)


def linked_runs() -> frozenset[str | None]:
    """The runs that the link names: the one in focus, and those side by side."""
    return frozenset((run_id(), *_asked_beside(), *st.session_state.get(SIDE_BY_SIDE, ())))


def _asked_beside() -> list[str]:
    return list(dict.fromkeys(filter(None, st.session_state.get(BESIDE, "").split("."))))


def choose_beside(known: Collection[str]) -> None:
    """Before the widget SIDE_BY_SIDE is shown: the runs of the link, once, and none that is not `known`."""
    asked = _asked_beside()
    if st.session_state.pop(BESIDE, None) is not None:
        found = [run for run in asked if run in known][:MOST_BESIDE]
        if vain := [run for run in asked if run not in found]:
            _note(frame_words.bad_link(BESIDE, vain[0], f"{len(found)} of {len(asked)} runs"))
        st.session_state[SIDE_BY_SIDE] = found
    held = st.session_state.get(SIDE_BY_SIDE, [])
    if any(run not in known for run in held):  # deleted since
        st.session_state[SIDE_BY_SIDE] = [run for run in held if run in known]


def first_shown(widget: str, key: str, options: Sequence[Option], default: Option | None) -> Option | None:
    """What the choice called `widget` is to start with: nothing where the link has set it, else `default`.

    The link names one of `options` by its `str`; what it asks in vain becomes a notice. It is asked once.
    """
    if not options:
        return default
    asked = st.session_state.pop(key, None)
    found = {str(option): option for option in options}
    if asked in found:
        st.session_state[widget] = found[asked]
        return None
    if asked is not None:
        _note(frame_words.bad_link(key, asked, str(default)))
    return default


def set_shown(**chosen: object) -> None:
    """What the link is to say of Compare: names out of SHOWN_..., None for what it would show by itself."""
    st.session_state[_CHOSEN] = {key: str(value) for key, value in chosen.items() if value is not None}


def passport_id(known: Sequence[str], default: str) -> str:
    """The passport in focus, from the link or chosen here; `default` if `known` does not have it."""
    held = st.session_state.get(PASSPORT)
    if held in known:
        return str(held)
    if held is not None:
        _note(frame_words.bad_link(PASSPORT, held, default))
        set_passport(None)
    return default


def set_passport(passport: str | None) -> None:
    """Show this passport; None for this machine's own."""
    st.session_state[PASSPORT] = passport


def choose_tile(tile: int) -> None:
    """Only from a callback: the scope bar shows the widget TILE on every page."""
    st.session_state[TILE] = tile


def uploader_version() -> int:
    """Part of the uploader's key: a new number empties it."""
    return st.session_state.setdefault(_UPLOADER, 0)


def empty_uploader() -> None:
    st.session_state[_UPLOADER] = uploader_version() + 1


def session_token() -> str:
    """A secret of this session, gone with it."""
    return st.session_state.setdefault(_TOKEN, secrets.token_urlsafe(32))


def ask_for_run() -> None:
    """Have the Run page start at once."""
    st.session_state[_START] = True


def take_request() -> bool:
    """Whether a start was asked for; asks are answered once."""
    return st.session_state.pop(_START, False)


def write_link(layers: Sequence[str]) -> None:
    """Put the edits and the run into the address bar: a copied link opens the same screen."""
    held: Edits = st.session_state[_EDITS].get(scope().model, Edits())
    budget = held.budget_ms if held.allocation == LATENCY.name else None
    wanted = {
        ALLOCATION: None if held.allocation == Edits().allocation else held.allocation,
        CRITERION: None if held.criterion == Edits().criterion else held.criterion,
        PERMUTE: _YES if held.permute else None,
        BUDGET: None if budget is None else f"{budget:g}",
        BATCH: None if budget is None else str(held.batch),
        LAYERS: encode_layers(held, layers) if held.own or held.exclude else None,
        MASKS: used.masks if (used := masks()) else None,
        RUN: run_id(),
        BESIDE: ".".join(st.session_state.get(SIDE_BY_SIDE, ())) or st.session_state.get(BESIDE),
        PASSPORT: st.session_state.get(PASSPORT),
        IMAGES: images(),
        DOOR: doors.current().name or None,
        **{key: st.session_state.get(_CHOSEN, {}).get(key) for key in _SHOWN},
    }
    for key, value in wanted.items():
        if value is None:
            st.query_params.pop(key, None)
        elif st.query_params.get(key) != value:
            st.query_params[key] = value


def encode_layers(edited: Edits, layers: Sequence[str]) -> str:
    """One byte a layer as url-safe base64: 53 layers become 71 characters.

    >>> encode_layers(Edits(ratios={"a": 0.5}, exclude=frozenset({"c"})), ["a", "b", "c"])
    'ZP_-'
    """
    own = edited.own
    codes = bytes(_DENSE_BYTE if name in edited.exclude else _ratio_byte(own.get(name)) for name in layers)
    return base64.urlsafe_b64encode(codes).decode().rstrip("=")


def _ratio_byte(ratio: float | None) -> int:
    return _FOLLOWS_BYTE if ratio is None else min(_STEPS - 1, round(ratio * _STEPS))


def decode_layers(text: str, layers: Sequence[str]) -> tuple[dict[str, float], frozenset[str]]:
    """Inverse of `encode_layers`: ratios and dense layers. Raises ValueError for the text of other layers.

    >>> decode_layers("ZP_-", ["a", "b", "c"])
    ({'a': 0.5}, frozenset({'c'}))
    """
    try:
        codes = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError as error:  # binascii.Error among them
        raise ValueError(f"expected url-safe base64, got {text!r}") from error
    if len(codes) != len(layers) or any(_STEPS <= code < _DENSE_BYTE for code in codes):
        raise ValueError(f"expected {len(layers)} bytes, one a layer, got {len(codes)}")
    pairs = list(zip(layers, codes, strict=True))
    ratios = {name: code / _STEPS for name, code in pairs if code < _STEPS}
    return ratios, frozenset(name for name, code in pairs if code == _DENSE_BYTE)
