import Artifacts
import Failures

/// What `make ablate-NAME` left in the run: its table as `vlsi-compare` writes it for programs.
struct Ablations: Sendable {
  /// The file below the run, `ablations/table-test.json`.
  let name: String
  let questions: Int
  let seeds: Int
  let comparisons: [Comparison]

  /// One of the paper's tables, made again.
  struct Comparison: Sendable {
    let title: String
    /// The paper's benchmarks, of its figures' columns.
    let benchmarks: [String]
    let cells: [Cell]
    /// Pairs of cells that the paper tells apart, and how many of them stand here as there; the same
    /// of the pairs that differ here by more than chance.
    let order: (pairs: Int, agreeing: Int, clear: Int, clearAgreeing: Int)
  }

  struct Cell: Sendable {
    let name: String
    let label: String
    /// Whether it is the method itself, which the others are compared with.
    let isMethod: Bool
    /// The paper's figures [benchmark].
    let paper: [Double?]
    /// Nil when the cell was not run.
    let accuracy: Estimate?
    /// The cell less the method, over the seeds of both.
    let difference: Estimate?
  }

  /// Nil when nothing of such a table is in it.
  init?(_ json: JSON, name: String) {
    let comparisons = (json["comparisons"]?.asArray ?? []).map(Comparison.init)
    guard comparisons.contains(where: { !$0.cells.isEmpty }) else { return nil }
    self.name = name
    self.comparisons = comparisons
    questions = json["questions"]?.asInt ?? 0
    seeds = comparisons.flatMap(\.cells).compactMap { $0.accuracy?.values.count }.max() ?? 0
  }

  /// A cell that was compared with the method, wherever it stands.
  subscript(_ name: String) -> Cell? {
    comparisons.flatMap(\.cells).first { $0.name == name && $0.difference != nil }
  }

  /// How the method stands to a cell over seeds, in one sentence; nil for a single seed.
  func verdict(against cell: String, label: String) -> String? {
    guard let difference = self[cell]?.difference, difference.values.count > 1 else { return nil }
    let figures =
      "\(Format.signed(-100 * difference.mean)) points ± \(Format.fixed(100 * difference.error, 1))"
    let seeds = "Over \(difference.values.count) seeds"
    if !difference.isCertain { return "\(seeds) no advantage of VLsI over \(label): \(figures)." }
    return "\(seeds) VLsI is \(difference.mean < 0 ? "ahead of" : "behind") \(label): \(figures)."
  }
}

extension Ablations.Comparison {
  fileprivate init(_ json: JSON) {
    title = json["title"]?.asString ?? json["name"]?.asString ?? ""
    benchmarks = (json["benchmarks"]?.asArray ?? []).map { $0.asString ?? "" }
    let cells = json["cells"]?.asArray ?? []
    let method = cells.first { $0["method"]?.asBool == true }
    self.cells = cells.map { Ablations.Cell($0, method: method) }
    func count(_ key: String) -> Int { json["order"]?[key]?.asInt ?? 0 }
    order = (count("pairs"), count("agreeing"), count("clear"), count("clear_agreeing"))
  }

  /// Whether the order agrees with the paper's.
  var sentence: String {
    if benchmarks.isEmpty { return "The paper has no figures of this." }
    guard order.pairs > 0 else { return "No pair of cells to hold against the paper yet." }
    let start = "\(order.agreeing) of \(order.pairs) pairs of cells stand in the paper’s order"
    return order.clear == 0
      ? "\(start); none differs here by more than chance."
      : "\(start); of the \(order.clear) that differ here by more than chance, "
        + "\(order.clearAgreeing) do."
  }
}

extension Ablations.Cell {
  fileprivate init(_ json: JSON, method: JSON?) {
    name = json["name"]?.asString ?? ""
    label = json["label"]?.asString ?? name
    isMethod = json["method"]?.asBool ?? false
    paper = (json["paper"]?.asArray ?? []).map(\.asDouble)
    let found = Self.bySeed(json)
    accuracy = Estimate(found.map(\.value), sampling: 0)
    let reference = Dictionary(
      method.map(Self.bySeed) ?? [], uniquingKeysWith: { first, _ in first })
    let differences = found.compactMap { entry in reference[entry.key].map { entry.value - $0 } }
    difference = isMethod ? nil : Estimate(differences, sampling: 0)
  }

  private static func bySeed(_ json: JSON) -> [(key: String, value: Double)] {
    (json["accuracy"]?.asObject ?? [:]).compactMapValues(\.asDouble).sorted { $0.key < $1.key }
  }
}

extension Run {
  /// The tables of ablations in the run's folders; one that cannot be read is a gap.
  mutating func ablations() -> [Ablations] {
    var found: [Ablations] = []
    for folder in folders("") {
      let names = (try? Files.list(path(folder))) ?? []
      for name in names.prefix(1000) where name.hasPrefix("table-") && name.hasSuffix(".json") {
        let file = "\(folder)/\(name)"
        guard let bytes = try? Files.read(path(file), limit: 1 << 24),
          let json = try? JSON(parsing: bytes, place: file),
          let table = Ablations(json, name: file)
        else {
          gaps.append("\(file): no table of ablations")
          continue
        }
        found.append(table)
      }
    }
    return found
  }
}
