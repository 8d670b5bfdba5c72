# Writes each stage's slice of a preset into a file of its own, and leaves a file alone whose
# content would not change: the files are Make's view of which settings a stage depends on.
#
#   awk -v preset=pipeline/tiny.yaml -v out=runs/tiny/.preset/ -v inputs="TEACHER=a STUDENT=b" \
#     -f pipeline/slices.awk
#
# Comments, blank lines and the order of keys do not count; `extends` is followed. This reads the
# plain YAML of presets, two levels deep; the programs read it in full and judge it.

BEGIN {
  read_preset(preset, 0)
  slice("data", "synthesize", "", "")
  slice("samples", "prepare", "", "DATASET IMAGES STUDENT")
  slice("features-teacher", "extract", "student_layers", "TEACHER")
  slice("features-student", "extract", "teacher_layers", "STUDENT")
  slice("verbalizers", "verbalize", "", "")
  slice("targets", "target", "", "")
  slice("adapter", "align", "", "STUDENT")
  slice("model", "finetune", "", "STUDENT")
  slice("evaluation", "evaluate", "", "BENCHMARK")
  slice("report", "report", "", "")
  save("threads", value_of("run", "threads", "0"))
  save("embedded", ("synthesize" in sections) ? "yes" : "no")
}

# Base files first, so that a file's own keys overwrite those of the file that it extends.
function read_preset(file, depth,   line, n, lines, i, base, folder) {
  if (depth > 20) return
  n = 0
  while ((getline line < file) > 0) lines[++n] = line
  close(file)
  for (i = 1; i <= n; i++)
    if (lines[i] ~ /^extends[ \t]*:/) {
      base = clean(lines[i])
      sub(/^extends[ \t]*:[ \t]*/, "", base)
      gsub(/["']/, "", base)
      folder = file
      if (base !~ /^\// && sub(/\/[^\/]*$/, "/", folder)) base = folder base
      read_preset(base, depth + 1)
    }
  parse(lines, n)
}

function parse(lines, n,   i, line, indent, depth, section, key) {
  section = ""
  key = ""
  for (i = 1; i <= n; i++) {
    line = clean(lines[i])
    if (line == "" || line ~ /^---/) continue
    match(line, /^[ \t]*/)
    depth = RLENGTH
    line = substr(line, depth + 1)
    if (depth == 0) {
      section = line
      sub(/[ \t]*:.*$/, "", section)
      sections[section] = 1
      indent = 0
      sub(/^[^:]*:[ \t]*/, "", line)
      if (line != "") settings[section, "{}"] = line
      continue
    }
    if (indent == 0) indent = depth
    if (depth == indent && line !~ /^-/) {
      key = line
      sub(/[ \t]*:.*$/, "", key)
      settings[section, key] = line
    } else {
      settings[section, key] = settings[section, key] " / " line
    }
  }
}

# A line without its comment; one with quotes keeps it, rather than cutting a quoted `#`.
function clean(line) {
  sub(/\r$/, "", line)
  if (line ~ /^[ \t]*#/) return ""
  if (line !~ /["']/) sub(/[ \t]#.*$/, "", line)
  sub(/[ \t]+$/, "", line)
  return line
}

function value_of(section, key, otherwise,   text) {
  if (!((section, key) in settings)) return otherwise
  text = settings[section, key]
  sub(/^[^:]*:[ \t]*/, "", text)
  return text
}

function slice(name, section, but, needed,   pair, parts, keys, n, i, j, text, words, count, swap) {
  n = 0
  for (pair in settings) {
    split(pair, parts, SUBSEP)
    if (parts[1] == section && parts[2] != but) keys[++n] = parts[2]
  }
  for (i = 2; i <= n; i++)
    for (j = i; j > 1 && keys[j] < keys[j - 1]; j--) {
      swap = keys[j]
      keys[j] = keys[j - 1]
      keys[j - 1] = swap
    }
  text = section ":"
  for (i = 1; i <= n; i++) text = text "\n  " settings[section, keys[i]]
  if (section ~ /^(verbalize|align|finetune)$/) text = text "\nseed " value_of("run", "seed", "0")
  count = split(inputs, words, " ")
  for (i = 1; i <= count; i++) {
    split(words[i], parts, "=")
    if (index(" " needed " ", " " parts[1] " ")) text = text "\n" words[i]
  }
  save(name, text)
}

function save(name, text,   file, old, line) {
  file = out name
  old = ""
  while ((getline line < file) > 0) old = old line "\n"
  close(file)
  if (old == text "\n") return
  print text > file
  close(file)
}
