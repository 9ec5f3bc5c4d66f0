#!/bin/sh
# Makes the virtual environment DIR and installs the requirements FILE into it.
# usage: setup-venv.sh DIR FILE
set -eu
venv=$1
requirements=$2
python=${PYTHON:-python3}

# Ends with the command that installs the package $1, or, as root on a Debian system, runs it.
need() {
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "installing: $1"
        export DEBIAN_FRONTEND=noninteractive
        { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$1"; } >/dev/null
    else
        echo "error: $2. Run:  sudo apt-get install $1" >&2
        exit 1
    fi
}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || {
    echo "error: $("$python" --version) is too old, 3.10 or newer is needed (set PYTHON=...)" >&2
    exit 1
}
if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    "$python" -c 'import ensurepip, venv' 2>/dev/null || need python3-venv "Python cannot make virtual environments"
    rm -rf "$venv"
    "$python" -m venv "$venv"
fi
header='import os, sysconfig; assert os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h"))'
"$python" -c "$header" 2>/dev/null || need python3-dev "Python's C headers are missing"
command -v "${CC:-gcc}" >/dev/null 2>&1 || need gcc "there is no C compiler"
echo "int main(void) { return 0; }" | "${CC:-gcc}" -x c -include stdint.h -o /dev/null - 2>/dev/null ||
    need libc6-dev "the C library's headers are missing"

echo "installing $requirements into $venv (the first time takes some minutes)"
"$venv/bin/python" -m pip install -q --disable-pip-version-check -r "$requirements"
