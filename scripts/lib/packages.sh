# Debian packages: what is missing is collected in MISSING and installed with apt-get, as root or through sudo. Needs say.sh.
MISSING=()

# Notes the package of a program that is not there. Usage: need_program PROGRAM PACKAGE
need_program() { command -v "$1" >/dev/null || MISSING+=("$2"); }

# Runs a command as root. Usage: as_root COMMAND...
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        return 127
    fi
}

can_be_root() {
    [ "$(id -u)" -eq 0 ] && return
    command -v sudo >/dev/null || return 1
    # sudo asks for a password on the terminal itself, whatever standard input is.
    sudo -n true 2>/dev/null || { { : </dev/tty; } 2>/dev/null && sudo -v; }
}

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 \
        install -y --no-install-recommends "$@"
}

# The package lists may be absent (fresh image) or older than the mirror: they are refreshed only when the first try fails.
apt_install_refreshing() {
    apt_install "$@" || { as_root apt-get -o DPkg::Lock::Timeout=600 update && apt_install "$@"; }
}

# Installs the packages in MISSING, or says how to. Usage: install_missing LOG
install_missing() {
    local log=$1
    [ "${#MISSING[@]}" -gt 0 ] || return 0
    command -v apt-get >/dev/null ||
        die "these Debian packages are needed and there is no apt-get; install their equivalents by hand: ${MISSING[*]}"
    can_be_root ||
        die "not root and sudo does not work; ask an administrator to run: apt-get install --no-install-recommends ${MISSING[*]}"
    with_progress "installing Debian packages: ${MISSING[*]}" "$log" apt_install_refreshing "${MISSING[@]}" ||
        die "apt-get install failed (full output: $log); by hand: apt-get install --no-install-recommends ${MISSING[*]}"
    MISSING=()
}
