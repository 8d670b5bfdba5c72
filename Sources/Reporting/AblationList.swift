import Failures

/// A list of cells to compare: settings that differ from a run's own, beside what the paper found
/// (`pipeline/ablations.txt` tells the form; `pipeline/ablations.awk` makes the runs from it).
public struct AblationList: Sendable, Equatable {
  /// One of the paper's tables.
  public struct Comparison: Sendable, Equatable {
    public var name: String
    public var title: String
    /// The paper's benchmarks, of its figures' columns.
    public var benchmarks: [String]
    public var cells: [Cell]
  }

  /// One row of such a table.
  public struct Cell: Sendable, Equatable {
    public var name: String
    public var label: String
    /// The paper's figures [benchmark], nil where it has none.
    public var figures: [Double?]
    /// `section.key=value`; none for the method itself.
    public var settings: [String]
  }

  public var comparisons: [Comparison] = []

  /// - Throws: `Failure` 65 with the line that is not of the form.
  public init(_ text: String, place: String) throws {
    var names: Set<String> = []
    for (number, line) in text.split(
      separator: "\n", omittingEmptySubsequences: false
    ).enumerated() {
      let at = "\(place):\(number + 1)"
      let fields = line.split(separator: "|", omittingEmptySubsequences: false).map(Self.trimmed)
      guard let first = fields.first, !first.isEmpty, !first.hasPrefix("#") else { continue }
      if first.hasPrefix("[") {
        comparisons.append(try Self.comparison(fields, at: at))
        continue
      }
      guard let comparison = comparisons.last else {
        throw Failure(.badData, "a cell before the first [comparison]", at: at)
      }
      guard fields.count == 4 else {
        throw Failure(
          .badData, "not a cell", at: at, expected: "cell | label | figures | settings",
          found: "\(fields.count) fields")
      }
      guard names.insert(first).inserted else {
        throw Failure(.badData, "the cell \(first) stands twice", at: at)
      }
      comparisons[comparisons.count - 1].cells.append(
        Cell(
          name: first, label: fields[1],
          figures: try Self.figures(fields[2], comparison.benchmarks, at: at),
          settings: Self.words(fields[3])))
    }
    guard !names.isEmpty else {
      throw Failure(.badData, "a list without cells", at: place)
    }
  }

  private static func comparison(_ fields: [String], at: String) throws -> Comparison {
    let heading = fields[0].dropFirst().split(separator: "]", maxSplits: 1)
    guard fields.count == 2, heading.count == 2 else {
      throw Failure(
        .badData, "not a comparison", at: at, expected: "[name] title | benchmarks",
        found: fields.joined(separator: " | "))
    }
    return Comparison(
      name: String(heading[0]), title: trimmed(heading[1]), benchmarks: words(fields[1]), cells: [])
  }

  private static func figures(
    _ text: String, _ benchmarks: [String], at: String
  ) throws -> [Double?] {
    let found = words(text)
    let figures = found.map { $0 == "-" ? nil : Double($0) }
    guard found.count == benchmarks.count,
      zip(found, figures).allSatisfy({ $0 == "-" || $1?.isFinite == true })
    else {
      throw Failure(
        .badData, "not the paper's figures", at: at,
        expected: "a number or - for each of \(benchmarks.joined(separator: " "))", found: text)
    }
    return figures
  }

  private static func words(_ text: String) -> [String] {
    text.split(whereSeparator: \.isWhitespace).map(String.init)
  }

  private static func trimmed(_ text: Substring) -> String {
    var text = text
    while text.first?.isWhitespace == true { text.removeFirst() }
    while text.last?.isWhitespace == true { text.removeLast() }
    return String(text)
  }
}
