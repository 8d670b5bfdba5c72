import CGlibc
import Foundation

/// How many of the machine's cores are this process's, and how many ranks share its memory.
public enum Cores {
  /// Those that the scheduler gave it, or its part of those that it may run on, beside the other ranks
  /// that a launcher started on this machine.
  static var own: Int {
    own(
      ProcessInfo.processInfo.environment, usable: usable,
      online: ProcessInfo.processInfo.processorCount)
  }

  /// The machine in words: processor and cores.
  static let machine: String = {
    let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
    let model = text.split(separator: "\n").first { $0.hasPrefix("model name") }
      .flatMap { $0.split(separator: ":").last?.trimmingCharacters(in: .whitespaces) }
    let cores = ProcessInfo.processInfo.processorCount
    return "\(model ?? "a processor without a name"), \(cores) \(cores == 1 ? "core" : "cores")"
  }()

  /// What other programs take of the machine just now, in words; nil where they leave it alone. Takes
  /// a third of a second, in which this process does nothing.
  public static var busy: String? {
    func text() -> String { (try? String(contentsOfFile: "/proc/stat", encoding: .utf8)) ?? "" }
    let before = text()
    Thread.sleep(forTimeInterval: 0.3)
    return busy(before, text(), cores: ProcessInfo.processInfo.processorCount)
  }

  /// - Parameter before, after: of /proc/stat, whose first line has the time spent so far in each state,
  ///   the fourth and fifth of them idle
  static func busy(_ before: String, _ after: String, cores: Int) -> String? {
    func times(_ text: String) -> [Double] {
      text.prefix { $0 != "\n" }.split(separator: " ").dropFirst().prefix(8).compactMap {
        Double($0)
      }
    }
    let spent = zip(times(after), times(before)).map { $0 - $1 }
    let all = spent.reduce(0, +)
    guard spent.count >= 5, all > 0 else { return nil }
    let taken = (1 - (spent[3] + spent[4]) / all) * Double(cores)
    guard taken > 0.3 else { return nil }
    return "other programs take \((taken * 10).rounded() / 10) of this machine’s \(cores) cores"
  }

  /// Those that the process is not kept from: by its affinity (`taskset`, a cpuset) or by the time that
  /// its control groups give it.
  public static var usable: Int {
    let allowed = affinity ?? ProcessInfo.processInfo.activeProcessorCount
    return max(1, min(allowed, ControlGroups.own.processors ?? allowed))
  }

  /// The cores in the process's affinity mask; nil where the system does not tell.
  private static var affinity: Int? {
    // Room for 65,536 cores: the kernel refuses a mask that is smaller than its own.
    var mask = [UInt64](repeating: 0, count: 1024)
    let filled = mask.withUnsafeMutableBytes { affinity_mask($0.baseAddress, $0.count) }
    let count = mask.reduce(0) { $0 + $1.nonzeroBitCount }
    return filled > 0 && count > 0 ? count : nil
  }

  /// What was asked for comes first, Slurm's before OpenMP's, but no more than may be used.
  /// - Parameters:
  ///   - usable: cores that the process is not kept from
  ///   - online: cores of the machine
  static func own(_ environment: [String: String], usable: Int, online: Int) -> Int {
    // OpenMP's may be a list, one number for each depth.
    let given = ["SLURM_CPUS_PER_TASK", "OMP_NUM_THREADS"].lazy
      .compactMap { environment[$0]?.prefix { $0 != "," } }
      .compactMap { Int($0.filter { !$0.isWhitespace }) }.first { $0 > 0 }
    if let given { return min(given, usable) }
    return max(1, min(usable, online / ranksHere(environment)))
  }

  /// Ranks that a launcher started on this machine, this one included; 1 without a launcher.
  static func ranksHere(_ environment: [String: String] = ProcessInfo.processInfo.environment)
    -> Int
  {
    // Open MPI's, MPICH's; Slurm's is a list of nodes, "2(x3),1".
    let found = ["OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "SLURM_STEP_TASKS_PER_NODE"]
      .compactMap { environment[$0].flatMap { Int($0.prefix { $0.isNumber }) } }.first
    return max(1, found ?? 1)
  }
}
