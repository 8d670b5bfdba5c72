import Artifacts
import Foundation
import Kernels
import StageKit

/// What came out for a row, ours or a peer's, by the names that JSON and thresholds have for it.
struct RowResult {
  let name: String
  let shape: String
  var fields: [String: JSON]

  subscript(_ field: String) -> Double? { fields[field]?.asDouble }

  var rate: String { Self.number(self["rate"] ?? 0) + " " + (fields["unit"]?.asString ?? "") }

  /// Three digits.
  static func number(_ value: Double) -> String {
    String(format: value < 9.995 ? "%.2f" : value < 99.95 ? "%.1f" : "%.0f", value)
  }

  static func duration(_ seconds: Double) -> String {
    for (unit, size) in [("s", 1), ("ms", 1e-3)] where seconds >= size {
      return number(seconds / size) + " " + unit
    }
    return number(seconds * 1e6) + " µs"
  }
}

/// All results of a run, as a table and as JSON.
struct Report {
  let results: [RowResult]
  let threads: Int
  let precision: String

  private static let processor: String = {
    let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
    let line = text.split(separator: "\n").first { $0.hasPrefix("model name") }
    return line?.split(separator: ":").last.map { $0.trimmingCharacters(in: .whitespaces) } ?? ""
  }()

  /// Each limit at its best over the rows.
  private var limits: [Limit: Double] {
    var best: [Limit: Double] = [:]
    for result in results {
      for limit in Limit.allCases {
        guard let rate = result.fields["limits"]?[limit.rawValue]?.asDouble else { continue }
        best[limit] = max(best[limit] ?? 0, rate)
      }
    }
    return best
  }

  var text: String {
    let limits = limits
    var table = Table([
      "row", "shape", ">time", ">rate", "bound by", ">share", ">serial", ">peak", ">scratch",
      ">blocks", ">ours is faster by",
    ])
    for result in results {
      func percent(_ field: String) -> String {
        result[field].map { "\(Int((100 * $0).rounded()))%" } ?? ""
      }
      func bytes(_ field: String) -> String {
        result[field].map { MemoryPlan.text(Int($0)) } ?? ""
      }
      table.add([
        result.name, result.shape, result["seconds"].map(RowResult.duration) ?? "", result.rate,
        (result.fields["bound"]?.asArray ?? []).compactMap(\.asString).joined(separator: ", "),
        percent("share"), percent("serial_share"),
        bytes("peak_bytes"), bytes("scratch_bytes"),
        result["fresh_blocks"].map { String(Int($0)) } ?? "",
        result["ratio"].map { RowResult.number($0) + " ×" } ?? "",
      ])
    }
    let measured = Limit.allCases.compactMap { limit in
      limits[limit].map { rate in
        let unit = [.sgemm, .bf16].contains(limit) ? "GFLOP/s" : "GB/s"
        return "\(limit.rawValue) \(RowResult.number(rate / 1e9)) \(unit)"
      }
    }
    return
      "\(Self.processor), \(threads) threads, \(precision), OpenBLAS for \(OpenBLASCore.name)\n"
      + "limits: \(measured.joined(separator: ", "))\n\n"
      + table.lines.joined(separator: "\n") + "\n"
  }

  var json: JSON {
    [
      "processor": .string(Self.processor), "threads": .int(threads),
      "precision": .string(precision), "openblas": .string(OpenBLASCore.name),
      "limits": .object(
        Dictionary(uniqueKeysWithValues: limits.map { ($0.rawValue, .number($1)) })),
      "rows": .array(
        results.map { result in
          .object(
            result.fields.merging(["name": .string(result.name), "shape": .string(result.shape)]) {
              $1
            })
        }),
    ]
  }
}
