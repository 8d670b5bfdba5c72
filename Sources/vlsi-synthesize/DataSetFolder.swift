import Artifacts
import Failures
import Foundation
import StageKit
import Synchronization

/// Writes a data set into a folder beside the wanted one and moves it there when it is whole: a
/// folder of that name is always a finished data set.
struct DataSetFolder {
  static let facts = "synthesis.json"

  let maker: DataSetMaker
  let splits: [Split]
  let stage: Stage

  /// What the folder's facts must say for it to be this data set.
  private var settings: String {
    SettingValue.object([
      ("seed", .string(String(maker.seed))),
      ("splits", .list(splits.map { .string($0.rawValue) })),
      ("limit", stage.limit.map { .int($0) } ?? .null),
      ("synthesize", maker.settings.settings),
    ]).json
  }

  /// Writes the data set to `path`, or leaves a finished one of the same settings as it is.
  /// - Throws: `Failure` 73 when the folder exists and holds something else, or cannot be made;
  ///   74 when writing fails; 75 after a signal.
  func write(to path: String) throws {
    let manager = FileManager.default
    let path = Files.trimmed(path)
    let existing = (try? manager.contentsOfDirectory(atPath: path)) ?? []
    if existing.contains(DataSetFolder.facts),
      let text = manager.contents(atPath: "\(path)/\(DataSetFolder.facts)"),
      String(decoding: text, as: UTF8.self).contains("\"settings\": \(settings)")
    {
      stage.log.info("\(path) is already this data set; nothing to do")
      return
    }
    if manager.fileExists(atPath: path), !existing.contains(DataSetFolder.facts),
      !existing.isEmpty || !isFolder(path)
    {
      throw Failure(
        .cannotCreate, "exists and is no data set of this program", at: path,
        advice: "Name another folder with --output, or remove this one.")
    }
    let partial = path + ".partial"
    try? manager.removeItem(atPath: partial)
    do {
      try writeParts(to: partial)
    } catch {
      try? manager.removeItem(atPath: partial)
      throw error
    }
    do {
      if manager.fileExists(atPath: path) { try manager.removeItem(atPath: path) }
      try manager.moveItem(atPath: partial, toPath: path)
    } catch {
      throw Failure(
        .cannotCreate, "the finished data set cannot be moved into place", at: path,
        found: reason(error), advice: "Check the folder's rights.")
    }
    stage.log.info("\(path) is written")
  }

  private func isFolder(_ path: String) -> Bool {
    var isFolder: ObjCBool = false
    return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
      && isFolder.boolValue
  }

  private func writeParts(to folder: String) throws {
    var summaries: [SplitSummary] = []
    for split in splits {
      let items = limited(maker.items(split))
      var summary = SplitSummary(split: split, items: items)
      if split == .test || split == .validation {
        summary.guessed = maker.guessing().accuracy(items)
      }
      summaries.append(summary)
      stage.log.info("\(summary)")
      try paint(items, in: folder, name: split.rawValue)
      switch split {
      case .test, .validation:
        try save(DataSetText.table(items), to: "\(folder)/\(split.rawValue).tsv")
      case .train, .pretrain, .lookup:
        try save(DataSetText.conversations(items), to: "\(folder)/\(split.rawValue).json")
      }
      if split == .pretrain {
        let dense = limited(maker.denseItems())
        try paint(dense, in: folder, name: "dense")
        try save(
          DataSetText.denseLabels(dense, queries: maker.queries),
          to: "\(folder)/pretrain-dense.json")
      }
    }
    try save(card(summaries), to: "\(folder)/README.md")
    let parts = SettingValue.object(summaries.map { ($0.split.rawValue, $0.facts) }).json
    try save(
      "{\"format_version\": 1, \"program\": \"\(Synthesize.name) data \(Version.current)\",\n"
        + "\"settings\": \(settings),\n\"splits\": \(parts)}\n",
      to: "\(folder)/\(DataSetFolder.facts)")
  }

  private func limited(_ items: [Item]) -> [Item] {
    stage.limit.map { Array(items.prefix($0)) } ?? items
  }

  /// Paints all items, `stage.threads` at a time; an image is a function of its item alone.
  private func paint(_ items: [Item], in folder: String, name: String) throws {
    let directory = "\(folder)/images/\(name)"
    do {
      try FileManager.default.createDirectory(
        atPath: directory, withIntermediateDirectories: true)
    } catch {
      throw Failure(
        .cannotCreate, "the folder cannot be made", at: directory,
        found: reason(error), advice: "Check the rights and the free space.")
    }
    let painter = Painter(scans: maker.scans)
    let progress = stage.progress(total: items.count, unit: "images", label: name)
    let failure = Mutex<(any Error)?>(nil)
    let chunk = 64
    DispatchQueue.concurrentPerform(iterations: stage.threads) { [stage] thread in
      for start in stride(from: thread * chunk, to: items.count, by: chunk * stage.threads) {
        let range = start..<min(start + chunk, items.count)
        do {
          try stage.checkInterrupt()
          guard failure.withLock({ $0 == nil }) else { return }
          for item in items[range] {
            var generator = item.generator
            let pixels = painter.paint(
              item.scene, varied: !["test", "validation"].contains(name), &generator)
            try save(
              PlainPNG.encode(pixels, width: Painter.side, height: Painter.side),
              to: "\(folder)/\(item.image)")
          }
        } catch {
          failure.withLock { $0 = $0 ?? error }
          return
        }
        progress.advance(range.count)
      }
    }
    if let error = failure.withLock({ $0 }) { throw error }
    progress.finish()
  }

