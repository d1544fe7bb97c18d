# shellcheck shell=sh
# Atelier's boot script, version 1. It runs once, at the first boot: the engine brings the agent up at later ones.
DIR=/opt/atelier
DEVICES=/dev/disk/by-id
FSTAB=/etc/fstab
CONSOLE=/dev/console
export LC_ALL=C
umask 077
mkdir -p "$DIR"
LOG=$DIR/boot.log
URL=${ATELIER_PLATFORM_URL%/}
BOOT_ID=$(cat /proc/sys/kernel/random/boot_id)

# A word for people: in the log of user-data, and on the console, which EC2 hands out when the network is dead.
say() {
    printf 'atelier: %s\n' "$1"
    { [ -w "$CONSOLE" ] && printf 'atelier: %s\r\n' "$1" >>"$CONSOLE"; } 2>/dev/null
}

# call PATH [BODY]: prints the status of the answer, which is in $DIR/answer. The token is in no argument, for
# arguments are seen by every process. No redirect is followed.
call() {
    rm -f "$DIR/answer"
    if command -v curl >/dev/null; then
        {
            printf 'header = "Authorization: Bearer %s"\n' "$ATELIER_BOOTSTRAP_TOKEN"
            [ -z "$2" ] || printf 'data-binary = "@%s"\n' "$2"
            [ -z "$ATELIER_CA_BUNDLE" ] || printf 'cacert = "%s"\n' "$DIR/ca.pem"
        } | curl -q -sSgK - --connect-timeout 10 -m 60 -o "$DIR/answer" -w '%{http_code}' "$URL$1"
        return
    fi
    {
        printf 'header = Authorization: Bearer %s\n' "$ATELIER_BOOTSTRAP_TOKEN"
        [ -z "$ATELIER_CA_BUNDLE" ] || printf 'ca_certificate = %s\n' "$DIR/ca.pem"
    } >"$DIR/wgetrc"
    code=0
    WGETRC=$DIR/wgetrc wget -S -t 1 -T 60 --max-redirect=0 -O "$DIR/answer" ${2:+"--post-file=$2"} "$URL$1" \
        2>"$DIR/headers" || code=$?
    sed -n 's|^ *HTTP/[0-9.]* \([0-9]*\).*|\1|p' "$DIR/headers" | tail -n 1
    [ "$code" -eq 0 ] || tail -n 2 "$DIR/headers" >&2
    return "$code"
}

# post STAGE true|false [DETAIL, escaped for JSON]. A stage that is not heard stops nothing.
post() {
    printf '{"stage":"%s","ok":%s,"boot_id":"%s"' "$1" "$2" "$BOOT_ID" >"$DIR/stage"
    [ -z "$3" ] || printf ',"detail":"%s"' "$3" >>"$DIR/stage"
    echo '}' >>"$DIR/stage"
    for pause in 1 3 0; do
        case $(call /registry/boot "$DIR/stage" 2>"$DIR/post.log") in 2??) return ;; esac
        sleep "$pause"
    done
    say "the registry did not hear of $1: $(tail -n 1 "$DIR/post.log")"
}

# The last lines of a step, without what a console or JSON cannot take.
last_lines() {
    tail -n 40 "$LOG" | tail -c 2000 | tr '\11\15' ' \12' | tr -c '\12\40-\176' '?'
}

# step STAGE COMMAND…: a stage of the boot, which ends with its first failure.
step() {
    stage=$1
    shift
    (
        set -e
        "$@"
    ) >"$LOG" 2>&1 </dev/null
    code=$?
    if [ "$code" -eq 0 ]; then
        say "$stage"
        post "$stage" true ''
        return
    fi
    say "$stage FAILED, code $code:"
    last_lines | while IFS= read -r line || [ -n "$line" ]; do say "$line"; done
    post "$stage" false "$(last_lines | sed 's/[\\"]/\\&/g; s/$/\\n/' | tr -d '\12')"
    rm -rf "$DIR/answer" "$DIR/env" "$DIR/env.list"
    exit 1
}

started() {
    [ -n "$ATELIER_CA_BUNDLE" ] || return 0
    # Besides the public authorities, not instead of them.
    for known in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/ca-bundle.pem; do
        [ ! -r "$known" ] || cat "$known"
    done >"$DIR/ca.pem"
    printf '%s\n' "$ATELIER_CA_BUNDLE" >>"$DIR/ca.pem"
}

