import Artifacts
import Foundation
import Kernels

extension Row {
  /// Prepares the work and does it again and again; in between the limits that bound it are measured,
  /// so that both find the machine in the same mood. The best of either counts. To be called in a
  /// process of its own, whose memory is then the row's.
  /// - Parameter budget: seconds that this goes on for, at least.
  func measure(budget: Double) throws -> [String: JSON] {
    let work = try prepare()
    let prepared = ProcessStatus.kilobytes("VmRSS")
    _ = try work.trial()
    var best = try Trial(work)
    let peak = ProcessStatus.kilobytes("VmHWM")
    var limits: [Limit: Double] = [:], trials = 1
    let yardsticks = try work.needs.keys.map { (limit: $0, yardstick: try Yardstick($0)) }
    let start = ContinuousClock.now
    while trials < 2 || (ContinuousClock.now - start) / .seconds(1) < budget {
      for (limit, yardstick) in yardsticks {
        limits[limit] = max(limits[limit] ?? 0, try yardstick.best())
      }
      let next = try Trial(work)
      if next.seconds < best.seconds { best = next }
      trials += 1
    }
    let (rate, unit) = work.rate(best.seconds)
    var fields: [String: JSON] = [
      "seconds": .number(best.seconds), "trials": .int(trials), "rate": .number(rate),
      "unit": .string(unit), "peak_bytes": .int(peak << 10),
      "scratch_bytes": .int(max(0, peak - prepared) << 10), "fresh_blocks": .int(best.freshBlocks),
      "page_faults": .int(best.faults),
    ]
    if let share = best.serialShare { fields["serial_share"] = .number(share) }
    let parts = work.needs.map { ($0, $1 / (limits[$0] ?? 1)) }.sorted { $0.1 > $1.1 }
    if !parts.isEmpty {
      // The time that the limits alone would take.
      fields["share"] = .number(parts.reduce(0) { $0 + $1.1 } / best.seconds)
      fields["bound"] = .array(parts.map { .string($0.0.rawValue) })
      fields["limits"] = .object(
        Dictionary(uniqueKeysWithValues: limits.map { ($0.rawValue, .number($1)) }))
    }
    for (name, value) in try work.facts() { fields[name] = .number(value) }
    return fields
  }
}

/// The work done once, and what that took.
private struct Trial {
  let seconds: Double
  /// The share of the time in which the other threads rest; nil where there are none. A thread's time
  /// is the processor's, so what other programs take of it does not count.
  let serialShare: Double?
  /// Blocks that `BufferPool` asked the system for.
  let freshBlocks: Int
  let faults: Int

  init(_ work: Work) throws {
    let before = (BufferPool.freshBlocks, ProcessStatus.minorFaults)
    let (own, all) = (clock(CLOCK_THREAD_CPUTIME_ID), clock(CLOCK_PROCESS_CPUTIME_ID))
    seconds = try work.trial()
    let mine = clock(CLOCK_THREAD_CPUTIME_ID) - own
    let others = clock(CLOCK_PROCESS_CPUTIME_ID) - all - mine
    let helpers = Double(Parallelism.threads - 1)
    serialShare = helpers > 0 ? min(1, max(0, 1 - others / (helpers * mine))) : nil
    freshBlocks = BufferPool.freshBlocks - before.0
    faults = ProcessStatus.minorFaults - before.1
  }
}

/// Seconds by a clock of the system.
private func clock(_ id: clockid_t) -> Double {
  var time = timespec()
  clock_gettime(id, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}

/// What the system says of this process.
private enum ProcessStatus {
  /// A line of /proc/self/status; 0 where it is missing.
  static func kilobytes(_ name: String) -> Int {
    let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
    let line = status.split(separator: "\n").first { $0.hasPrefix(name + ":") }
    return line.flatMap { Int($0.filter(\.isNumber)) } ?? 0
  }

  /// Pages so far that were touched for the first time.
  static var minorFaults: Int {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return usage.ru_minflt
  }
}
