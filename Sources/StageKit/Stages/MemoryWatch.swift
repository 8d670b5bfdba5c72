import Foundation
import Synchronization

/// Samples the process's anonymous resident memory: what it really takes, mapped checkpoints and
/// shards left out (the kernel may drop those pages at any time).
final class MemoryWatch: Sendable {
  private let peak = Atomic<Int>(0)
  private let done = Atomic<Bool>(false)

  init() {
    let thread = Thread { [self] in
      while !done.load(ordering: .relaxed) {
        sample()
        Thread.sleep(forTimeInterval: 0.2)
      }
    }
    thread.stackSize = 256 * 1024
    thread.start()
  }

  /// The largest sample so far, in bytes; 0 where /proc does not tell.
  var peakBytes: Int {
    sample()
    return peak.load(ordering: .relaxed)
  }

  func stop() { done.store(true, ordering: .relaxed) }

  private func sample() {
    peak.max(MemoryWatch.anonymousBytes(), ordering: .relaxed)
  }

  /// RssAnon of /proc/self/status, in bytes.
  static func anonymousBytes() -> Int {
    guard let status = fopen("/proc/self/status", "r") else { return 0 }
    defer { fclose(status) }
    var line = [CChar](repeating: 0, count: 256)
    while fgets(&line, Int32(line.count), status) != nil {
      let text = String(
        decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      guard text.hasPrefix("RssAnon:") else { continue }
      return (Int(text.dropFirst(8).filter(\.isNumber)) ?? 0) * 1024
    }
    return 0
  }
}
