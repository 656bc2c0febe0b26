#!/bin/sh
# Serve the dashboard on 127.0.0.1 and open the browser where there is a screen.
# usage: open_dashboard.sh BIN PORT
set -eu
headless=true
if [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] || [ "$(uname)" = Darwin ]; then headless=false; fi
echo "Dashboard: http://127.0.0.1:$2   (Ctrl-C ends it)"
exec "$1/streamlit" run streamlit_app.py --server.port "$2" --server.headless "$headless" \
    --server.showEmailPrompt false
