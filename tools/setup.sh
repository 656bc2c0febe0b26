#!/bin/sh
# Make the virtual environment VENV and install REQUIREMENTS into it. Called by the Makefile.
# usage: setup.sh VENV REQUIREMENTS        environment: PYTHON, the interpreter to use
set -eu
venv=$1
requirements=$2

supported() { "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; }

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        if command -v "$PYTHON" >/dev/null 2>&1 && supported "$PYTHON"; then
            echo "$PYTHON"
            return
        fi
        echo "Expected Python 3.10 to 3.13 as PYTHON; got $PYTHON, which is" \
            "$("$PYTHON" --version 2>/dev/null || echo "no Python that runs"). Name another, or none." >&2
        return 1
    fi
    for candidate in python3 python3.13 python3.12 python3.11 python3.10; do
        if command -v "$candidate" >/dev/null 2>&1 && supported "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    echo "Expected Python 3.10 to 3.13; found none. On Debian or Ubuntu:" >&2
    echo "    sudo apt-get install python3 python3-venv" >&2
    return 1
}

make_venv() {
    "$python" -m venv "$venv" && return
    rm -rf "$venv"
    package="python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
    if command -v apt-get >/dev/null 2>&1; then
        echo "Installing $package, which Debian and Ubuntu keep apart from Python ..."
        as_root apt-get update -qq && as_root apt-get install -y -qq "$package" &&
            "$python" -m venv "$venv" && return
        rm -rf "$venv"
    fi
    echo "Python cannot make a virtual environment here. On Debian or Ubuntu:" >&2
    echo "    sudo apt-get install $package" >&2
    return 1
}

if ! [ -x "$venv/bin/python" ] || ! supported "$venv/bin/python"; then
    python=$(find_python)
    echo "Making $venv with $("$python" --version) ..."
    rm -rf "$venv"
    make_venv
fi
echo "Installing $requirements into $venv (about 6 GB with PyTorch the first time) ..."
"$venv/bin/python" -m pip install --disable-pip-version-check -r "$requirements"
