import Artifacts
import Failures
import Imaging
import StageKit

/// One tensor, or rows of it.
struct TensorView {
  private let source: TensorFiles
  private let name: String
  private let tensor: RawTensor
  private let firstRow: Int
  private let wholeShape: [Int]
  private let asksForRows: Bool

  /// Throws 65 when there is no such tensor or it has no such rows.
  init(_ source: TensorFiles, name: String, rows: (start: Int, end: Int?)?) throws {
    self.source = source
    self.name = name
    tensor = try source.tensor(name, rows: rows)
    firstRow = rows?.start ?? 0
    wholeShape = source.shape(name) ?? tensor.shape
    asksForRows = rows != nil
  }

  func show(_ format: OutputFormat) throws {
    switch format {
    case .npy: Output.write(try NPY.encode(tensor))
    case .png: Output.write(try picture().pngData())
    case .safetensors: Output.write(Safetensors.encode([(name, tensor)]))
    case .json: Output.json(try json())
    case .text: try showText()
    }
  }

  /// Pixels [height, width, 3] as the picture that they are.
  private func picture() throws -> RGBImage {
    guard tensor.type == .uint8, tensor.shape.count == 3, tensor.shape[2] == 3 else {
      throw Failure(
        .badData, "no picture", at: "\(source.path), tensor \(name)",
        expected: "U8 [height, width, 3]",
        found: "\(tensor.type.rawValue) \(Human.shape(tensor.shape))")
    }
    return try RGBImage(
      width: tensor.shape[1], height: tensor.shape[0], pixels: tensor.bytes)
  }

  private func json() throws -> JSON {
    [
      "name": .string(name), "dtype": .string(tensor.type.rawValue),
      "shape": .array(wholeShape.map { .int($0) }),
      "rows": [.int(firstRow), .int(firstRow + (tensor.shape.first ?? 1))],
      "statistics": NumberSummary(tensor).json,
      "values": TensorView.nested(try TensorView.values(tensor), tensor.shape[...]),
    ]
  }

  private static func values(_ tensor: RawTensor) throws -> [JSON] {
    if tensor.holdsFloats {
      // The shortest decimal that gives the same float.
      return try tensor.floats().map { $0.isFinite ? .number(Double("\($0)") ?? 0) : .null }
    }
    return tensor.wideIntegers.map { .int($0) }
  }

  private static func nested(_ values: [JSON], _ shape: ArraySlice<Int>) -> JSON {
    guard let count = shape.first else { return values.first ?? .null }
    if shape.count == 1 { return .array(values) }
    let size = count > 0 ? values.count / count : 0
    return .array(
      (0..<count).map {
        nested(Array(values[($0 * size)..<(($0 + 1) * size)]), shape.dropFirst())
      })
  }

  private func showText() throws {
    Output.line("\(name)  \(tensor.type.rawValue) \(Human.shape(wholeShape))  of \(source.path)")
    var statistics = Table(NumberSummary.columns)
    statistics.add(NumberSummary(tensor).cells)
    statistics.show()
    Output.line()
    let cells = try cells()
    let rows = max(1, tensor.shape.first ?? 1)
    let width = tensor.count / rows
    guard width > 0 else { return Output.line("  (empty)") }
    if tensor.shape.count < 2 {
      showVector(cells)
    } else {
      showRows(cells, rows: rows, width: width)
    }
  }

  private func cells() throws -> [String] {
    tensor.holdsFloats
      ? try tensor.floats().map { Human.number(Double($0)) } : tensor.wideIntegers.map(String.init)
  }

  private func showVector(_ cells: [String]) {
    let shown = asksForRows ? cells.count : min(cells.count, 96)
    var table = Table(["row"] + (0..<8).map { ">+\($0)" })
    for start in stride(from: 0, to: shown, by: 8) {
      table.add(["\(firstRow + start)"] + cells[start..<min(start + 8, shown)])
    }
    table.show()
    if shown < cells.count { more(cells.count - shown, "value") }
  }

  private func showRows(_ cells: [String], rows: Int, width: Int) {
    let shownRows = asksForRows ? rows : min(rows, 8)
    let isCut = width > 10
    let columns = isCut ? Array(0..<6) + Array((width - 3)..<width) : Array(0..<width)
    var header = columns.map { ">\($0)" }
    if isCut { header.insert("", at: 6) }
    var table = Table(["row"] + header)
    for row in 0..<shownRows {
      var line = columns.map { cells[row * width + $0] }
      if isCut { line.insert("…", at: 6) }
      table.add(["\(firstRow + row)"] + line)
    }
    table.show()
    if shownRows < rows { more(rows - shownRows, "row") }
  }

  private func more(_ count: Int, _ what: String) {
    Output.line("  and \(Human.plural(count, "more \(what)")): --rows a:b shows any, npy all")
  }
}
