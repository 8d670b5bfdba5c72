import Artifacts
import Checkpoints
import Failures
import Kernels
import StageKit

/// What is different between two artifacts, checkpoints or files.
struct Difference {
  /// What is different, and how: by both values, or in words.
  private var settings: [SettingDifference] = []
  private var lines: [(place: String, what: String)] = []
  private let left: Subject
  private let right: Subject
  /// Differences beyond these are counted only.
  private static let shown = 40

  init(_ left: Subject, _ right: Subject, limit: Int?) throws {
    self.left = left
    self.right = right
    switch (left.kind, right.kind) {
    case (.artifact(let a), .artifact(let b)):
      guard a.kind == b.kind else {
        throw Failure(
          .badData, "artifacts of different kinds", at: right.path, expected: a.kind.rawValue,
          found: b.kind.rawValue)
      }
      settings = SettingDifference.all(Difference.recipe(a), Difference.recipe(b))
      if a.shards.isEmpty {
        compareFiles(a, b)
        if let x = try? left.files(), let y = try? right.files() { try compare(x, y) }
      } else if a.shards.map(\.checksum) != b.shards.map(\.checksum) {
        try compareRecords(limit)
      }
    case (.run(let a), .run(let b)):
      settings = SettingDifference.all(a.settings, b.settings, common: true)
      let (x, y) = (Set(a.artifacts.map(a.place)), Set(b.artifacts.map(b.place)))
      for place in x.symmetricDifference(y).sorted(by: naturallyPrecedes) {
        lines.append((place, "in \(x.contains(place) ? left.path : right.path) only"))
      }
    case (.shard(let a), .shard(let b)):
      try compareRecords(
        a.indices, b.indices, limit: limit, first: a.record, second: b.record)
    default:
      try compare(left.files(), right.files())
    }
  }

  /// Settings, inputs and seed.
  private static func recipe(_ manifest: Manifest) -> [(name: String, value: JSON)] {
    manifest.settings.leaves()
      + manifest.inputs.map { ("input \($0.key)", .string($0.value)) }
      + [("seed", manifest.seed.map { .string("\($0)") } ?? .string("none"))]
  }

  private mutating func compare(_ what: String, _ a: [String: JSON], _ b: [String: JSON]) {
    for key in Set(a.keys).union(b.keys).sorted() where a[key] != b[key] {
      let (x, y) = (a[key]?.text() ?? "nothing", b[key]?.text() ?? "nothing")
      lines.append(
        ("\(what) \(key)", "\(Human.line(x, limit: 50)) and \(Human.line(y, limit: 50))"))
    }
  }

  private mutating func compareFiles(_ a: Manifest, _ b: Manifest) {
    let x = Dictionary(a.files.map { ($0.file, $0) }, uniquingKeysWith: { first, _ in first })
    let y = Dictionary(b.files.map { ($0.file, $0) }, uniquingKeysWith: { first, _ in first })
    for name in Set(x.keys).union(y.keys).sorted() where x[name]?.checksum != y[name]?.checksum {
      let sizes = [x[name], y[name]].map { $0.map { Human.bytes($0.bytes) } ?? "missing" }
      lines.append(("file \(name)", sizes[0] + " and " + sizes[1] + ", other content"))
    }
  }

  // MARK: Records and tensors

  private mutating func compareRecords(_ limit: Int?) throws {
    let (a, b) = (try left.reader(), try right.reader())
    try compareRecords(a.indices, b.indices, limit: limit, first: a.record, second: b.record)
  }

  private mutating func compareRecords(
    _ a: [Int], _ b: [Int], limit: Int?, first: (Int) throws -> Record,
    second: (Int) throws -> Record
  ) throws {
    let (x, y) = (Set(a), Set(b))
    let onlyLeft = x.subtracting(y).count
    let onlyRight = y.subtracting(x).count
    if onlyLeft > 0 {
      lines.append(("records", "\(Human.count(onlyLeft)) in \(left.path) only"))
    }
    if onlyRight > 0 {
      lines.append(("records", "\(Human.count(onlyRight)) in \(right.path) only"))
    }
    for index in x.intersection(y).sorted().prefix(limit ?? .max) {
      let (m, n) = (try first(index), try second(index))
      if m == n { continue }
      compare("record \(index), metadata", texts(m), texts(n))
      try compare(
        TensorFiles(m, path: left.path), TensorFiles(n, path: right.path),
        place: "record \(index), ")
    }
  }

  private func texts(_ record: Record) -> [String: JSON] {
    record.metadata.mapValues { .string($0) }
  }

  private mutating func compare(_ a: TensorFiles, _ b: TensorFiles, place: String = "") throws {
    for name in Set(a.names).union(b.names).sorted(by: naturallyPrecedes) {
      let title = "\(place)tensor \(name)"
      guard let m = a.shape(name), let n = b.shape(name) else {
        lines.append((title, "in \(a.shape(name) == nil ? right.path : left.path) only"))
        continue
      }
      guard m == n, a.type(name) == b.type(name) else {
        let types = [a, b].map { $0.type(name)?.rawValue ?? "" }
        lines.append(
          (title, "\(types[0]) \(Human.shape(m)) and \(types[1]) \(Human.shape(n))"))
        continue
      }
      if let line = try Difference.values(try a.tensor(name), try b.tensor(name)) {
        lines.append((title, line))
      }
    }
  }

  private static func values(_ a: RawTensor, _ b: RawTensor) throws -> String? {
    if a.bytes == b.bytes { return nil }
    let (x, y): ([Double], [Double]) =
      a.holdsFloats
      ? (try a.floats().map { Double($0) }, try b.floats().map { Double($0) })
      : (a.wideIntegers.map { Double($0) }, b.wideIntegers.map { Double($0) })
    var different = 0
    var largest = 0.0
    var error = 0.0
    var scale = 0.0
    for (m, n) in zip(x, y) where m != n {
      different += 1
      largest = max(largest, abs(m - n))
      error += (m - n) * (m - n)
    }
    for m in x { scale += m * m }
    let relative = scale > 0 ? (error / scale).squareRoot() : .infinity
    return "\(Human.count(different)) of \(Human.count(x.count)) values, by at most "
      + "\(Human.number(largest)) (relative \(Human.number(relative)))"
  }

  var isEmpty: Bool { settings.isEmpty && lines.isEmpty }

  func show(_ format: OutputFormat) {
    if format == .json {
      return Output.json([
        "equal": .bool(isEmpty),
        "settings": .array(
          settings.map {
            [
              "name": .string($0.name), "left": $0.left ?? .null, "right": $0.right ?? .null,
            ]
          }),
        "differences": .array(
          lines.map { ["place": .string($0.place), "what": .string($0.what)] }),
      ])
    }
    guard !isEmpty else {
      return Output.line("equal: \(left.path) and \(right.path)")
    }
    Output.line("\(left.path) and \(right.path)")
    if !settings.isEmpty {
      Output.line()
      var table = Table(["setting", left.path, right.path])
      for setting in settings {
        table.add(
          [setting.name]
            + [setting.left, setting.right].map {
              Human.line($0?.plain ?? "none", limit: 160)
            })
      }
      table.show()
    }
    guard !lines.isEmpty else { return }
    Output.line()
    var table = Table(["different", "how"])
    for line in lines.prefix(Difference.shown) { table.add([line.place, line.what]) }
    table.show()
    if lines.count > Difference.shown {
      Output.line("  and \(Human.count(lines.count - Difference.shown)) more")
    }
  }
}
