"""Device: whether pruning pays here, where, and from which ratio on. Live and recorded never mix."""

from __future__ import annotations

import json

import pandas as pd
import streamlit as st

from app import device_findings
from app.components.job_status import LOOK_SECONDS, job_status, stop_button
from app.components.report_download import report_download
from app.controls import widgets
from app.controls.device_settings import device_settings
from app.device_charts import crossover_map
from app.device_findings import View
from app.html_report import page
from app.passport_choice import Shown, choices, in_focus
from app.services import jobs, machine, models, passports, scope_choices
from app.state import selection, settings, uploads
from app.words import device_words, formats
from app.words.help_texts import HELP
from bcbp.crossover import CrossoverMap, Slice, covers, slices
from bcbp.device_report import device_report
from bcbp.device_request import DeviceRequest
from bcbp.devices import DEVICES
from bcbp.errors import SpecError
from bcbp.jobs import RunView
from bcbp.passport import MAX_BYTES, Passport, PassportError
from bcbp.passport_store import IMPORTED, Stored

MOODS = {
    device_findings.PAYS: (st.success, ":material/check_circle:"),
    device_findings.PARTLY: (st.warning, ":material/balance:"),
    device_findings.NO: (st.error, ":material/cancel:"),
    device_findings.UNCLEAR: (st.warning, ":material/help:"),
    device_findings.UNKNOWN: (st.info, ":material/hourglass_empty:"),
}


def chosen(known: dict[str, Shown]) -> Shown:
    """The passport in focus, with a selector where there are several."""
    current = in_focus(known)
    if len(known) > 1:
        picked = st.selectbox(
            "Device",
            tuple(known),
            index=tuple(known).index(current.id),
            format_func=lambda name: known[name].label,
            key=f"passport_of_{current.id}",
            help=HELP["passport"],
        )
        if picked != current.id:
            selection.set_passport(None if picked == next(iter(known)) else picked)
            st.rerun()
    return current


def view_of(passport: Passport) -> View | None:
    """What is shown of it; None, with what there is instead, where nothing is measured."""
    scope = settings.scope()
    layers = models.layer_shapes(scope.model)
    places = [shape.place for shape in layers]
    there = slices(passport, places)
    if not there:
        return None
    dtypes = sorted({one.dtype for one in there})
    st.subheader(device_words.WHERE, help=HELP["break_even"])
    with st.container(horizontal=True, vertical_alignment="bottom"):
        dtype = dtypes[0]
        if len(dtypes) > 1:
            dtype = st.segmented_control(
                "Numbers",
                dtypes,
                default=dtype,
                key=f"device_dtype_{dtypes}",
                required=True,
                help=HELP["dtype"],
            )
        wanted = Slice(scope.tile, dtype)
        if not covers(passport, wanted, places):
            other_tiles([one.tile for one in there if one.dtype == dtype])
            return None
        found = CrossoverMap(passport, wanted)
        batches = found.batches(places)
        batch = st.segmented_control(
            "Batch", batches, default=batches[0], key=f"device_batch_{batches}", required=True
        )
    return View(found, layers, batch)


def other_tiles(tiles: list[int]) -> None:
    """Where the layers were measured in tiles of another width, say so and offer to go there."""
    st.caption(device_words.other_tiles(settings.scope().tile, tiles))
    wanted = next((tile for tile in reversed(tiles) if tile in scope_choices.TILES), None)
    if wanted is not None:
        st.button(
            device_words.show_tile(wanted), on_click=settings.choose_tile, args=(wanted,), key="show_tile"
        )


def verdict(shown: Shown, view: View | None) -> None:
    """The answer in one sentence, with its cause; whose figures these are comes first."""
    if shown.problem is not None:
        st.error(formats.literal(shown.problem), icon=":material/error:")
        return
    scope = settings.scope()
    unknown = device_findings.not_measured(scope.model, scope.tile)
    answer = unknown if view is None else device_findings.answer(view)
    show, icon = MOODS[answer.mood]
    whose = "" if shown.device else f"{formats.literal(formats.capital(shown.label))}.  \n"
    show(f"{whose}**{answer.sentence}** {answer.cause}", icon=icon)


def measuring(device: str, run: RunView[DeviceRequest] | None) -> None:
    """Measure, or Stop while a measurement is active; how far it is, or how the last one ended."""
    missing = DEVICES[device].missing()
    st.subheader(device_words.MEASURE)
    if run is not None and run.active:
        stop_button(run, key="stop_measuring")
    elif missing is not None:
        st.caption(device_words.cannot_measure(missing))
    else:
        measure_button(device)
    if run is not None:
        job_status(run)