  private func save(_ text: String, to path: String) throws {
    try save(Array(text.utf8), to: path)
  }

  private func save(_ bytes: [UInt8], to path: String) throws {
    // Not `Data.write`: that waits for the disk at every file, and there are thousands.
    guard let file = fopen(path, "wb") else {
      throw Failure(
        .cannotCreate, "cannot be created", at: path, found: String(cString: strerror(errno)),
        advice: "Check the rights and the free space.")
    }
    let written = bytes.withUnsafeBytes { fwrite($0.baseAddress, 1, $0.count, file) }
    guard fclose(file) == 0, written == bytes.count else {
      throw Failure(
        .ioFailed, "cannot be written", at: path, found: String(cString: strerror(errno)),
        advice: "Is the disk full?")
    }
  }

  /// The data set card.
  private func card(_ summaries: [SplitSummary]) -> String {
    let share = maker.settings.wrongAnswerShare
    let header = "| split | images | questions | wrong answers |"
    let rows = summaries.map {
      "| \($0.split.rawValue) | \($0.images) | \($0.questions) | \($0.wrong) |"
    }
    let test = summaries.first { $0.split == .test }?.guessed
    func percent(_ share: Double?) -> String {
      share.map { "\(($0 * 1000).rounded() / 10)%" } ?? "-"
    }
    let names = summaries.map(\.split.rawValue) + ["guessed in test"]
    var tasks = "| task | \(names.joined(separator: " | ")) |\n|---|"
    tasks += names.map { _ in "---:|" }.joined()
    for task in Task.allCases {
      let counts = summaries.map { String($0.byTask[task, default: 0]) }
      let cells = counts + [percent(test?.tasks[task])]
      tasks += "\n| \(task.rawValue) | \(cells.joined(separator: " | ")) |"
    }
    return """
      # Tiny scenes

      Pictures of 64 × 64 pixels, a grid of 4 × 4 cells with objects, bars or handwritten digits,
      and questions about them, answered in short sentences. Made by
      `\(Synthesize.name) data` \(Version.current) with seed \(maker.seed): the same seed gives the same bytes.

      \(header)
      |---|---:|---:|---:|
      \(rows.joined(separator: "\n"))

      \(tasks)

      **Guessing** is what one reaches without the picture: to each question its most frequent answer
      in training scenes; over all test questions \(percent(test?.overall)).

      **Wrong answers.** A share of \(share) of the answers in `train.json` is wrong on purpose
      (another word of the same class, or yes and no swapped), as instruction data made by machines
      is in part. All other splits are right throughout. State the share beside every score.

      **Splits.** The pool of a scene (training, validation, test) is a hash of what it shows, so no
      scene and no scan of a digit is in two pools, whatever the seeds. `train` and `pretrain` share
      the training pool.

      **Files.** `train.json`, `pretrain.json`: LLaVA conversations. `pretrain-dense.json`: the
      same with `visual_labels`, a word for every cell in raster order. `test.tsv`,
      `validation.tsv`: VLMEvalKit's columns. Paths of images are relative to this folder.

      **Licence of the digits.** E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten
      Digits, UCI Machine Learning Repository, 1998, https://doi.org/10.24432/C50P49, CC BY 4.0;
      scaled, and for training turned and shifted a little.

      """
  }
}

/// What a split holds, counted.
struct SplitSummary: CustomStringConvertible {
  var split: Split
  var images: Int
  var questions: Int
  var wrong: Int
  /// Questions that are answered wrong, by item, counted from 0.
  var wrongQuestions: [(id: String, questions: [Int])] = []
  var byTask: [Task: Int] = [:]
  /// What guessing from the question reaches, for the splits that are scored.
  var guessed: (overall: Double, tasks: [Task: Double])?

  init(split: Split, items: [Item]) {
    self.split = split
    images = items.count
    questions = items.reduce(0) { $0 + $1.questions.count }
    wrong = items.reduce(0) { $0 + $1.wrongAnswers }
    wrongQuestions = items.filter { $0.wrongAnswers > 0 }.map { item in
      (item.id, item.questions.indices.filter { item.questions[$0].answer != item.given[$0] })
    }
    for item in items { for question in item.questions { byTask[question.task, default: 0] += 1 } }
  }

  var facts: SettingValue {
    .object([
      ("images", .int(images)), ("questions", .int(questions)), ("wrong_answers", .int(wrong)),
      ("wrong", .object(wrongQuestions.map { ($0.id, .list($0.questions.map { .int($0) })) })),
      ("tasks", .object(Task.allCases.map { ($0.rawValue, .int(byTask[$0, default: 0])) })),
      (
        "guessing",
        guessed.map { guessed in
          .object(
            [("overall", .number(guessed.overall))]
              + Task.allCases.map { ($0.rawValue, .number(guessed.tasks[$0, default: 0])) })
        } ?? .null
      ),
    ])
  }

  var description: String {
    "\(split.rawValue): \(images) images, \(questions) questions, \(wrong) wrong answers"
  }
}
