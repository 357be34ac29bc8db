#!/usr/bin/env bash
# Makes a small library of films and tracks with ffmpeg's own sources, once: pictures that move, melodies that are melodies.
#
#   scripts/library.sh DIR
#
#   DIR/tracker   what the tracker itself offers
#   DIR/peer-a    what the first sharing peer offers
#   DIR/peer-b    what the second sharing peer offers, one film and one track of them found nowhere else
#
# The first film and the first track by name are at all three. The tunes are Pachelbel, Bach, Beethoven and a folk song.
set -euo pipefail

root=${1:?usage: scripts/library.sh DIR}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$root"
# Numbered, so that a library made by an older script is made again.
complete=$root/complete-2
if [[ -e $complete ]]; then
  exit 0
fi
rm -f "$root/complete"

work=$root/work
mkdir -p "$work" "$root/tracker" "$root/peer-a" "$root/peer-b"

quiet=(ffmpeg -hide_banner -loglevel error -nostdin -y)

# voice BEAT DECAY SCORE SECONDS: an aevalsrc source.
voice() {
  printf "aevalsrc='%s':s=48000:d=%s" "$(awk -v beat="$1" -v decay="$2" -f "$here/score.awk" <<<"$3")" "$4"
}

# tune OUT SECONDS BEAT MELODY BASS: a melody over a bass, with a little room around them.
tune() {
  local out=$1 seconds=$2 beat=$3 melody=$4 bass=$5
  "${quiet[@]}" -filter_complex "
    $(voice "$beat" 2.2 "$melody" "$seconds"),volume=0.9[melody];
    $(voice "$beat" 1.1 "$bass" "$seconds"),volume=0.8[bass];
    [melody]asplit[m1][m2]; [m2]adelay=13,volume=0.7[m3];
    [m1][m3]join=inputs=2:channel_layout=stereo[wide];
    [bass]aformat=channel_layouts=stereo[low];
    [wide][low]amix=inputs=2:normalize=0,aecho=0.9:0.8:70|190:0.22|0.13,
    afade=in:d=0.05,afade=out:st=$(awk "BEGIN{print $seconds-2}"):d=2,alimiter=limit=0.9[out]" \
    -map '[out]' -t "$seconds" -c:a pcm_s16le "$out"
}

canon_melody='F#5:2 E5:2 D5:2 C#5:2 B4:2 A4:2 B4:2 C#5:2 D5:2 C#5:2 B4:2 A4:2 G4:2 F#4:2 G4:2 E4:2
  D4 F#4 A4 G4 F#4 D4 F#4 E4 D4 B3 D4 A4 G4 B4 A4 G4 F#4 D4 E4 C#5 D5 F#5 A5 A4 B4 G4 A4 F#4 D4 D5 D5:.5 C#5:.5 D5:1'
