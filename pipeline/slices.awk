# Writes each stage's slice of a preset into a file of its own, and leaves a file alone whose
# content would not change: the files are Make's view of which settings a stage depends on.
#
#   TEACHER=a STUDENT=b awk -v preset=pipeline/tiny.yaml -v out=runs/tiny/.preset/ -v seed=5 \
#     -f pipeline/slices.awk
#
# Comments, blank lines and the order of keys do not count; `extends` is followed. This reads the
# plain YAML of presets, two levels deep; the programs read it in full and judge it. The inputs come
# from the environment, where no letter of theirs means anything; `seed`, from the command line,
# comes before the preset's, and `none` leaves it out.

BEGIN {
  # Keys that say how a stage works, not what comes out: not in its slice, nor is `run.threads`.
  execution["run.threads"]
  execution["prepare.max_reject_share"]
  execution["extract.tokens_per_batch"]
  execution["verbalize.checkpoint_minutes"]
  execution["align.gradient_checkpointing"]
  execution["align.checkpoint_minutes"]
  execution["finetune.tokens_per_batch"]
  execution["finetune.gradient_checkpointing"]
  execution["finetune.checkpoint_minutes"]
  execution["evaluate.batch"]
  execution["evaluate.max_reject_share"]

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

function parse(lines, n,   i, line, indent, depth, section, key, flow) {
  section = ""
  key = ""
  for (i = 1; i <= n; i++) {
    line = clean(lines[i])
    if (line == "" || line ~ /^---/) continue
    match(line, /^[ \t]*/)
    depth = RLENGTH
    line = substr(line, depth + 1)
    if (flow != "") {  # a {…} that goes on over several lines
      flow = flow " " line
    } else if (depth == 0) {
      section = name_in(line)
      sections[section] = 1
      indent = 0
      sub(/^[^:]*:[ \t]*/, "", line)
      if (line ~ /^[{]/) flow = line
      else if (line != "") settings[section, "{}"] = line
    } else {
      if (indent == 0) indent = depth
      if (depth == indent && line !~ /^-/) {
        key = name_in(line)
        settings[section, key] = line
      } else {
        settings[section, key] = settings[section, key] " / " line
      }
    }
    if (flow != "" && parse_flow(section, flow)) flow = ""
  }
}

# The keys of a section that stands in braces; whether the braces are closed.
function parse_flow(section, text,   i, letter, quote, open, entry) {
  for (i = 1; i <= length(text); i++) {
    letter = substr(text, i, 1)
    if (quote != "") {
      if (letter == quote) quote = ""
    } else if (letter == "\"" || letter == "'") {
      quote = letter
    } else if (letter ~ /[{[]/) {
      if (++open == 1) continue
    } else if (letter ~ /[]}]/) {
      if (--open == 0) {
        flow_entry(section, entry)
        return 1
      }
    } else if (letter == "," && open == 1) {
      flow_entry(section, entry)
      entry = ""
      continue
    }
    entry = entry letter
  }
  return 0
}

function flow_entry(section, entry) {
  gsub(/^[ \t]+|[ \t]+$/, "", entry)
  if (entry != "") settings[section, name_in(entry)] = entry
}

# What stands before the colon, without quotes.
function name_in(line) {
  sub(/[ \t]*:.*$/, "", line)
  gsub(/["']/, "", line)
  return line
}

# A line without its comment: a `#` behind a blank, outside quotes. An apostrophe within a word
# opens none.
function clean(line,   i, letter, before, quote) {
  sub(/\r$/, "", line)
  before = " "
  for (i = 1; i <= length(line); i++) {
    letter = substr(line, i, 1)
    if (quote != "") {
      if (letter == quote) quote = ""
    } else if ((letter == "\"" || letter == "'") && before ~ /[ \t,:{[]/) {
      quote = letter
    } else if (letter == "#" && before ~ /[ \t]/) {
      line = substr(line, 1, i - 1)
      break
    }
    before = letter
  }
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
    if (parts[1] != section || parts[2] == but || (section "." parts[2]) in execution) continue
    keys[++n] = parts[2]
  }
  for (i = 2; i <= n; i++)
    for (j = i; j > 1 && keys[j] < keys[j - 1]; j--) {
      swap = keys[j]
      keys[j] = keys[j - 1]
      keys[j - 1] = swap
    }
  text = section ":"
  for (i = 1; i <= n; i++) text = text "\n  " settings[section, keys[i]]
  if (section ~ /^(verbalize|align|finetune)$/ && seed != "none")
    text = text "\nseed " (seed != "" ? seed : value_of("run", "seed", "0"))
  count = split(needed, words, " ")
  for (i = 1; i <= count; i++)
    if (ENVIRON[words[i]] != "") text = text "\n" words[i] "=" ENVIRON[words[i]]
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
