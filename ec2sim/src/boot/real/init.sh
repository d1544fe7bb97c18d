#!/bin/sh
# The machine: what an image with Docker and cloud-init enabled does. Runs as process 1.
# The engine starts at every boot; user-data runs at the first only, and says on the console what it says.
export PATH=/ec2sim/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin HOME=/root
data=/var/lib/cloud/instance/user-data.txt
ran=/var/lib/cloud/instance/sem/user-data

off() {
    trap '' TERM INT
    kill -TERM "$engine" 2>/dev/null
    # Containers get their ten seconds.
    tries=0
    while kill -0 "$engine" 2>/dev/null && [ "$tries" -lt 150 ]; do
        tries=$((tries + 1))
        sleep 0.1
    done
    sync
    exit 0
}
trap off TERM INT

echo "$(hostname) boots"
mkdir -p /dev/disk/by-id /run/lock
# Left by a boot that ended without a word.
rm -f /run/docker.pid
dockerd --data-root /var/lib/docker --exec-root /run/docker --pidfile /run/docker.pid \
    --host unix:///run/docker.sock >>/var/log/dockerd.log 2>&1 &
engine=$!

first_boot() {
    tries=0
    until docker version >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ "$tries" -gt 300 ] || ! kill -0 "$engine" 2>/dev/null; then
            echo "the container engine does not answer:"
            tail -n 5 /var/log/dockerd.log
            break
        fi
        sleep 0.1
    done
    for archive in /ec2sim/images/*; do
        [ -e "$archive" ] && docker load --quiet --input "$archive"
    done
    cd /
    "$data"
    echo "user-data ended with code $?"
}

if [ -s "$data" ] && [ ! -e "$ran" ]; then
    # Before it runs: a boot that breaks off does not run it again.
    mkdir -p "${ran%/*}"
    : >"$ran"
    first_boot &
fi
# Collects whatever ends, also what others left behind.
while :; do
    wait
    sleep 1
done
