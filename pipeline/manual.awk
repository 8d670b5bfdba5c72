# A man page of what a program says of itself: `vlsi-x --help | awk -v name=vlsi-x -v version=0.1.0 -f manual.awk`.
# Swift's ArgumentParser prints an overview, then sections whose names stand in capitals before a colon.
function plain(text) {
  gsub(/\\/, "\\e", text)
  gsub(/-/, "\\-", text)
  if (text ~ /^[.']/) text = "\\&" text
  return text
}
function trimmed(text) { sub(/^ +/, "", text); return text }
/^OVERVIEW: / {
  overview = substr($0, 11)
  while ((getline line) > 0 && line != "") overview = overview " " trimmed(line)
  printf ".TH %s 1 \"\" \"vlsi %s\" \"User Commands\"\n.SH NAME\n%s \\- %s\n", toupper(name), version, name, plain(overview)
  section = "description"
  next
}
/^USAGE: / {
  usage = substr($0, 8)
  while ((getline line) > 0 && line != "") usage = usage " " trimmed(line)
  printf ".SH SYNOPSIS\n%s\n", plain(usage)
  if (described != "") printf ".SH DESCRIPTION\n%s", described
  section = ""
  next
}
/^[A-Z][A-Z ]*:$/ {
  printf ".SH %s\n", substr($0, 1, length($0) - 1)
  section = "list"
  next
}
section == "description" && $0 != "" {
  described = described ($0 ~ /^  / ? ".br\n" : "") plain(trimmed($0)) "\n"
  next
}
# An option and its words, beside it or below; two blanks before it.
section == "list" && /^  [^ ]/ {
  entry = trimmed($0)
  words = ""
  if (match(entry, /  +/)) {
    words = substr(entry, RSTART + RLENGTH)
    entry = substr(entry, 1, RSTART - 1)
  }
  if (entry ~ /^See '/) { printf ".PP\n%s\n", plain(entry); next }
  printf ".TP\n.B %s\n", plain(entry)
  if (words != "") print plain(words)
  next
}
section == "list" && $0 != "" { print plain(trimmed($0)) }