canon_bass='D3:2 A2:2 B2:2 F#2:2 G2:2 D2:2 G2:2 A2:2'
prelude_bar() { echo "$1 $2 $3 $4 $5 $3 $4 $5 $1 $2 $3 $4 $5 $3 $4 $5"; }
prelude=$(prelude_bar C4 E4 G4 C5 E5; prelude_bar C4 D4 A4 D5 F5; prelude_bar B3 D4 G4 D5 F5; prelude_bar C4 E4 G4 C5 E5
  prelude_bar C4 E4 A4 E5 A5; prelude_bar C4 D4 F#4 A4 D5; prelude_bar B3 D4 G4 D5 G5; prelude_bar B3 C4 E4 G4 C5
  prelude_bar A3 C4 E4 G4 C5; prelude_bar D3 A3 D4 F#4 C5; prelude_bar G3 B3 D4 G4 B4; prelude_bar C4 E4 G4 C5 E5)
prelude=${prelude//$'\n'/ }
prelude_bass='C3:16 C3:16 B2:16 C3:16 C3:16 C3:16 B2:16 B2:16 A2:16 D2:16 G2:16 C2:16'
ode_melody='E5 E5 F5 G5 G5 F5 E5 D5 C5 C5 D5 E5 E5:1.5 D5:.5 D5:2 E5 E5 F5 G5 G5 F5 E5 D5 C5 C5 D5 E5 D5:1.5 C5:.5 C5:2
  D5 D5 E5 C5 D5 E5:.5 F5:.5 E5 C5 D5 E5:.5 F5:.5 E5 D5 C5 D5 G4 E5:2 E5 F5 G5 G5 F5 E5 D5 C5 C5 D5 E5 D5:1.5 C5:.5 C5:2'
ode_bass='C3:2 G3:2 G2:2 G3:2 C3:2 G3:2 G2:2 G3:2 C3:2 G3:2 G2:2 G3:2 C3:2 G3:2 G2:2 C3:2
  G2:2 G3:2 G2:2 C3:2 G2:2 E3:2 A2:2 D3:2 C3:2 G3:2 G2:2 G3:2 C3:2 G3:2 G2:2 C3:2'
green_melody='A4 C5:2 D5 E5:1.5 F5:.5 E5 D5:2 B4 G4:1.5 A4:.5 B4 C5:2 A4 A4:1.5 G#4:.5 A4 B4:2 G#4 E4:2
  A4 C5:2 D5 E5:1.5 F5:.5 E5 D5:2 B4 G4:1.5 A4:.5 B4 C5:1.5 B4:.5 A4 G#4:1.5 F#4:.5 G#4 A4:3 A4:2
  - G5:3 G5:1.5 F#5:.5 E5 D5:2 B4 G4:1.5 A4:.5 B4 C5:2 A4 A4:1.5 G#4:.5 A4 B4:2 G#4 E4:3
  G5:3 G5:1.5 F#5:.5 E5 D5:2 B4 G4:1.5 A4:.5 B4 C5:1.5 B4:.5 A4 G#4:1.5 F#4:.5 G#4 A4:3 A4:2'
green_bass='- A2:3 A2:3 G2:3 G2:3 A2:3 A2:3 E2:3 E2:3 A2:3 A2:3 G2:3 G2:3 A2:3 E2:3 A2:3 A2:3
  C3:3 C3:3 G2:3 G2:3 A2:3 A2:3 E2:3 E2:3 C3:3 C3:3 G2:3 G2:3 A2:3 E2:3 A2:3 A2:2'

echo "library: making melodies"
tune "$work/canon.wav" 64 0.5 "$canon_melody" "$canon_bass"
tune "$work/prelude.wav" 48 0.21 "$prelude" "$prelude_bass"
tune "$work/ode.wav" 40 0.44 "$ode_melody" "$ode_bass"
tune "$work/greensleeves.wav" 48 0.3 "$green_melody" "$green_bass"

# film OUT SECONDS SOUND FILTER OPTIONS...: moving pictures from a filter graph that ends in [v], with a sound track.
film() {
  local out=$1 seconds=$2 sound=$3 filter=$4
  shift 4
  echo "library: making $(basename "$out")"
  "${quiet[@]}" -i "$sound" -filter_complex "$filter" -map '[v]' -map 0:a -t "$seconds" -metadata title="$(basename "${out%.*}")" "$@" "$out"
}

x264=(-c:v libx264 -preset veryfast -pix_fmt yuv420p -g 60)

film "$work/A Dive into Mandelbrot.mp4" 60 "$work/canon.wav" \
  "mandelbrot=s=800x450:r=30:maxiter=400:start_scale=2.2:end_scale=0.0004:end_pts=1800:start_x=-0.743643887037151:start_y=0.131825904205330,
   hue=h='t*5',format=yuv420p[v]" \
  "${x264[@]}" -b:v 2600k -maxrate 3600k -bufsize 5200k -c:a aac -b:a 160k
film "$work/Northern Lights.mkv" 48 "$work/prelude.wav" \
  "gradients=s=320x180:r=25:n=5:speed=0.012:c0=0x06142e:c1=0x0c7c59:c2=0x48e5c2:c3=0x5d2e8c:c4=0x0b132b:x0=0:y0=0:x1=320:y1=180:seed=7,
   scale=1024:576:flags=bilinear,format=gbrp[sky];
   life=s=160x90:r=25:mold=18:ratio=0.12:death_color=#102040:life_color=#f8fbff:seed=11,
   scale=1024:576:flags=bicubic,boxblur=6,format=gbrp[stars];
   [sky][stars]blend=all_mode=screen:all_opacity=0.6,format=yuv420p[v]" \
  "${x264[@]}" -b:v 2200k -maxrate 3200k -bufsize 4400k -c:a libopus -b:a 128k
film "$work/Slow Life.webm" 40 "$work/greensleeves.wav" \
  "life=s=160x90:r=12:mold=24:ratio=0.3:death_color=#7b1e3a:life_color=#ffe29a:seed=5,scale=640:360:flags=neighbor,
   framerate=fps=24,hue=h='t*9',format=yuv420p[v]" \
  -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -row-mt 1 -b:v 1400k -g 48 -c:a libopus -b:a 128k
film "$work/Test Card.ts" 36 "$work/ode.wav" \
  "testsrc2=s=640x360:r=30[v]" \
  "${x264[@]}" -b:v 1500k -c:a aac -b:a 128k

# track OUT SOUND TITLE ARTIST ALBUM COLOUR OPTIONS...: a tagged track with a cover.
track() {
  local out=$1 sound=$2 title=$3 artist=$4 album=$5 colours=$6
  shift 6
  local cover=$work/cover.jpg
  echo "library: making $(basename "$out")"
  "${quiet[@]}" -f lavfi -i "gradients=s=500x500:r=1:n=3:$colours:seed=3" -f lavfi -i "sierpinski=s=500x500:r=1:type=triangle:seed=${#title}" \
    -filter_complex "[0][1]blend=all_mode=softlight:all_opacity=0.5,format=yuvj420p" -frames:v 1 -q:v 4 "$cover"
  local tags=(-metadata title="$title" -metadata artist="$artist" -metadata album="$album")
  case $out in
    *.ogg | *.opus)
      # Vorbis comments carry a picture as a base64 block; ffmpeg does not write it by itself.
      "${quiet[@]}" -i "$sound" -map 0:a "${tags[@]}" -metadata:s:a "METADATA_BLOCK_PICTURE=$(picture_block "$cover")" "$@" "$out" ;;
    *)
      "${quiet[@]}" -i "$sound" -i "$cover" -map 0:a -map 1:v -c:v copy -disposition:v attached_pic \
        -metadata:s:v title="Album cover" -metadata:s:v comment="Cover (front)" "${tags[@]}" "$@" "$out" ;;
  esac
}

