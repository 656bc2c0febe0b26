#!/bin/sh
# The browser tests need Chromium: use the one that is here, else install one where that is allowed.
# Never fails: without a browser those tests are skipped, and this says how to get one.
# usage: find_chromium.sh BIN
bin=$1

# A name on PATH is not enough: on Ubuntu chromium-browser is a stub that only asks for snap.
found() {
    for name in chromium chromium-browser google-chrome google-chrome-stable; do
        "$name" --version >/dev/null 2>&1 && return 0
    done
    ls "${PLAYWRIGHT_BROWSERS_PATH:-$HOME/.cache/ms-playwright}"/chromium-*/ >/dev/null 2>&1
}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

found && exit 0
echo "Installing Chromium for the browser tests ..."
if command -v apt-get >/dev/null 2>&1 && ! grep -qi ubuntu /etc/os-release; then
    as_root apt-get update -qq && as_root apt-get install -y -qq chromium >/dev/null
    found && exit 0
fi
"$bin/python" -m playwright install --with-deps chromium >/dev/null 2>&1 ||
    "$bin/python" -m playwright install chromium >/dev/null 2>&1
found && exit 0
echo "No Chromium could be installed: the browser tests will be SKIPPED. To run them, install one:"
echo "    sudo apt-get install chromium      or      $bin/python -m playwright install --with-deps chromium"
exit 0
