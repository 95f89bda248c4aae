#!/bin/sh
# Installs the Debian packages of the servers that tests run against, of the browser that looks at Dagster, and of what CI runners have.
# Does nothing where all are there, where it is not started by root,
# or where there is no apt-get; the tests that need a missing one are then skipped by name. Never fails.
set -u

# program:package
wanted="sshd:openssh-server vsftpd:vsftpd initdb:postgresql chromium:chromium redis-server:redis-server git:git jq:jq"
PATH="$PATH:/usr/sbin:/usr/local/sbin"
for folder in /usr/lib/postgresql/*/bin; do PATH="$PATH:$folder"; done

packages=""
for pair in $wanted; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || packages="$packages ${pair##*:}"
done
[ -n "$packages" ] || exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "install_servers.sh: not installed (needs root and apt-get):$packages; their tests will be skipped" >&2
    exit 0
fi

# Installing must start no service: the tests start their own, on loopback and on free ports.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq >/dev/null 2>&1 || echo "install_servers.sh: apt-get update failed; trying with the lists that are there" >&2
for package in $packages; do
    apt-get install -y -qq --no-install-recommends "$package" >/dev/null 2>&1 ||
        echo "install_servers.sh: could not install $package; its tests will be skipped" >&2
done
exit 0