# add COMMAND PACKAGE: installs what has this command.
add() {
    package=$1
    if command -v apt-get; then
        [ "$1" != docker ] || package=docker.io
        export DEBIAN_FRONTEND=noninteractive
        apt-get -qo DPkg::Lock::Timeout=300 update
        apt-get -qyo DPkg::Lock::Timeout=300 install "$package"
    elif command -v dnf; then
        dnf -qy install "$package"
    elif command -v yum; then
        yum -qy install "$package"
    elif command -v zypper; then
        zypper -qn install "$package"
    elif command -v apk; then
        apk add "$package"
    else
        echo "there is no $1 on this machine, and no package manager that is known: use an AMI with $1"
        return 1
    fi
}

engine() {
    command -v docker || add docker
    command -v curl || wget --version || add curl
    ! command -v systemctl || systemctl enable --now docker || :
    tries=0
    until docker version; do
        tries=$((tries + 1))
        [ "$tries" -lt 60 ] || return 1
        [ "$tries" -gt 1 ] || command -v systemctl || service docker start || :
        sleep 2
    done
}

image() {
    ! docker image inspect "$ATELIER_IMAGE" >/dev/null 2>&1 || return 0
    for pause in 2 5 15 30; do
        ! docker pull -q "$ATELIER_IMAGE" || return 0
        sleep "$pause"
    done
    docker pull -q "$ATELIER_IMAGE"
}

bundle() {
    tries=0
    pause=1
    until status=$(call /registry/bundle '') && [ "$status" = 200 ]; do
        tries=$((tries + 1))
        echo "try $tries: the registry answered ${status:-nothing}"
        # Only the words of a refusal: a bundle that broke off is shown to nobody.
        case $status in [45]??) [ ! -s "$DIR/answer" ] || { head -c 300 "$DIR/answer" && echo; } ;; esac
        [ "$status" != 410 ] && [ "$tries" -lt 30 ] || return 1
        sleep "$pause"
        pause=$((pause * 2))
        [ "$pause" -le 30 ] || pause=30
    done
    rm -rf "$DIR/configs" "$DIR/env" "$DIR/data-volume"
    tar -xpf "$DIR/answer" -C "$DIR"
    rm "$DIR/answer"
}

# Whether a device can be read and begins with zeros alone.
is_zero() {
    [ "$(head -c 8388608 "$1" | wc -c)" -eq 8388608 ] && [ "$(head -c 8388608 "$1" | tr -d '\0' | wc -c)" -eq 0 ]
}

