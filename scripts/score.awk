# Turns a score into an ffmpeg expression of time: one plucked voice that repeats for ever.
#
#   awk -v beat=0.4 -v decay=3 -f score.awk <<< 'E4 E4 F4 G4:2 -:1'
#
# A token is NOTE[:BEATS]; NOTE is a letter, an optional # or b, and an octave, or - for a rest. Middle C is C4.
# The expression finds the note of the moment by a binary search over the starts, so its cost grows with the logarithm
# of the length of the score.

# An unset count would be the empty string as an index, and the first note lost.
BEGIN { count = 0; now = 0 }
BEGIN { split("C 0 D 2 E 4 F 5 G 7 A 9 B 11", pairs, " "); for (i = 1; i < 14; i += 2) semitone[pairs[i]] = pairs[i + 1] }

{
  for (i = 1; i <= NF; i++) {
    beats = 1; name = $i
    if (split($i, part, ":") == 2) { name = part[1]; beats = part[2] }
    start[count] = now; seconds[count] = beats * beat; hertz[count] = pitch(name)
    now += beats * beat; count++
  }
}

END {
  # Registers: 0 time in the loop, 1 frequency, 2 time since the note began, 3 time until it ends, 4 phase.
  printf "st(0,mod(t,%.6f))*0+", now
  lookup(0, count)
  printf "+st(4,2*PI*ld(1)*ld(2))*0"
  printf "+0.5*min(1,ld(2)/0.006)*min(1,ld(3)/0.03)*exp(-%s*ld(2))", decay
  printf "*(sin(ld(4))+0.45*sin(2*ld(4))*exp(-2*ld(2))+0.2*sin(3*ld(4))*exp(-4*ld(2))+0.08*sin(5*ld(4))*exp(-7*ld(2)))\n"
}

# Prints as it goes: a long score does not fit the string buffers of every awk.
function lookup(from, to,   middle) {
  if (to - from == 1) {
    printf "(st(1,%.3f)+st(2,ld(0)-%.6f)+st(3,%.6f-ld(0)))*0", hertz[from], start[from], start[from] + seconds[from]
    return
  }
  middle = int((from + to) / 2)
  printf "if(lt(ld(0),%.6f),", start[middle]
  lookup(from, middle)
  printf ","
  lookup(middle, to)
  printf ")"
}

function pitch(name,   letter, rest, shift) {
  if (name == "-") return 0
  letter = substr(name, 1, 1); rest = substr(name, 2); shift = 0
  if (substr(rest, 1, 1) == "#") { shift = 1; rest = substr(rest, 2) }
  if (substr(rest, 1, 1) == "b") { shift = -1; rest = substr(rest, 2) }
  return 440 * exp(log(2) * (12 * (rest + 1) + semitone[letter] + shift - 69) / 12)
}
