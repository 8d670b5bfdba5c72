import Artifacts
import Checkpoints
import Failures
import Kernels
import StageKit

/// Numbers over all records by layer, or over all tensors of a file.
struct Statistics {
  private let title: String
  private let columns: [String]
  private var rows: [(name: String, cells: [String], json: JSON)] = []

  init(_ subject: Subject, stage: Stage) throws {
    title = "\(subject.path)"
    if case .artifact(let manifest) = subject.kind, manifest.kind == .evaluation {
      let path = Files.join(subject.path, "scores.json")
      columns = ["", ">questions", ">accuracy", ">error"]
      rows = try Statistics.scores(JSON(parsing: Files.read(path), place: path))
      return
    }
    if case .artifact(let manifest) = subject.kind, !manifest.shards.isEmpty {
      let reader = try subject.reader()
      let indices = stage.limit.map { Array(reader.indices.prefix($0)) } ?? reader.indices
      let progress = stage.progress(total: indices.count, unit: "records", label: "statistics")
      var layers = LayerStatistics()
      for index in indices {
        try stage.checkInterrupt()
        try layers.add(try reader.record(index), place: reader.place(of: index))
        progress.advance()
      }
      columns = LayerStatistics.columns
      rows = layers.rows
      return
    }
    columns = ["tensor", "type", "shape"] + NumberSummary.columns + [">rms"]
    let tensors = try subject.files()
    let progress = stage.progress(total: tensors.names.count, unit: "tensors", label: "statistics")
    for name in tensors.names {
      try stage.checkInterrupt()
      var moments = NumberSummary()
      try tensors.forEachPiece(name) { moments.add($0) }
      rows.append(
        (
          name,
          [
            name, tensors.type(name)?.rawValue ?? "", Human.shape(tensors.shape(name) ?? []),
          ] + moments.cells + [Human.number(moments.rootMeanSquare)], moments.json
        ))
      progress.advance()
    }
  }

  /// What an evaluation comes to, by category and benchmark: percentages.
  private static func scores(_ scores: JSON) -> [(name: String, cells: [String], json: JSON)] {
    func row(_ name: String, _ score: JSON?) -> (name: String, cells: [String], json: JSON) {
      let figures = ["accuracy", "standard_error"].map { key in
        score?[key]?.asDouble.map { Human.number(($0 * 10_000).rounded() / 100) } ?? ""
      }
      let questions = score?["questions"]?.asInt ?? 0
      return (name, [name, Human.count(questions)] + figures, score ?? .null)
    }
    let categories = (scores["categories"]?.asArray ?? []).map {
      row($0["name"]?.asString ?? "", $0["score"])
    }
    let metrics = (scores["benchmarks"]?.asArray ?? []).flatMap { benchmark in
      (benchmark["metrics"]?.asArray ?? []).map { metric in
        let words = [benchmark["name"], metric["name"], metric["group"], metric["split"]]
          .compactMap { $0?.asString }
        let name = words.joined(separator: ", ")
        let value = metric["value"]?.asDouble.map { Human.number(($0 * 100).rounded() / 100) }
        return (name: name, cells: [name, "", value ?? ""], json: metric)
      }
    }
    return categories + [row("all", scores["overall"])] + metrics
  }

  func show(_ format: OutputFormat) {
    if format == .json {
      return Output.json(
        .object(
          Dictionary(rows.map { ($0.name, $0.json) }, uniquingKeysWith: { first, _ in first })))
    }
    Output.line(title)
    Output.line()
    var table = Table(columns)
    for row in rows { table.add(row.cells) }
    table.show()
  }
}

/// Sums by tensor name over records. A tensor of rows also gets the norm of its rows and, where
/// another layer of the same family stands before it, the cosine between the two, row by row.
private struct LayerStatistics {
  struct Sums {
    var records = 0
    var rows = 0
    var values = NumberSummary()
    var norms = NumberSummary()
    var cosines = NumberSummary()
    var first = NumberSummary()
  }

  static let columns =
    ["tensor", ">records", ">rows"] + NumberSummary.columns + [
      ">norm", ">cosine to the one before", "",
    ]

  private var sums: [String: Sums] = [:]

  /// `hidden.6` belongs to `hidden`, `pixels.3` to `pixels.I`, which is one line.
  private static func title(_ name: String) -> String {
    name.hasPrefix("pixels.") ? "pixels.I" : name
  }

  private static func family(_ name: String) -> String {
    String(name.split(separator: ".").first ?? "")
  }

  mutating func add(_ record: Record, place: String) throws {
    let names = record.tensors.keys.sorted(by: naturallyPrecedes)
    var before: (family: String, width: Int, values: [Float])?
    for name in names {
      guard let tensor = record.tensors[name] else { continue }
      let title = LayerStatistics.title(name)
      var sum = sums[title] ?? Sums()
      sum.records += 1
      sum.rows += tensor.shape.first ?? 1
      if tensor.holdsFloats {
        let values = try tensor.floats()
        sum.values.add(values)
        let family = LayerStatistics.family(name)
        if tensor.shape.count == 2, let width = tensor.shape.last, width > 0 {
          let previous = before.flatMap { $0.family == family && $0.width == width ? $0 : nil }
          LayerStatistics.addRows(values, width, previous?.values, &sum)
          before = (family, width, values)
        }
      } else {
        sum.values.add(tensor)
      }
      sums[title] = sum
    }
  }

  private static func addRows(
    _ values: [Float], _ width: Int, _ previous: [Float]?, _ sum: inout Sums
  ) {
    for start in stride(from: 0, to: values.count, by: width) {
      var own: Float = 0
      for index in start..<(start + width) { own += values[index] * values[index] }
      sum.norms.add(Double(own.squareRoot()))
      sum.first.add(Double(values[start]))
      guard let previous, previous.count == values.count else { continue }
      var other: Float = 0
      var product: Float = 0
      for index in start..<(start + width) {
        other += previous[index] * previous[index]
        product += previous[index] * values[index]
      }
      if own > 0, other > 0 { sum.cosines.add(Double(product / (own * other).squareRoot())) }
    }
  }

  var rows: [(name: String, cells: [String], json: JSON)] {
    sums.keys.sorted(by: naturallyPrecedes).compactMap { name in
      guard let sum = sums[name] else { return nil }
      let family = LayerStatistics.family(name)
      var note = ""
      var members = sum.values.json.asObject ?? [:]
      members["records"] = .int(sum.records)
      members["rows"] = .int(sum.rows)
      if family == "probabilities", sum.rows > 0 {
        note =
          "top 1 \(Human.number(sum.first.mean)), kept \(Human.number(sum.values.sum / Double(sum.rows)))"
        members["top_1"] = .number(sum.first.mean)
        members["kept"] = .number(sum.values.sum / Double(sum.rows))
      }
      if family == "entropy" { note = "nats" }
      if sum.norms.count > 0 { members["norm"] = .number(sum.norms.mean) }
      if sum.cosines.count > 0 { members["cosine_to_before"] = .number(sum.cosines.mean) }
      let isVector = ["hidden", "projected", "vector", "visual"].contains(family)
      return (
        name,
        [name, Human.count(sum.records), Human.count(sum.rows)] + sum.values.cells + [
          isVector && sum.norms.count > 0 ? Human.number(sum.norms.mean) : "",
          isVector && sum.cosines.count > 0 ? Human.number(sum.cosines.mean) : "", note,
        ], .object(members)
      )
    }
  }
}