# The folder of the agent's data: on the volume that the bundle names, or on the root volume if it names none. Nothing
# is ever formatted but a volume without any signature that begins with zeros.
data() {
    mkdir -p "$DIR/workspace"
    chmod 755 "$DIR/workspace"
    [ -s "$DIR/data-volume" ] || return 0
    ! mountpoint -q "$DIR/workspace" || return 0
    volume=$(cat "$DIR/data-volume")
    case $volume in
    /*) device=$volume ;;
    *) device=$DEVICES/nvme-Amazon_Elastic_Block_Store_vol${volume#vol-} ;;
    esac
    tries=0
    until [ -e "$device" ]; do
        tries=$((tries + 1))
        [ "$tries" -le 150 ] || { echo "the data volume $volume did not appear as $device" && return 1; }
        sleep 2
    done
    # Without its data the engine must not start the agent.
    options=nofail,x-systemd.before=docker.service,x-systemd.required-by=docker.service
    if [ -d "$device" ]; then
        line="$device $DIR/workspace none bind,$options 0 0"
    else
        code=0
        kind=$(blkid -p -s TYPE -o value "$device") || code=$?
        if [ "$code" -eq 2 ] && is_zero "$device"; then
            mkfs.ext4 -qF "$device"
            kind=ext4
        elif [ "$code" -ne 0 ]; then
            kind=
        fi
        [ -n "$kind" ] || { echo "the data volume $volume is neither blank nor a file system: left alone" && return 1; }
        line="UUID=$(blkid -p -s UUID -o value "$device") $DIR/workspace $kind $options 0 2"
    fi
    grep -qsF "$line" "$FSTAB" || printf '\n%s\n' "$line" >>"$FSTAB"
    mount "$DIR/workspace"
    rmdir "$DIR/workspace/lost+found" 2>/dev/null || :
}

# run [COMMAND…]: the container of the plan.
run() {
    data
    # The source of this box's calls is the address that it is known by.
    address=$(ip -4 route get 192.0.2.1 2>/dev/null | sed -n 's/.* src \([0-9.]*\).*/\1/p')
    [ -n "$address" ] || address=$(hostname -I | cut -d ' ' -f 1)
    [ -n "$address" ] || { echo 'this machine has no IPv4 address' && return 1; }

    # A new volume takes over what the image has in its place.
    if [ -z "$(ls -A "$DIR/workspace")" ]; then
        template=$(docker create "$ATELIER_IMAGE" /)
        docker cp "$template:/workspace" - 2>/dev/null | tar -xpf - -C "$DIR" 2>/dev/null || :
        docker rm -v "$template"
    fi
    user=$(docker image inspect -f '{{.Config.User}}' "$ATELIER_IMAGE")
    group=${user#*:}
    user=${user%%:*}
    case $group in '' | *[!0-9]*) group=$user ;; esac
    case $user in root) user=0 ;; esac

    if [ $# -gt 0 ]; then
        program=$1
        shift
        set -- --entrypoint "$program" "$ATELIER_IMAGE" "$@"
    else
        set -- "$ATELIER_IMAGE"
    fi
    if [ -n "$ATELIER_PRIVILEGED" ]; then
        set -- --privileged "$@"
    else
        # An image that starts as root owns and reads its files, and steps down.
        [ "${user:-0}" != 0 ] ||
            set -- --cap-add CHOWN --cap-add DAC_OVERRIDE --cap-add SETUID --cap-add SETGID "$@"
        set -- --cap-drop ALL --security-opt no-new-privileges "$@"
    fi
    case ${user:-0} in
    0 | *[!0-9]*) ;;
    *)
        chown -R "$user:$group" "$DIR/configs"
        chown "$user:$group" "$DIR/workspace"
        ;;
    esac
    [ -z "$ATELIER_READ_ONLY_ROOT" ] ||
        set -- --read-only --tmpfs /tmp:size=64m,mode=1777,noexec,nosuid,nodev "$@"
    socket=/var/run/docker.sock
    [ -z "$ATELIER_ENGINE_SOCKET" ] || set -- --mount "type=bind,source=$socket,target=$socket" "$@"

    # Values are in no argument either. What an env file can hold goes into one; the rest is exported.
    newline='
'
    return=$(printf '\r')
    cd "$DIR/env"
    rm -f HOSTNAME
    : >../env.list
    for name in *; do
        [ -e "$name" ] || continue
        value=$(cat "$name" && echo x)
        case $value in
        *"$newline"* | *"$return"*) set -- -e "$name" "$@" && continue ;;
        esac
        # An env file's lines are at most 64 KiB long.
        if [ ${#value} -ge 60000 ]; then
            set -- -e "$name" "$@"
            continue
        fi
        printf '%s=%s\n' "$name" "${value%x}" >>../env.list
        rm "$name"
    done
    set -- "$(command -v docker)" create --name "$ATELIER_NAME" --hostname "$ATELIER_HOST" \
        --restart unless-stopped --init --network bridge --add-host host.docker.internal:host-gateway \
        --publish "$address:8000:8000" --env-file ../env.list -e "HOSTNAME=$address" \
        --memory "${ATELIER_MEMORY_MIB}m" --memory-swap "${ATELIER_MEMORY_MIB}m" --cpus "$ATELIER_CPUS" \
        --pids-limit "$ATELIER_PIDS_LIMIT" \
        --log-driver json-file --log-opt max-size=10m --log-opt max-file=2 \
        --mount "type=bind,source=$DIR/configs,target=/configs" \
        --mount "type=bind,source=$DIR/workspace,target=/workspace" "$@"
    (
        for _atelier_name in *; do
            [ -e "$_atelier_name" ] || continue
            _atelier_value=$(cat "$_atelier_name" && echo x)
            export "$_atelier_name=${_atelier_value%x}"
        done
        exec "$@"
    )
    cd /
    rm -rf "$DIR/env" "$DIR/env.list"
    docker start "$ATELIER_NAME"
}

say "Workspace $ATELIER_WORKSPACE_ID, attempt $ATELIER_ATTEMPT"
step started started
step engine-ready engine
# Where user-data runs again, what it made is there already.
if docker container inspect "$ATELIER_NAME" >/dev/null 2>&1; then
    step agent-started docker start "$ATELIER_NAME"
    exit 0
fi
step image-pulled image
step bundle-fetched bundle
step agent-started run "$@"
