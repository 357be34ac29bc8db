#!/usr/bin/env bash
# The whole system on this machine: a tracker with a library, two sharing peers, and the client playing what all three hold.
#
#   KIND=video|audio scripts/demo.sh
#
# With a display the window stays until it is closed. Without one it is drawn by Xvfb, with a null sound device if PulseAudio
# is there, and screenshots are taken: SHOTS="5 10 15 18 20" are the seconds at which. From one to the next the window is worked by
# its keys: first the player, then its pieces and peers, then the library beside it, the transfers, the shortcuts.
set -euo pipefail
cd "$(dirname "$0")/.."

kind=${KIND:-video}
case $kind in video | audio) ;; *) echo "demo: KIND is video or audio, not '$kind'" >&2; exit 2 ;; esac
data=demo-data
run=$data/run
library=$data/library
bin=${CARGO_TARGET_DIR:-target}/debug
read -ra shots <<<"${SHOTS:-5 10 15 18 20}"

# The size of the window as it first opens.
screen=1180x760

declare -a pids=()

# Ends what this script started, newest first, and nothing else.
finish() {
  local status=$? i pid
  trap - EXIT INT TERM
  for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
    pid=${pids[i]}
    kill -TERM "$pid" 2>/dev/null || true
    for _ in $(seq 50); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  exit "$status"
}
trap finish EXIT
trap 'echo; echo "demo: stopping"; exit 130' INT
trap 'exit 143' TERM

# start NAME COMMAND...: in the background, with its own log. In a session of its own, so that Ctrl-C reaches this script
# alone and the order of the end is ours.
start() {
  local name=$1
  shift
  setsid "$@" >"$run/$name.log" 2>&1 &
  pids+=($!)
}

# free_port FROM: the first port from there on that nobody listens on.
free_port() {
  local port=$1
  while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
  echo "$port"
}

# http PORT PATH: the answer, status line first.
http() {
  local out
  exec 3<>"/dev/tcp/127.0.0.1/$1" || return 1
  printf 'GET %s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nConnection: close\r\n\r\n' "$2" "$1" >&3
  out=$(cat <&3)
  exec 3>&- 3<&-
  printf '%s\n' "$out"
}

# await NAME PID PORT PATH TEXT: until the answer contains TEXT, while the program lives.
await() {
  local name=$1 pid=$2 port=$3 path=$4 text=$5 answer
  for _ in $(seq 600); do
    if answer=$(http "$port" "$path" 2>/dev/null) && [[ $answer == *"$text"* ]]; then return; fi
    if ! kill -0 "$pid" 2>/dev/null; then
      echo "demo: $name ended before it was ready; the end of $run/$name.log:" >&2
      tail -n 20 "$run/$name.log" >&2
      exit 1
    fi
    sleep 0.1
  done
  echo "demo: $name was not ready after a minute; see $run/$name.log" >&2
  exit 1
}

# A screen and a sound device for machines that have none.
headless() {
  local display_file=$run/display
  echo "demo: no display here; drawing with Xvfb"
  Xvfb -displayfd 7 -screen 0 ${screen}x24 +extension GLX 7>"$display_file" >"$run/xvfb.log" 2>&1 &
  pids+=($!)
  for _ in $(seq 100); do [[ -s $display_file ]] && break; sleep 0.1; done
  [[ -s $display_file ]] || { echo "demo: Xvfb did not start; see $run/xvfb.log" >&2; exit 1; }
  DISPLAY=:$(<"$display_file")
  export DISPLAY LIBGL_ALWAYS_SOFTWARE=1
  XDG_RUNTIME_DIR=$PWD/$run/runtime
  export XDG_RUNTIME_DIR
  mkdir -p -m 700 "$XDG_RUNTIME_DIR"
  if command -v pulseaudio >/dev/null && [[ -z ${PULSE_SERVER:-} ]]; then
    PULSE_RUNTIME_PATH=$XDG_RUNTIME_DIR/pulse start pulseaudio pulseaudio -n --daemonize=no --exit-idle-time=-1 \
      -L "module-null-sink sink_name=nullout rate=48000 channels=2" \
      -L "module-native-protocol-unix auth-anonymous=1 socket=$XDG_RUNTIME_DIR/pulse.socket"
    export PULSE_SERVER=unix:$XDG_RUNTIME_DIR/pulse.socket ALSA_CONFIG_PATH=$PWD/$run/alsa.conf
    printf '</usr/share/alsa/alsa.conf>\npcm.!default { type pulse }\nctl.!default { type pulse }\n' >"$ALSA_CONFIG_PATH"
    for _ in $(seq 50); do [[ -S $XDG_RUNTIME_DIR/pulse.socket ]] && break; sleep 0.1; done
  fi
}

