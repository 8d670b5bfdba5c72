import Artifacts
import Failures

/// What a run must not fall behind: lines of row, field, `at-least` or `at-most`, and number.
struct Thresholds {
  struct Line {
    let row: String
    let field: String
    let isFloor: Bool
    let bound: Double
    let place: String

    func holds(_ value: Double) -> Bool { isFloor ? value >= bound : value <= bound }

    func failure(_ value: Double) -> Failure {
      Failure(
        .badData, "\(field) is past its threshold", at: row,
        expected: "\(isFloor ? "at least" : "at most") \(bound)", found: RowResult.number(value))
    }
  }

  private let lines: [Line]

  /// - Parameter rows: those that there are.
  /// - Throws: 66 for a missing file, 65 for a line that is none or names no row.
  init(file path: String, rows: Set<String>) throws {
    let text = String(decoding: try Files.read(path), as: UTF8.self)
    lines = try text.split(separator: "\n", omittingEmptySubsequences: false).enumerated()
      .compactMap { number, line in
        let words = line.prefix { $0 != "#" }.split(separator: " ").map(String.init)
        if words.isEmpty { return nil }
        let place = "\(path):\(number + 1)"
        guard words.count == 4, rows.contains(words[0]), let bound = Double(words[3]),
          ["at-least", "at-most"].contains(words[2])
        else {
          throw Failure(
            .badData, "no threshold", at: place,
            expected: "a row's name, a field, at-least or at-most, a number", found: String(line))
        }
        return Line(
          row: words[0], field: words[1], isFloor: words[2] == "at-least", bound: bound,
          place: place)
      }
  }

  /// The lines that a result is past. A field that it lacks is not held against it: on one thread
  /// nothing is said of more.
  func violated(by result: RowResult) -> [Failure] {
    lines.filter { $0.row == result.name }.compactMap { line in
      result[line.field].flatMap { line.holds($0) ? nil : line.failure($0) }
    }
  }
}
