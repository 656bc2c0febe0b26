"""Every key of the session, and every name in the link."""

from __future__ import annotations

# Widgets bound to the address bar; Streamlit itself keeps these five in the link, by the words they show.
MODEL, TILE, RATIO, METHOD, LAYER = "model", "tile", "ratio", "method", "layer"
DATA = "run_data"  # a widget, too, but no matter of links
SIDE_BY_SIDE = "side_by_side"  # the widget that chooses the runs BESIDE one another

# Names in the link, and session keys until what they ask is taken.
IMAGES = "images"
ALLOCATION, CRITERION, LAYERS, RUN, PASSPORT = "allocation", "criterion", "layers", "run", "passport"
BUDGET, BATCH, PERMUTE, MASKS = "budget", "batch", "permute", "masks_file"
BESIDE = "beside"
DOOR = "door"
# What Compare shows of a run, where that is not what it would show by itself.
SHOWN_RATIO, SHOWN_METHOD, SHOWN_BATCH = "shown_ratio", "shown_method", "shown_batch"
SHOWN = (SHOWN_RATIO, SHOWN_METHOD, SHOWN_BATCH)

# Of the session alone.
OPENED, NOTICES, SAID, START, TOKEN = "opened", "notices", "said", "start_run", "session_token"
EDITS, TABLE, NEXT, IN_USE, CHOSEN = "edits", "table_version", "next_scope", "masks_in_use", "chosen_to_show"
UPLOADER, UPLOAD, OWN_IMAGES, REFUSED = "uploader_version", "upload", "own_images", "refused"
