/// Columns set one below the other.
public struct Table {
  private enum Side { case left, right }

  private let sides: [Side]
  private var rows: [[String]]

  /// - Parameter header: a column's title; a leading `>` sets the column to the right.
  public init(_ header: [String]) {
    sides = header.map { $0.hasPrefix(">") ? .right : .left }
    rows = [header.map { $0.hasPrefix(">") ? String($0.dropFirst()) : $0 }]
  }

  public mutating func add(_ cells: [String]) { rows.append(cells) }

  public var isEmpty: Bool { rows.count == 1 }

  /// The lines, indented by two. Columns with nothing in them are left out.
  public var lines: [String] {
    let widths = sides.indices.map { column in
      let cells = rows.map { column < $0.count ? Table.width($0[column]) : 0 }
      return cells.dropFirst().allSatisfy { $0 == 0 } ? 0 : cells.max() ?? 0
    }
    return rows.map { row in
      var line = " "
      for (column, cell) in row.enumerated() where widths[column] > 0 {
        let space = String(repeating: " ", count: widths[column] - Table.width(cell))
        line += " " + (sides[column] == .left ? cell + space : space + cell) + " "
      }
      return String(line.reversed().drop { $0 == " " }.reversed())
    }
  }

  /// Columns that a text takes on a terminal: East Asian wide characters and emoji take two.
  private static func width(_ text: String) -> Int {
    text.reduce(0) { total, character in
      let value = character.unicodeScalars.first?.value ?? 0
      let isWide =
        (0x1100...0x115F).contains(value) || (0x2E80...0xA4CF).contains(value)
        || (0xAC00...0xD7A3).contains(value) || (0xF900...0xFAFF).contains(value)
        || (0xFE30...0xFE6F).contains(value) || (0xFF00...0xFF60).contains(value)
        || (0x1F300...0x1FAFF).contains(value)
      return total + (isWide ? 2 : 1)
    }
  }
}