# What the viewer's node says about the stream, in one line.
sources() {
  http "$1" /api/status | tr ',{' '\n\n' | awk -F: '
    /"received_bytes"/ && in_peers { if ($2 > 0) { n++; printf "%s%.1f MB", (n > 1 ? " + " : ""), $2 / 1e6 } }
    /"peers"/ { in_peers = 1 } /"download_bps"/ { in_peers = 0 }
    END { print (n ? "" : "nothing yet") }'
}

rm -rf "$run" "$data/screenshots"
mkdir -p "$run" "$data/screenshots"
scripts/library.sh "$library"

echo "demo: building (the first time takes some minutes)"
cargo build --workspace --bins

tracker_port=$(free_port 7700)
# Uplinks as homes have them: no source alone carries the film for long, so that all three are seen at work.
start tracker "$bin/rusteze-tracker" --listen "127.0.0.1:$tracker_port" --upload-limit 2M --library "$library/tracker" --data "$data/state/tracker"
await tracker "${pids[-1]}" "$tracker_port" /ready " 200 "
echo "demo: tracker    http://127.0.0.1:$tracker_port/   debug console http://127.0.0.1:$tracker_port/console"

port=$((tracker_port + 1))
for name in peer-a peer-b; do
  listen=$(free_port "$port") gateway=$(free_port $((listen + 1)))
  port=$((gateway + 1))
  start "$name" "$bin/rusteze-peer" --tracker "ws://127.0.0.1:$tracker_port" --kind "$kind" --share "$library/$name" --upload-limit 3M \
    --cache "$data/state/$name-$kind" --listen "127.0.0.1:$listen" --gateway "127.0.0.1:$gateway"
  await "$name" "${pids[-1]}" "$gateway" /ready " 200 "
  echo "demo: $name     http://127.0.0.1:$gateway/api/files"
done
# Three sources of one file: then all that is there has been indexed and announced.
await "$name" "${pids[-1]}" "$gateway" /api/files '"sources":3'

is_headless=
if [[ -z ${DISPLAY:-}${WAYLAND_DISPLAY:-} ]]; then is_headless=1; headless; fi

listen=$(free_port "$port") gateway=$(free_port $((listen + 1)))
start client "$bin/rusteze" --tracker "ws://127.0.0.1:$tracker_port" --kind "$kind" --play first \
  --cache "$run/client" --listen "127.0.0.1:$listen" --gateway "127.0.0.1:$gateway"
client=${pids[-1]}
await client "$client" "$gateway" /ready " 200 "
echo "demo: client     playing; its gateway http://127.0.0.1:$gateway/api/files   logs in $run/"

if [[ -z $is_headless ]]; then
  echo "demo: close the window or press Ctrl-C to stop"
  wait "$client" || true
  exit 0
fi

# The key that leads from each picture to the next, and what the picture then shows.
keys=("" p Escape ctrl+3 question)
pages=(player network library transfers shortcuts)
passed=0
number=0
for at in "${shots[@]}"; do
  sleep $((at - passed))
  passed=$at
  kill -0 "$client" 2>/dev/null || { echo "demo: the client ended; the end of $run/client.log:" >&2; tail -n 20 "$run/client.log" >&2; exit 1; }
  # A pointer that moves brings up the player's controls.
  xdotool mousemove 590 $((380 + at)) 2>/dev/null && sleep 0.4 || true
  key=${keys[number]:-} page=${pages[number]:-last}
  # No window manager gives the window the keyboard here.
  [[ -z $key ]] || { xdotool search --class rusteze windowfocus key "$key" 2>/dev/null && sleep 0.8 || true; }
  number=$((number + 1))
  shot=$data/screenshots/$kind-$number-$page.png
  ffmpeg -hide_banner -loglevel error -nostdin -y -f x11grab -video_size $screen -i "$DISPLAY" -frames:v 1 "$shot"
  echo "demo: after $at s   $shot   received $(sources "$gateway")"
done
echo "demo: screenshots are in $PWD/$data/screenshots"
