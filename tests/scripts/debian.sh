# shellcheck shell=bash
# Sourced by make-services-root.sh and containers/roots.sh: a Debian of any suite in a folder or an archive.
# Nothing is installed.

# Makes TARGET of packages, from the mirror that apt uses on this machine and with apt's settings:
# debian SUITE VARIANT PACKAGES TARGET [OPTION …]
debian() {
    local mirror
    deploy/local/install.sh mmdebstrap >&2
    # shellcheck disable=SC2016 # apt-get expands it
    mirror=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' |
        awk '$1 == "Debian" { print $2; exit }')
    # What a killed script leaves would go on for a minute.
    setpriv --pdeathsig TERM \
        mmdebstrap --variant="$2" --include="$3" "${@:5}" \
        --aptopt=<(apt-config dump | grep '^Acquire::') \
        "$1" "$4" "${mirror:-http://deb.debian.org/debian}"
}