# picture_block JPEG: a FLAC picture block in base64: type 3, mime type, no description, 500x500, 24 bits.
picture_block() {
  {
    number 3; number 10; printf 'image/jpeg'; number 0; number 500; number 500; number 24; number 0
    number "$(stat -c %s "$1")"; cat "$1"
  } | base64 -w 0
}
number() { printf "$(printf '\\x%02x\\x%02x\\x%02x\\x%02x' $(($1 >> 24 & 255)) $(($1 >> 16 & 255)) $(($1 >> 8 & 255)) $(($1 & 255)))"; }

track "$work/Canon in D.flac" "$work/canon.wav" "Canon in D" "Johann Pachelbel" "Plucked" "c0=0x1b3a6b:c1=0xd9a441:c2=0x4c2a59" -c:a flac
track "$work/Greensleeves.m4a" "$work/greensleeves.wav" "Greensleeves" "Traditional" "Plucked" "c0=0x0f5132:c1=0xa7d129:c2=0x1d3557" -c:a aac -b:a 160k
track "$work/Ode to Joy.mp3" "$work/ode.wav" "Ode to Joy" "Ludwig van Beethoven" "Plucked" "c0=0x8c2f39:c1=0xf4a259:c2=0x2d3142" -c:a libmp3lame -b:a 192k -id3v2_version 3
track "$work/Prelude in C.ogg" "$work/prelude.wav" "Prelude in C" "Johann Sebastian Bach" "Plucked" "c0=0x3d348b:c1=0xf35b04:c2=0x7678ed" -c:a libvorbis -q:a 6

cp "$work/A Dive into Mandelbrot.mp4" "$work/Northern Lights.mkv" "$work/Slow Life.webm" \
  "$work/Canon in D.flac" "$work/Greensleeves.m4a" "$work/Ode to Joy.mp3" "$root/tracker/"
cp "$work/A Dive into Mandelbrot.mp4" "$work/Northern Lights.mkv" "$work/Canon in D.flac" "$work/Ode to Joy.mp3" "$root/peer-a/"
cp "$work/A Dive into Mandelbrot.mp4" "$work/Slow Life.webm" "$work/Test Card.ts" \
  "$work/Canon in D.flac" "$work/Greensleeves.m4a" "$work/Prelude in C.ogg" "$root/peer-b/"
rm -r "$work"
touch "$complete"
echo "library: $(find "$root" -type f -size +1k | wc -l) files, $(du -sh "$root" | cut -f1)"
