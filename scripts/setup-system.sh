#!/bin/sh
# Installs the system packages that provide the given commands: with apt when we are root, else prints how.
# usage: setup-system.sh COMMAND...   Ends 0 in either case; callers look for the commands they need.
set -u

package_of() {
    case $1 in
        arm-none-eabi-gcc) echo gcc-arm-none-eabi libnewlib-arm-none-eabi ;;
        qemu-system-arm) echo qemu-system-arm ;;
        qemu-aarch64 | qemu-arm) echo qemu-user ;;
        aarch64-linux-gnu-gcc) echo gcc-aarch64-linux-gnu libc6-dev-arm64-cross ;;
        arm-linux-gnueabihf-gcc) echo gcc-arm-linux-gnueabihf libc6-dev-armhf-cross ;;
        llvm-mca) echo llvm ;;
        clang-sanitizers) echo clang libclang-rt-dev ;;
        *) echo "$1" ;;
    esac
}

# A compiler without its C library is no use.
present() {
    if [ "$1" = clang-sanitizers ]; then # their libraries are a package of their own
        echo 'int main(void) { return 0; }' | clang -fsanitize=address -x c - -o /dev/null 2>/dev/null
        return
    fi
    command -v "$1" >/dev/null 2>&1 || return 1
    case $1 in
        *-gcc) echo '#include <string.h>' | "$1" -fsyntax-only -x c - 2>/dev/null ;;
    esac
}

packages=
for tool in "$@"; do
    present "$tool" || packages="$packages $(package_of "$tool")"
done
[ -n "$packages" ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing:$packages"
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086 # a list of words
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends $packages; } >/dev/null ||
        echo "apt could not install:$packages" >&2
else
    echo "some tools are missing and only root can install them. Run:" >&2
    echo "    sudo apt-get install --no-install-recommends$packages" >&2
fi
exit 0
