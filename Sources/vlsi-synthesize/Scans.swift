import Failures
import Foundation

/// The handwritten digits of `data/digits/digits.csv`: 8 × 8 scans of 0 (paper) to 16 (ink).
struct Scans: Sendable {
  static let side = 8

  /// [scans, 64]
  let pixels: [[UInt8]]
  /// [scans], 0 to 9
  let values: [Int]
  private let byPool: [Pool: [[Int]]]

  /// Reads lines of 64 grey levels and the digit.
  /// - Throws: `Failure` 66 when the file is missing, 65 when a line is not of that form or a
  ///   digit has no scan for one of the pools.
  init(contentsOf path: String) throws {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw Failure(
        .inputMissing, "cannot read the scans of digits", at: path,
        advice: "Name the file digits.csv of this repository's data/digits with --digits")
    }
    var pixels: [[UInt8]] = []
    var values: [Int] = []
    for (number, line) in data.split(separator: UInt8(ascii: "\n")).enumerated() {
      let fields = line.split(separator: UInt8(ascii: ",")).map {
        UInt8(String(decoding: $0, as: UTF8.self).trimmingCharacters(in: .whitespaces))
      }
      let levels = fields.compactMap { $0 }
      guard fields.count == 65, levels.count == 65, levels.allSatisfy({ $0 <= 16 }),
        levels[64] <= 9
      else {
        throw Failure(
          .badData, "not a scan of a digit", at: "\(path):\(number + 1)",
          expected: "64 levels from 0 to 16 and a digit from 0 to 9, separated by commas",
          found: String(decoding: line.prefix(60), as: UTF8.self))
      }
      pixels.append(Array(levels.prefix(64)))
      values.append(Int(levels[64]))
    }
    var byPool: [Pool: [[Int]]] = [:]
    for pool in [Pool.training, .validation, .test] {
      let ofPool = values.indices.filter { Pool(scan: $0) == pool }
      let table = (0...9).map { digit in ofPool.filter { values[$0] == digit } }
      if let lacking = table.firstIndex(where: \.isEmpty) {
        throw Failure(
          .badData, "too few scans of the digit \(lacking)", at: path,
          expected: "at least one for each of training, validation and test")
      }
      byPool[pool] = table
    }
    self.pixels = pixels
    self.values = values
    self.byPool = byPool
  }

  /// A random scan of `digit` out of `pool`.
  func draw(_ digit: Int, from pool: Pool, _ generator: inout Generator) -> Content {
    let table = byPool[pool] ?? []
    return .digit(digit, scan: generator.pick(table[digit]))
  }
}
