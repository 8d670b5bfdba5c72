import Foundation
import Logging

/// Log lines on standard error: `12:30:05 vlsi-align: text`, or one JSON object a line.
struct StageLogHandler: LogHandler {
  let label: String
  let format: LogFormat
  var logLevel: Logger.Level
  var metadata: Logger.Metadata = [:]

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let facts = metadata.merging(event.metadata ?? [:]) { $1 }.sorted { $0.key < $1.key }
    switch format {
    case .text:
      let mark = event.level >= .warning ? "\(event.level): " : ""
      let tail = facts.map { " \($0.key)=\($0.value)" }.joined()
      Terminal.shared.write("\(StageLogHandler.clock()) \(label): \(mark)\(event.message)\(tail)")
    case .json:
      var pairs: [(key: String, value: SettingValue)] = [
        ("time", .string(StageLogHandler.timestamp())), ("level", .string("\(event.level)")),
        ("program", .string(label)), ("message", .string("\(event.message)")),
      ]
      pairs += facts.map { ($0.key, .string("\($0.value)")) }
      Terminal.shared.write(SettingValue.object(pairs).json)
    }
  }

  static func clock() -> String {
    var now = time(nil)
    var parts = tm()
    localtime_r(&now, &parts)
    func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
    return "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
  }

  /// UTC, ISO 8601, to the millisecond.
  static func timestamp() -> String {
    Date.ISO8601FormatStyle(includingFractionalSeconds: true).format(Date())
  }
}
