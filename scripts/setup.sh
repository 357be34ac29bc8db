#!/usr/bin/env bash
# Installs what Rusteze needs from the system, on Debian and its relatives.
#
#   scripts/setup.sh [build] [demo] [test] [exact]      default: the first three
#
# Looks first at what is there and does nothing when nothing is missing, so it is cheap to run before every build.
set -euo pipefail

build=(build-essential pkg-config clang libclang-dev libasound2-dev
  libavcodec-dev libavformat-dev libavutil-dev libswscale-dev libswresample-dev)
demo=(ffmpeg xvfb xdotool libgl1 libegl1 libgl1-mesa-dri libx11-6 libx11-xcb1 libxcursor1 libxi6 libxrandr2
  libxkbcommon0 libxkbcommon-x11-0 libfontconfig1 pulseaudio libasound2-plugins)
test=(ffmpeg curl iproute2 nftables pulseaudio pulseaudio-utils libasound2-plugins)
exact=(cmake)

wanted=()
for group in "${@:-build demo test}"; do
  for name in $group; do
    case $name in
      build) wanted+=("${build[@]}") ;;
      demo) wanted+=("${demo[@]}") ;;
      test) wanted+=("${test[@]}") ;;
      exact) wanted+=("${exact[@]}") ;;
      *) echo "setup: unknown group '$name' (build, demo, test or exact)" >&2; exit 2 ;;
    esac
  done
done

if ! command -v cargo >/dev/null; then
  echo "setup: cargo is not there. Install Rust 1.95 or newer first: https://rustup.rs" >&2
  exit 1
fi

if ! command -v dpkg-query >/dev/null; then
  echo "setup: this is not a Debian system; make sure that the equivalents of these packages are there:" >&2
  printf '  %s\n' "${wanted[@]}" >&2
  exit 0
fi

missing=()
for package in "${wanted[@]}"; do
  status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  [[ $status == *installed* && $status != *not-installed* ]] || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
  exit 0
fi

as_root=()
if ((EUID != 0)); then
  if ! command -v sudo >/dev/null; then
    echo "setup: run this as root, there is no sudo:  apt-get install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi

echo "setup: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
# The lists of a fresh machine are empty or old; a failing mirror shows again in the install below.
"${as_root[@]}" apt-get update -qq || true
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}"
