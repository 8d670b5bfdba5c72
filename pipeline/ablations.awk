# From a list of cells (ablations.txt tells its form) to what Make runs: a preset for every cell, its
# slices, and the rules of all cells over all seeds. ablations.mk calls it.
#
# What cells have in common is made once: an artifact is known by its stage's slice of the preset and
# by the artifacts that it is made from, and bears the name of the first cell that needs it; `own`,
# where the run's own preset would make the same. Samples and features of the run's own are its own.

BEGIN {
  home = "runs/" run
  folder = list  # runs/NAME/ablations for ablations.txt
  sub(/.*\//, "", folder)
  sub(/\.[^.]*$/, "", folder)
  folder = home "/" folder
  system("mkdir -p " folder "/presets " folder "/settings")
  own = "own"
  student[own] = run_student
  teacher[own] = run_teacher
  slice_of(own)
  write_slices()
  read_list()
  choose()
  data = place("data", data_key(own), home "/data")
  samples = place("samples", samples_key(own, data), home "/samples")
  place("features/teacher", features_key(own, samples, "teacher"), home "/features/teacher")
  place("features/student", features_key(own, samples, "student"), home "/features/student")
  rules = folder "/rules.mk"
  places = folder "/evaluations.tsv"
  printf "" > rules
  printf "" > places
  for (c = 1; c <= cells; c++) slice_of(names[c])
  write_slices()
  n = split(seeds, seed_list, " ")
  for (s = 1; s <= n; s++) {
    evaluation_of(own, seed_list[s])
    for (c = 1; c <= cells; c++) {
      evaluation = evaluation_of(names[c], seed_list[s])
      print names[c] "\t" seed_list[s] "\t" evaluation > places
      if (names[c] in chosen) print "ablated-" run ": " evaluation "/manifest.json" > rules
    }
  }
}

# MARK: The list

function read_list(   line, number, fields, n, comparison) {
  while ((getline line < list) > 0) {
    number++
    sub(/\r$/, "", line)
    if (line ~ /^[ \t]*(#|$)/) continue
    if (line ~ /^\[[a-z0-9-]+\]/) {
      comparison = substr(line, 2, index(line, "]") - 2)
      comparisons[comparison] = 1
      continue
    }
    n = split(line, fields, /[ \t]*\|[ \t]*/)
    sub(/^[ \t]+/, "", fields[1])
    if (n != 4 || comparison == "" || fields[1] !~ /^[a-z0-9.-]+$/ || fields[1] == own)
      refuse(list ":" number ": expected [comparison], or: cell | label | figures | settings")
    if (fields[1] in member) refuse(list ":" number ": the cell " fields[1] " stands twice")
    names[++cells] = fields[1]
    member[fields[1]] = comparison
    write_preset(fields[1], fields[2], fields[4], list ":" number)
  }
  if (!cells) refuse(list ": no cells, or no such file")
}

function choose(   words, n, i, c, found) {
  n = split(wanted, words, /[ ,]+/)
  for (c = 1; c <= cells; c++) if (n == 0) chosen[names[c]] = 1
  for (i = 1; i <= n; i++) {
    if (words[i] == "") continue
    found = 0
    for (c = 1; c <= cells; c++)
      if (names[c] == words[i] || member[names[c]] == words[i]) {
        chosen[names[c]] = 1
        found = 1
      }
    if (!found) refuse("CELLS: " list " has neither a comparison nor a cell " words[i])
  }
}

function refuse(message) {
  print "error: " message > "/dev/stderr"
  failed = 1
  exit 64
}

# A preset that extends the run's own by the settings of a cell; student and teacher have no section.
function write_preset(cell, label, settings, at,   words, n, i, key, value, section, sections, text) {
  student[cell] = run_student
  teacher[cell] = run_teacher
  n = split(settings, words, /[ \t]+/)
  for (i = 1; i <= n; i++) {
    if (words[i] == "") continue
    key = words[i]
    if (!sub(/=.*/, "", key)) refuse(at ": expected SECTION.KEY=VALUE, found " words[i])
    value = substr(words[i], length(key) + 2)
    if (value == "@total") {
      length_key = counts(own, "adapter")
      if (length_key != counts(own, "model"))
        refuse(at ": @total adds up align and finetune, of which one counts steps, the other epochs")
      value = number(own, "adapter", length_key) + number(own, "model", length_key)
      # The cosine of a stage that takes all steps is as long as the stage, which 0 says too.
      if (length_key == "epochs" && key ~ /schedule_steps$/) value = 0
      else if (length_key == "epochs") sub(/steps$/, "epochs", key)
    }
    if (value == "@warmup") value = number(own, "adapter", "warmup_steps")
    if (key == "student") { student[cell] = value; continue }
    if (key == "teacher") { teacher[cell] = value; continue }
    section = key
    if (!sub(/\..*/, "", section)) refuse(at ": expected SECTION.KEY=VALUE, found " words[i])
    sections[section] = sections[section] "  " substr(key, length(section) + 2) ": " value "\n"
  }
  text = "# " label "; written by make ablate-" run " from " list "\n"
  text = text "extends: ../../../../" preset "\n"
  for (section in sections) text = text "\n" section ":\n" sections[section]
  printf "%s", text > preset_of(cell)
  close(preset_of(cell))
}

function preset_of(cell) {
  return cell == own ? preset : folder "/presets/" cell ".yaml"
}

# MARK: Slices

# Notes a cell for the next write_slices, beside those with the same checkpoints.
function slice_of(cell,   brings) {
  if (student[cell] != run_student) brings = brings "STUDENT=" student[cell] " "
  if (teacher[cell] != run_teacher) brings = brings "TEACHER=" teacher[cell] " "
  variants[brings] = variants[brings] " --variant " cell "=" preset_of(cell)
}

# Without the preset's seed: each seed of the ablations has folders of its own.
function write_slices(   brings, code) {
  for (brings in variants) {
    code = system(brings bin "/vlsi-plan --seedless --slices " folder "/settings" variants[brings] \
      " > /dev/null")
    if (code) exit code
    delete variants[brings]
  }
}

function slice_file(cell, name) { return folder "/settings/" cell "." name }

function slice(cell, name,   file, line, text) {
  file = slice_file(cell, name)
  if (file in slices) return slices[file]
  while ((getline line < file) > 0) text = text line "\n"
  close(file)
  return slices[file] = text
}

# A whole number that a slice names.
function number(cell, name, key,   text) {
  text = slice(cell, name)
  match(text, "\n  " key ": [0-9.]+")
  text = substr(text, RSTART, RLENGTH)
  sub(/.* /, "", text)
  return text + 0
}

# What the length of a training is counted in: steps or epochs.
function counts(cell, name) { return slice(cell, name) ~ /\n  steps: null\n/ ? "epochs" : "steps" }

# Whether anything learns in it.
function trains(cell, name) { return number(cell, name, counts(cell, name)) > 0 }

# MARK: Artifacts and what they are made from

# The folder of what is known by `key`: one that has it already, else `otherwise`.
function place(kind, key, otherwise) {
  key = kind SUBSEP key
  if (!(key in folders)) folders[key] = otherwise
  return folders[key]
}

function data_key(cell) { return slice(cell, "data") }
function samples_key(cell, data) { return data SUBSEP student[cell] SUBSEP slice(cell, "samples") }
function features_key(cell, samples, role) {
  return samples SUBSEP (role == "teacher" ? teacher[cell] : student[cell]) SUBSEP \
    slice(cell, "features-" role)
}

# Whether the student's features hold visual embeddings, which later stages then read.
function stores(cell) { return slice(cell, "features-student") ~ /\n  store_visual: "true"\n/ }
function seen_file(seen) { return seen == "" ? "" : " " seen "/manifest.json" }
function seen_option(seen) { return seen == "" ? "" : " --features " seen }

# A rule, unless it stands already or is the run's own.
function rule(target, needs, cell, stage, program, arguments) {
  if ((target in ruled) || index(target, folder "/") != 1) return
  ruled[target] = 1
  printf "%s: %s %s | $(BUILT)\n\t$(BIN)/vlsi-%s --preset %s%s %s --output $(@D)\n\t@touch $@\n", \
    target, needs, slice_file(cell, stage), program, preset_of(cell), threads, arguments > rules
}

function files_of(checkpoint) {
  if (checkpoint == run_student) return student_files
  if (checkpoint == run_teacher) return teacher_files
  return "$(call checkpoint," checkpoint ")"
}

function features_of(cell, role, samples,   at, model) {
  model = role == "teacher" ? teacher[cell] : student[cell]
  at = place("features/" role, features_key(cell, samples, role), \
    folder "/features/" role "/" cell)
  rule(at "/manifest.json", samples "/manifest.json " files_of(model), cell, "features-" role, \
    "extract", "--role " role " --model " model " --samples " samples)
  return at
}

function verbalizers_of(cell, role, features, seed,   at) {
  at = place("verbalizers/" role, seed SUBSEP features SUBSEP slice(cell, "verbalizers"), \
    folder "/seed-" seed "/verbalizers/" role "/" cell)
  rule(at "/manifest.json", features "/manifest.json", cell, "verbalizers", "verbalize", \
    "--seed " seed " --model " (role == "teacher" ? teacher[cell] : student[cell]) \
    " --features " features)
  return at
}

function adapter_of(cell, samples, seed,   heard, seen, spoken, speech, targets, at) {
  heard = features_of(cell, "teacher", samples)
  seen = features_of(cell, "student", samples)
  spoken = verbalizers_of(cell, "teacher", heard, seed)
  speech = verbalizers_of(cell, "student", seen, seed)
  targets = place("targets", spoken SUBSEP student[cell] SUBSEP slice(cell, "targets"), \
    folder "/seed-" seed "/targets/" cell)
  rule(targets "/manifest.json", heard "/manifest.json " spoken "/manifest.json " \
    files_of(student[cell]), cell, "targets", "target", "--teacher " teacher[cell] \
    " --student " student[cell] " --features " heard " --verbalizers " spoken)
  at = place("adapter", speech SUBSEP targets SUBSEP slice(cell, "adapter"), \
    folder "/seed-" seed "/adapter/" cell)
  seen = stores(cell) ? seen : ""
  rule(at "/manifest.json", samples "/manifest.json " speech "/manifest.json " targets \
    "/manifest.json" seen_file(seen), cell, "adapter", "align", "--seed " seed " --student " \
    student[cell] " --samples " samples seen_option(seen) " --verbalizers " speech " --targets " \
    targets)
  return at
}

# The model of a cell: the student itself where nothing learns, no adapter where align does nothing.
function model_of(cell, seed,   data, samples, adapter, seen, at) {
  adapter = trains(cell, "adapter") ? "needed" : ""
  if (adapter == "" && !trains(cell, "model")) return student[cell]
  data = place("data", data_key(cell), folder "/data/" cell)
  if (embedded)
    rule(data "/synthesis.json", "", cell, "data", "synthesize data", "")
  samples = place("samples", samples_key(cell, data), folder "/samples/" cell)
  rule(samples "/manifest.json", embedded ? data "/synthesis.json" : dataset_files, cell, "samples", \
    "prepare", "--dataset " (embedded ? data "/train.json" : dataset images) \
    " --model " student[cell])
  if (adapter != "") adapter = adapter_of(cell, samples, seed)
  seen = stores(cell) ? features_of(cell, "student", samples) : ""
  at = place("model", samples SUBSEP adapter SUBSEP student[cell] SUBSEP seed SUBSEP \
    slice(cell, "model"), folder "/seed-" seed "/model/" cell)
  rule(at "/manifest.json", samples "/manifest.json " \
    (adapter != "" ? adapter "/manifest.json" : files_of(student[cell])) seen_file(seen), cell, \
    "model", "finetune", "--seed " seed " --model " student[cell] \
    (adapter != "" ? " --adapter " adapter : "") " --samples " samples seen_option(seen))
  return at
}

function evaluation_of(cell, seed,   model, trained, at) {
  model = model_of(cell, seed)
  trained = index(model, folder "/") == 1
  at = place("evaluation", model SUBSEP slice(cell, "evaluation"), \
    folder "/" (trained ? "seed-" seed "/" : "") split_name "/" cell)
  rule(at "/manifest.json", held_out " " (trained ? model "/manifest.json" : files_of(model)), \
    cell, "evaluation", "evaluate", "--model " model " --benchmark " benchmark images)
  return at
}
