# shellcheck shell=bash
# Sourced by contract.sh and examples.sh: tools from the registries, installed once. Nothing is installed
# again as long as what is wanted is the same.

# Installs what REQUIREMENTS files list into FOLDER/venv.
python_tools() { # FOLDER REQUIREMENTS...
    local folder=$1
    shift
    if ! cat "$@" | cmp --silent - "$folder/installed-requirements.txt"; then
        rm -rf "$folder/venv"
        python3 -m venv "$folder/venv"
        "$folder/venv/bin/pip" install --quiet --disable-pip-version-check "${@/#/--requirement=}"
        cat "$@" >"$folder/installed-requirements.txt"
    fi
}

# Installs the packages of a package.json and its lock file, which are in FROM, into FOLDER/node_modules.
node_tools() { # FOLDER FROM
    local folder=$1 from=$2
    if ! cmp --silent "$from/package-lock.json" "$folder/installed-package-lock.json"; then
        cp "$from/package.json" "$from/package-lock.json" "$folder/"
        npm ci --prefix "$folder" --no-audit --no-fund --ignore-scripts --silent
        cp "$from/package-lock.json" "$folder/installed-package-lock.json"
    fi
}