def elsewhere(known: dict[str, Shown]) -> None:
    """Where the layers were measured on other devices, say so and offer to look."""
    places = [shape.place for shape in models.layer_shapes(settings.scope().model)]
    found = [
        one
        for one in known.values()
        if not one.device and one.passport is not None and slices(one.passport, places)
    ]
    if found:
        st.caption(device_words.ELSEWHERE)
    for one in found:
        label = formats.literal(formats.capital(one.label))
        st.button(label, on_click=selection.set_passport, args=(one.id,), key=f"look_{one.id}")


def measure_button(device: str) -> None:
    """One button, and what it will do."""
    try:
        request = device_settings(device)
    except SpecError as error:
        st.error(str(error), icon=":material/error:")
        return
    label = device_words.measure_label(request.model, request.tile)
    if st.button(label, type="primary", icon=":material/speed:", key="measure"):
        jobs.submit(request)
        st.rerun()
    st.caption(device_words.MEASURE_NOTE)


def measured(view: View) -> None:
    """The map, then the table."""
    figure = crossover_map(device_findings.lines(view), view.ratios)
    widgets.show_chart(figure, key="crossover", alt=device_words.MAP_ALT)
    st.caption(f"{device_words.MAP_NOTE}  \n{device_words.LAYER_NAMES}")
    st.dataframe(
        pd.DataFrame(device_findings.break_even_lines(view)),
        hide_index=True,
        height="content",
        column_config={"Layer": st.column_config.TextColumn(pinned=True)},
        alt="Break-even ratio of every layer",
    )


def facts(shown: Shown) -> None:
    """The device, its ceilings, and for this machine the engines it has."""
    st.subheader(device_words.THIS_MACHINE if shown.device else device_words.THAT_MACHINE)
    passport = shown.passport
    environment = machine.conditions() if shown.device or passport is None else passport.environment
    if passport is not None:
        rates = [
            (
                formats.literal(formats.capital(rate.name)),
                formats.rate(rate.value, rate.unit),
                HELP["ceiling"],
            )
            for rate in passport.rates
        ]
        widgets.figures(*rates)
    lines = device_findings.environment_lines(environment)
    st.dataframe(pd.DataFrame(lines), hide_index=True, height="content", alt="Device and versions")
    if shown.device:
        engines = device_findings.engine_lines(machine.engines())
        st.dataframe(pd.DataFrame(engines), hide_index=True, height="content", alt="Engines of this machine")


def exchange(shown: Shown) -> None:
    """Export, forget, import."""
    st.subheader("Export and import")
    with st.container(horizontal=True):
        if shown.passport is not None:
            report(shown.passport)
            export(shown.passport)
        if shown.stored is not None and shown.stored.origin == IMPORTED:
            st.button(
                "Forget this import",
                icon=":material/delete:",
                on_click=forget,
                args=(shown.stored,),
            )
    uploaded = st.file_uploader(
        "Import a passport",
        type="json",
        max_upload_size=MAX_BYTES >> 20,
        key=f"passport_file_{uploads.uploader_version()}",
        help=HELP["import"],
    )
    if uploaded is not None:
        take_in(uploaded.getvalue())


def report(passport: Passport) -> None:
    """What the passport says of the layers in scope, if it says anything."""
    layers = models.layer_shapes(settings.scope().model)
    if slices(passport, [shape.place for shape in layers]):
        made = device_report(passport, layers)
        report_download(lambda: page(made), name=f"device-{passport.device}", key="device_report")


def forget(stored: Stored) -> None:
    """Delete an import, and show this machine again."""
    passports.forget(stored)
    selection.set_passport(None)


def export(passport: Passport) -> None:
    st.download_button(
        "Export this passport (JSON)",
        lambda: json.dumps(passport.to_json(), indent=1),
        file_name=f"bcbp-passport-{passport.device}-{passport.dates[1][:10]}.json",
        mime="application/json",
        icon=":material/download:",
        on_click="ignore",
    )


def take_in(content: bytes) -> None:
    """Keep what was uploaded and show it, or say in a sentence why not."""
    try:
        stored = passports.take_in(content)
    except PassportError as error:
        st.error(formats.literal(str(error)), icon=":material/error:")
        return
    selection.set_passport(stored.id)
    uploads.empty_uploader()
    st.rerun()


def live() -> None:
    """The part that repeats while a measurement is active; when it ends, the whole page runs once more."""
    run = jobs.newest(DeviceRequest)
    known = choices()
    answer, shown = st.container(), chosen(known)
    first, figures, last = st.container(), st.container(), st.container()
    with figures:
        view = None if shown.passport is None else view_of(shown.passport)
        if view is not None:
            measured(view)
    with answer:
        verdict(shown, view)
    with first if view is None or was_active else last:
        if shown.device:
            measuring(shown.device, run)
            if view is None:
                elsewhere(known)
    if was_active and not (run and run.active):
        st.rerun()


newest = jobs.newest(DeviceRequest)
was_active = newest is not None and newest.active
st.fragment(live, run_every=LOOK_SECONDS if was_active else None)()
focus = in_focus(choices())
if focus.problem is None:
    facts(focus)
exchange(focus)
