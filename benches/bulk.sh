#!/usr/bin/env bash
# What moving one large file costs: one sharing peer, one fetching peer, nothing between them but loopback.
#
#   benches/bulk.sh [MEBIBYTES] [ROUNDS]        BIN=target/release by default
#
# Everything lies in memory and in a network namespace of its own, so neither a disk nor other traffic counts. Prints a line a round:
# megabytes a second from starting `rusteze-peer get` to its end, CPU seconds per GiB of the sharer, the fetcher and the tracker, bytes on
# the wire over bytes of the file, and the most memory each held. The last lines are the same through the gateway, read by curl.
set -euo pipefail

bin=${BIN:-$(dirname "$0")/../target/release}
for program in rusteze-tracker rusteze-peer; do
    [[ -x $bin/$program ]] && continue
    echo "bulk: no $program in $bin: make it by \`cargo build --release --workspace --bins\`, or say with BIN where it is" >&2
    exit 1
done
if [[ -z ${BULK_INSIDE:-} ]]; then
    exec env BULK_INSIDE=1 unshare --net "$BASH" "$0" "$@"
fi
ip link set lo up

mebibytes=${1:-1024}
rounds=${2:-3}
dir=$(mktemp -d /dev/shm/rusteze-bulk.XXXXXX)
pids=()
finish() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$dir"
}
trap finish EXIT

ticks_per_s=$(getconf CLK_TCK)
cpu_s() { awk -v hz="$ticks_per_s" '{ sub(/.*\) /, ""); print ($12 + $13) / hz }' "/proc/$1/stat"; }
peak_mib() { awk '/VmHWM/ { printf "%.0f", $2 / 1024 }' "/proc/$1/status"; }
wire_bytes() { awk '$1 == "lo:" { print $2 }' /proc/net/dev; }
until_ready() { for _ in $(seq 200); do curl -sf "http://127.0.0.1:$1/ready" >/dev/null && return; sleep 0.05; done; echo "bulk: nothing answers at port $1" >&2; return 1; }

mkdir "$dir/share"
head -c "$((mebibytes << 20))" /dev/urandom |
    ffmpeg -v error -f s16le -ar 48000 -ac 2 -i - -c copy "$dir/share/noise.wav"
size=$(stat -c %s "$dir/share/noise.wav")
gib=$(awk -v n="$size" 'BEGIN { print n / 2^30 }')

"$bin/rusteze-tracker" --listen 127.0.0.1:7700 --data "$dir/tracker" 2>"$dir/tracker.log" &
tracker=$!
pids+=("$tracker")
until_ready 7700
peer=("$bin/rusteze-peer" --tracker ws://127.0.0.1:7700 --kind audio)
"${peer[@]}" --share "$dir/share" --cache "$dir/sharer" --listen 127.0.0.1:7701 --gateway 127.0.0.1:7702 2>"$dir/sharer.log" &
sharer=$!
pids+=("$sharer")
until_ready 7702
content=
for _ in $(seq 600); do
    content=$(curl -s http://127.0.0.1:7702/api/files | grep -o '"content_id":"[0-9a-f]*"' | head -1 | cut -d'"' -f4) || true
    [[ -n $content ]] && break
    sleep 0.1
done
[[ -n $content ]] || { echo "the file was not shared" >&2; cat "$dir/sharer.log" >&2; exit 1; }

report() { # name, pid of the fetcher or its CPU seconds, wall seconds, its peak
    awk -v name="$1" -v cpu="$2" -v wall="$3" -v peak="$4" -v gib="$gib" -v size="$size" \
        -v sharer="$(awk -v a="$sharer_before" -v b="$(cpu_s "$sharer")" 'BEGIN { print b - a }')" \
        -v tracker="$(awk -v a="$tracker_before" -v b="$(cpu_s "$tracker")" 'BEGIN { print b - a }')" \
        -v wire="$(($(wire_bytes) - wire_before))" -v sharer_peak="$(peak_mib "$sharer")" 'BEGIN {
        printf "%-9s %5.2f s %5.0f MB/s  CPU s/GiB: sharer %.2f fetcher %.2f tracker %.2f sum %.2f  wire/file %.4f  peak MiB: sharer %s fetcher %s\n",
            name, wall, size / 1e6 / wall, sharer / gib, cpu / gib, tracker / gib, (sharer + cpu + tracker) / gib, wire / size, sharer_peak, peak }'
}
begin() {
    sharer_before=$(cpu_s "$sharer")
    tracker_before=$(cpu_s "$tracker")
    wire_before=$(wire_bytes)
    started=$EPOCHREALTIME
}
elapsed() { awk -v a="$started" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }'; }

for round in $(seq "$rounds"); do
    rm -rf "$dir/fetcher" "$dir/out.wav"
    begin
    /usr/bin/env time -f '%U %S %M' -o "$dir/spent" \
        "${peer[@]}" get "$content" --out "$dir/out.wav" --cache "$dir/fetcher" --listen 127.0.0.1:0 2>"$dir/fetcher.log" ||
        { cat "$dir/fetcher.log" >&2; exit 1; }
    wall=$(elapsed)
    read -r user system peak_kib <"$dir/spent"
    report "get $round" "$(awk -v a="$user" -v b="$system" 'BEGIN { print a + b }')" "$wall" "$((peak_kib / 1024))"
    cmp "$dir/share/noise.wav" "$dir/out.wav"
done

for round in $(seq "$rounds"); do
    rm -rf "$dir/fetcher" "$dir/out.wav"
    "${peer[@]}" --cache "$dir/fetcher" --listen 127.0.0.1:0 --gateway 127.0.0.1:7703 2>"$dir/fetcher.log" &
    fetcher=$!
    pids+=("$fetcher")
    until_ready 7703
    until curl -s http://127.0.0.1:7703/api/files | grep -q "$content"; do sleep 0.05; done
    begin
    before=$(cpu_s "$fetcher")
    curl -sf "http://127.0.0.1:7703/stream/$content" -o /dev/null
    wall=$(elapsed)
    # The bytes that curl took cross loopback too, and are no part of what the peers exchange.
    wire_before=$((wire_before + size))
    report "gateway $round" "$(awk -v a="$before" -v b="$(cpu_s "$fetcher")" 'BEGIN { print b - a }')" "$wall" "$(peak_mib "$fetcher")"
    kill "$fetcher"
    wait "$fetcher" 2>/dev/null || true
done
