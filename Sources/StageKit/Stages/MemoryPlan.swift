import Failures
import Foundation
import Kernels

extension Stage {
  /// Says how much memory the stage will take and refuses to start what cannot fit, before hours
  /// are spent. Mapped weights and shards are not counted: the kernel drops their pages at need.
  /// - Parameters:
  ///   - bytes: the plan
  ///   - advice: which settings make it smaller
  /// - Throws: `Failure(.badPreset)` when the machine has less.
  public func plan(memory bytes: Int, advice: String) throws {
    // Ranks on one machine share its memory.
    let beside = ranks.count > 1 ? Cores.ranksHere() : 1
    let available = MemoryPlan.available().map { $0 / beside }
    let most = available.map { " of \(MemoryPlan.text($0)) available" } ?? ""
    let each = ranks.count > 1 ? "each rank needs" : "needs"
    log.info("\(each) about \(MemoryPlan.text(bytes)) of memory\(most), mapped files not counted")
    if let available, bytes > available {
      throw Failure(
        .badPreset, "the stage does not fit into memory", at: name,
        expected: "at most \(MemoryPlan.text(available))", found: MemoryPlan.text(bytes),
        advice: advice)
    }
  }
}

/// What the machine has, and how bytes are written.
public enum MemoryPlan {
  /// Bytes that a program may still take: the system's estimate, or less in a container. Nil where
  /// the system does not tell.
  public static func available() -> Int? {
    let system = (try? String(contentsOfFile: "/proc/meminfo", encoding: .utf8)).flatMap(parse)
    return [system, ControlGroups.own.memory, addressSpace()].compactMap { $0 }.min()
  }

  /// Lets the kernels keep free blocks up to a 24th of the memory that is available, of the part that
  /// falls to `threads` of the cores: fresh pages cost more than much of the arithmetic on them.
  public static func keepBlocks(threads: Int) {
    let cores = max(threads, Cores.usable)
    let most = (available() ?? 0) / 24 / cores * threads
    BufferPool.limit = max(BufferPool.limit, most)
  }

  /// What `ulimit -v` leaves; nil without such a limit.
  private static func addressSpace() -> Int? {
    guard let most = ResourceLimit.addressSpace,
      let taken = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8))
        .flatMap({ $0.split(separator: " ").first }).flatMap({ Int($0) })
    else { return nil }
    let bytes = taken * Int(sysconf(Int32(_SC_PAGESIZE)))
    return most > bytes ? most - bytes : 0
  }

  /// MemAvailable of /proc/meminfo, in bytes.
  static func parse(_ meminfo: String) -> Int? {
    let line = meminfo.split(separator: "\n").first { $0.hasPrefix("MemAvailable:") }
    return line.flatMap { Int($0.filter(\.isNumber)) }.map { $0 * 1024 }
  }

  /// 780 MB, 4.3 GB.
  public static func text(_ bytes: Int) -> String {
    let megabytes = Double(bytes) / 1e6
    if megabytes < 1000 { return "\(max(1, Int(megabytes.rounded()))) MB" }
    return "\((megabytes / 100).rounded() / 10) GB"
  }
}
